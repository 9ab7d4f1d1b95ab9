"""The names in IR text: which is defined where, and used where, by the text alone.

It needs no sound text: who types is amidst a line. Values and labels are looked for in the
regions around their use, innermost first; symbols and aliases in the whole part.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Literal, NamedTuple

from furiosa_ir.ir.text_format import SPLIT_LINE

Kind = Literal["value", "symbol", "alias", "label", "word", "string", "number", "comment", "mark"]

_TOKEN = re.compile(
    r'(?P<string>"(?:[^"\\\n]|\\.)*+"?)|(?P<comment>//[^\n]*+)'
    r"|(?P<value>%[\w$.-]++)|(?P<symbol>@(?:[\w$.-]++|\"[^\"\n]*+\"))"
    r"|(?P<alias>[#!][\w$.-]++)|(?P<label>\^[\w$.-]++)"
    r"|(?P<word>[A-Za-z_][\w$.]*+)|(?P<number>-?[0-9][\w.+-]*+)|(?P<mark>->|[^\s])"
)


class Token(NamedTuple):
    """A word of the text.

    Attributes:
        kind: what it is.
        text: as it stands there.
        begin, end: where, in characters from the beginning of the text.
    """

    kind: Kind
    text: str
    begin: int
    end: int


@dataclass(eq=False)
class Name:
    """Something that has a name.

    Attributes:
        kind: "value", "symbol", "alias" or "label".
        text: its name, with the sign in front.
        definition: where it is defined; None: nowhere.
        statement: where the operation, alias or function begins that defines it.
        index: which of the results or arguments it is.
        is_argument: whether it is an argument of a region.
        uses: where it is used, in order.
    """

    kind: Kind
    text: str
    definition: Token | None = None
    statement: int = 0
    index: int = 0
    is_argument: bool = False
    uses: list[Token] = field(default_factory=list[Token])

    @property
    def places(self) -> list[Token]:
        """Its definition and its uses."""
        return ([self.definition] if self.definition else []) + self.uses


@dataclass(eq=False)
class _Scope:
    """A region: the values and labels that it defines, and who is around it."""

    parent: _Scope | None
    values: dict[str, Name] = field(default_factory=dict[str, Name])

    def find(self, text: str) -> Name | None:
        scope: _Scope | None = self
        while scope is not None:
            if text in scope.values:
                return scope.values[text]
            scope = scope.parent
        return None


class TextIndex:
    """The names of a text.

    Args:
        text: all of it; parts between `// -----` lines know nothing of each other.

    Attributes:
        tokens: its words, in order.
        names: what has a name, in order of definition or first use.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.names: list[Name] = []
        self._begins = [token.begin for token in self.tokens]
        self._of: dict[int, Name] = {}
        self._regions: list[tuple[int, int, _Scope]] = []
        cuts = [0, *(match.start() for match in SPLIT_LINE.finditer(text)), len(text)]
        for begin, end in pairwise(cuts):
            first, last = (bisect_right(self._begins, at - 1) for at in (begin, end))
            part = [t for t in self.tokens[first:last] if t.kind != "comment"]
            _Reader(self, part, begin, end).read()

    def token_at(self, offset: int) -> Token | None:
        """The word at a place, or the one that ends there."""
        at = bisect_right(self._begins, offset) - 1
        for index in (at, at - 1):
            if index >= 0 and self.tokens[index].begin <= offset <= self.tokens[index].end:
                token = self.tokens[index]
                if token.kind != "mark" or index == at - 1:
                    return token
        return self.tokens[at] if at >= 0 and offset < self.tokens[at].end else None

    def name_at(self, offset: int) -> Name | None:
        """What the word at a place names."""
        token = self.token_at(offset)
        return None if token is None else self._of.get(token.begin)

    def visible(self, offset: int) -> list[Name]:
        """The values that can be used at a place, nearest region first.

        Results of a line are none in that line.
        """
        line = self.text.rfind("\n", 0, offset) + 1
        around = [r for r in self._regions if r[0] <= offset <= r[1]]
        if not around:
            return []
        scope: _Scope | None = max(around, key=lambda region: region[0])[2]
        found: dict[str, Name] = {}
        while scope is not None:
            for text, name in scope.values.items():
                if name.kind != "value" or name.definition is None:
                    continue
                if name.definition.end < (offset if name.is_argument else line):
                    found.setdefault(text, name)
            scope = scope.parent
        return list(found.values())

    def declared(self, kind: Kind, offset: int) -> list[Name]:
        """The symbols, aliases or labels that are defined in the part around a place."""
        cut = [match.start() for match in SPLIT_LINE.finditer(self.text)]
        part = bisect_right(cut, offset)
        return [
            name
            for name in self.names
            if name.kind == kind
            and name.definition is not None
            and bisect_right(cut, name.definition.begin) == part
        ]

    def note(self, name: Name, token: Token) -> None:
        """Notes that a word is a name's."""
        self._of[token.begin] = name

    def note_region(self, begin: int, end: int, scope: _Scope) -> None:
        """Notes where a region is."""
        self._regions.append((begin, end, scope))


def _tokens(text: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        assert kind is not None
        yield Token(kind, match[0], match.start(), match.end())  # pyright: ignore[reportArgumentType]


@cache
def _symbol_operations() -> frozenset[str]:
    """The operations that define a symbol."""
    from xdsl.traits import SymbolOpInterface  # noqa: PLC0415  # text alone needs no xDSL

    from furiosa_ir.ir.context import load_dialect  # noqa: PLC0415
    from furiosa_ir.ir.extensions import dialects  # noqa: PLC0415

    operations = (op for target in dialects().values() for op in load_dialect(target).operations)
    return frozenset(op.name for op in operations if op.has_trait(SymbolOpInterface))


_KEYS = ("=", ",", "}")
"""What stands behind the name of an attribute, in a dictionary."""


class _Reader:
    """Reads one part of a text from its beginning to its end."""

    def __init__(self, index: TextIndex, tokens: Sequence[Token], begin: int, end: int) -> None:
        self._index, self._tokens = index, tokens
        self._globals: dict[tuple[Kind, str], Name] = {}
        self._scope = _Scope(None)
        index.note_region(begin, end, self._scope)
        self._statement = begin
        self._operation = ""
        self._pending: list[tuple[Token, int]] = []
        self._used: list[tuple[_Scope, Token]] = []
        self._open: list[tuple[str, int, str, _Scope | None]] = []
        """Brackets: which, where, the operation around, the scope to go back to (of a region)."""

    def read(self) -> None:
        """Reads it."""
        for at, token in enumerate(self._tokens):
            match token.kind:
                case "value":
                    self._value(at, token)
                case "label":
                    self._label(at, token)
                case "symbol" | "alias":
                    self._global(at, token)
                case "word" | "string":
                    self._word(at, token)
                case "mark":
                    self._mark(at, token)
                case _:
                    pass
        end = len(self._index.text)
        for bracket, begin, _, scope in reversed(self._open):
            if bracket == "{" and scope is not None:
                self._index.note_region(begin, end, self._scope)
                self._scope = scope
        for scope, token in self._used:
            self._use(scope.find(token.text) or self._unknown(scope, token), token)

    def _text(self, at: int) -> str:
        return self._tokens[at].text if 0 <= at < len(self._tokens) else ""

    def _kind(self, at: int) -> Kind | None:
        return self._tokens[at].kind if 0 <= at < len(self._tokens) else None

    def _is_operation(self, at: int) -> bool:
        """Whether the name of an operation stands there."""
        if self._kind(at) == "string":
            return self._text(at + 1) == "("
        return self._kind(at) == "word" and "." in self._text(at)

    def _value(self, at: int, token: Token) -> None:
        behind = at + 1
        if self._text(behind) == ":" and self._kind(behind + 1) == "number":
            behind += 2  # %x:2 = ...
        if self._text(behind) == "=" and self._is_operation(behind + 1):
            self._results(at)
        elif self._text(at + 1) == "=" and self._kind(at + 2) == "value":
            self._pending.append((token, self._statement))  # an argument of the region that comes
        elif self._text(at + 1) == ":" and self._open and self._open[-1][0] == "(":
            is_of_label = self._open[-1][2] == "^"
            if is_of_label:
                self._define(token, self._statement, len(self._arguments()), is_argument=True)
            else:
                self._pending.append((token, self._statement))
        elif not self._is_result_before(at):
            self._used.append((self._scope, token))

    def _arguments(self) -> list[Name]:
        return [name for name in self._scope.values.values() if name.is_argument]

    def _is_result_before(self, at: int) -> bool:
        """Whether it is one of several results, not the last: `%a, %b = ...`."""
        while self._text(at + 1) == "," and self._kind(at + 2) == "value":
            at += 2
            if self._text(at + 1) == "=":
                return self._is_operation(at + 2)
        return False

    def _results(self, at: int) -> None:
        first = at
        while self._text(first - 1) == "," and self._kind(first - 2) == "value":
            first -= 2
        self._statement = self._tokens[first].begin
        for index, place in enumerate(range(first, at + 1, 2)):
            self._define(self._tokens[place], self._statement, index)

    def _define(
        self, token: Token, statement: int, index: int, *, is_argument: bool = False
    ) -> None:
        if token.text in self._scope.values:  # twice: the text is wrong, and the first counts
            self._used.append((self._scope, token))
            return
        name = Name(token.kind, token.text, token, statement, index, is_argument)
        self._scope.values[token.text] = name
        self._index.names.append(name)
        self._index.note(name, token)

    def _unknown(self, scope: _Scope, token: Token) -> Name:
        name = scope.values[token.text] = Name(token.kind, token.text)
        self._index.names.append(name)
        return name

    def _use(self, name: Name, token: Token) -> None:
        name.uses.append(token)
        self._index.note(name, token)

    def _global(self, at: int, token: Token) -> None:
        text = token.text
        if token.kind == "symbol" and text.startswith('@"'):
            text = "@" + text[2:-1]
        name = self._globals.get((token.kind, text))
        if name is None:
            name = self._globals[token.kind, text] = Name(token.kind, text)
            self._index.names.append(name)
        is_definition = (
            token.kind == "alias" and not self._open and self._text(at + 1) == "="
        ) or (
            token.kind == "symbol"
            and self._operation in _symbol_operations()
            and self._text(at - 1) in (self._operation, "private", "public", "nested")
        )
        if not is_definition or name.definition is not None:
            self._use(name, token)
            return
        name.definition = token
        if token.kind != "symbol":
            self._statement = token.begin
        name.statement = self._statement
        self._index.note(name, token)

    def _label(self, at: int, token: Token) -> None:
        if self._text(at + 1) not in ("(", ":") or not self._begins(at):
            self._used.append((self._scope, token))
            return
        self._define(token, token.begin, 0)
        self._operation = "^"  # the arguments of the block come

    def _begins(self, at: int) -> bool:
        """Whether a line begins with it."""
        begin = self._tokens[at].begin
        line = self._index.text.rfind("\n", 0, begin) + 1
        return not self._index.text[line:begin].strip()

    def _word(self, at: int, token: Token) -> None:
        if token.kind == "word" and token.text == "sym_name":
            self._generic_symbol(at)
        if not self._is_operation(at) or self._text(at + 1) in _KEYS:
            return
        if self._open and self._open[-1][0] != "{":
            return  # a word of a type or of an attribute
        if self._open and self._open[-1][3] is None:
            return  # in a dictionary
        self._operation = token.text.strip('"')
        if self._text(at - 1) != "=":
            self._statement = token.begin

    def _generic_symbol(self, at: int) -> None:
        """`sym_name = "main"`, as the generic form defines symbols."""
        if self._text(at + 1) != "=" or self._kind(at + 2) != "string":
            return
        token = self._tokens[at + 2]
        text = "@" + token.text.strip('"')
        name = self._globals.get(("symbol", text))
        if name is None:
            name = self._globals["symbol", text] = Name("symbol", text)
            self._index.names.append(name)
        if name.definition is None:
            name.definition, name.statement = token, self._statement
        self._index.note(name, token)

    def _mark(self, at: int, token: Token) -> None:
        match token.text:
            case "{" if self._opens_region(at):
                self._open.append(("{", token.begin, self._operation, self._scope))
                self._scope = _Scope(self._scope)
                for index, (argument, statement) in enumerate(self._pending):
                    self._define(argument, statement, index, is_argument=True)
                self._pending.clear()
                self._operation = ""
            case "(" | "[" | "{":
                self._open.append((token.text, token.begin, self._operation, None))
            case ")" | "]" | "}":
                self._close(token)
            case _:
                pass

    def _close(self, token: Token) -> None:
        wanted = {")": "(", "]": "[", "}": "{"}[token.text]
        while self._open:
            bracket, begin, operation, scope = self._open.pop()
            if scope is not None:
                self._index.note_region(begin, token.end, self._scope)
                self._scope = scope
                self._operation = operation
            if bracket == wanted:
                return

    def _opens_region(self, at: int) -> bool:
        """Whether operations stand in these braces; else they are a dictionary."""
        if self._text(at - 1) in ("attributes", "<", "="):
            return False
        kind = self._kind(at + 1)
        if kind in ("value", "label"):
            return True
        if kind == "string":
            return self._text(at + 2) == "("
        if kind == "word":
            return "." in self._text(at + 1) and self._text(at + 2) not in ("=", ",")
        return self._operation in _symbol_operations() | {"builtin.module", "module"}
