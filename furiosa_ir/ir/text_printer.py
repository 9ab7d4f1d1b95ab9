"""Prints modules: names for values, aliases for what is long, lines that fit a screen.

Types stand as aliases in front of the module (`!conv1 = !quant.uniform<...>`), what begins with
`#` behind it, as MLIR's locations do: constants by the digest that the safetensors file beside the
text has them under, and layers. The generic form has neither, and says everything in place: it is
for other tools.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import LocationAttr, ModuleOp, UnknownLoc
from xdsl.ir import Attribute, Operation, SSAValue, TypeAttribute
from xdsl.printer import Printer

from furiosa_ir.ir.constants import BlobAttr, TextAlias
from furiosa_ir.ir.text_names import Names

WIDTH = 160
"""Columns of a line, where it can be broken; those of aliases behind the module never are."""


@dataclass(frozen=True)
class Style:
    """How IR is printed.

    Attributes:
        locations: whether layers' names are printed.
        generic: MLIR's generic form instead of the operations' own.
        elide: leave large constants out: the text is for people, and refused where it is read.
    """

    locations: bool = True
    generic: bool = False
    elide: bool = False


def module_text(module: Operation, style: Style) -> str:
    """The text of a module, or of any operation, without a digest."""
    printer = _printer(module, style)
    printer.print_op(module)
    text = printer.taken()
    if style.generic:
        return text
    names = printer.known
    lines = [*_aliases("!", names.types, printer), *text.split("\n")]
    behind = names.constants | names.locations if style.locations else names.constants
    return "\n".join([*map(_wrapped, lines), *_aliases("#", behind, printer)])


def operation_texts(module: Operation, style: Style) -> OperationTexts:
    """The texts of single operations of a module, of which each thing is called as in its text."""
    return OperationTexts(_printer(module, style), style)


def brief_text(attribute: Attribute) -> str:
    """An attribute or a type in a sentence: without what is large in it."""
    printer = _printer(ModuleOp([]), Style(locations=False, elide=True))
    printer.print_attribute(attribute)
    return printer.taken()


def _printer(module: Operation, style: Style) -> TextPrinter:
    printer = TextPrinter(
        io.StringIO(), print_debuginfo=style.locations, print_generic_format=style.generic
    )
    printer.names, printer.elides = Names(module), style.elide
    return printer


class OperationTexts:
    """Texts of single operations, types and values, and the aliases that they mention."""

    def __init__(self, printer: TextPrinter, style: Style) -> None:
        self._printer, self._style = printer, style
        self._names = printer.known

    def operation(self, op: Operation) -> str:
        """An operation, in as many lines as it needs."""
        self._printer.print_op(op)
        return "\n".join(map(_wrapped, self._printer.taken().split("\n")))

    def typed_value(self, value: SSAValue) -> str:
        """`%name : type`."""
        self._printer.print_ssa_value(value)
        self._printer.print_string(" : ")
        self._printer.print_attribute(value.type)
        return self._printer.taken()

    def definitions(self, text: str) -> tuple[list[str], list[str]]:
        """The aliases that a text mentions, and those that these mention: types, and others."""
        if self._style.generic:
            return [], []
        names = self._names
        known = {
            **{f"!{name}": attribute for name, attribute in names.types.items()},
            **{f"#{name}": a for name, a in (names.constants | names.locations).items()},
        }
        found: dict[str, str] = {}
        pending = [text]
        while pending:
            for name in dict.fromkeys(_ALIAS.findall(pending.pop())):
                if name in known and name not in found:
                    found[name] = f"{name} = {self._printer.definition(known[name])}"
                    pending.append(found[name].partition(" = ")[2])
        lines = [found[name] for name in known if name in found]
        return [_wrapped(n) for n in lines if n[0] == "!"], [n for n in lines if n[0] == "#"]


_ALIAS = re.compile(r"[!#][A-Za-z_]\w*+")


def _aliases(sigil: str, aliases: Mapping[str, Attribute], printer: TextPrinter) -> Iterator[str]:
    for name, attribute in aliases.items():
        if not printer.is_elided(attribute):
            yield f"{sigil}{name} = {printer.definition(attribute)}"


@dataclass(eq=False, repr=False)
class TextPrinter(Printer):
    """xDSL's printer with names and aliases.

    Attributes:
        names: those of what is printed; None: there are no aliases.
        elides: whether large constants are left out.
    """

    names: Names | None = None
    elides: bool = False
    _is_defining: bool = False

    @property
    def by_reference(self) -> bool:
        """Whether what is large is printed as the digest that a file beside the text has it under.

        Else it stands in the text.
        """
        return self.names is not None and not self.print_generic_format

    @property
    def known(self) -> Names:
        """The names, of a printer that has some."""
        assert self.names is not None
        return self.names

    def taken(self) -> str:
        """What has been printed, which is forgotten."""
        assert isinstance(self.stream, io.StringIO)
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        return text

    def is_elided(self, attribute: Attribute) -> bool:
        """Whether nothing of a constant is printed, so that no alias is worth its line."""
        return self.elides and isinstance(attribute, BlobAttr) and not attribute.prints_inline

    def definition(self, attribute: Attribute) -> str:
        """What an alias of an attribute stands for."""
        stream = io.StringIO()
        saved, self.stream, self._is_defining = self.stream, stream, True
        try:
            self.print_attribute(attribute)
        finally:
            self.stream, self._is_defining = saved, False
        return stream.getvalue()

    def print_ssa_value(self, value: SSAValue) -> str:
        name = None if self.names is None else self.names.values.get(value)
        if name is None:
            return super().print_ssa_value(value)
        self.print_string(f"%{name}")
        return name

    def print_op(self, op: Operation) -> None:
        if self.names is None or op not in self.names.forward:
            super().print_op(op)
            return
        saved, self.print_generic_format = self.print_generic_format, True
        try:
            super().print_op(op)
        finally:
            self.print_generic_format = saved

    def print_attribute(self, attribute: Attribute) -> None:
        if self.by_reference:
            if isinstance(attribute, UnknownLoc) and not self.printing_location:
                self._retract_blank()
                return
            alias = self._alias(attribute)
            if alias is not None:
                self.print_string(alias)
                return
        super().print_attribute(attribute)

    def _alias(self, attribute: Attribute) -> str | None:
        if isinstance(attribute, LocationAttr):
            sigils = None if self.printing_location else ("loc(#", ")")
        elif isinstance(attribute, TextAlias):
            sigils = ("!" if isinstance(attribute, TypeAttribute) else "#", "")
        else:
            return None
        assert self.names is not None
        if sigils is None or self._is_defining or self.is_elided(attribute):
            return None
        name = self.names.alias(attribute)
        return None if name is None else f"{sigils[0]}{name}{sigils[1]}"

    def _retract_blank(self) -> None:
        """An unknown location says nothing: the blank in front of it goes, too."""
        stream = self.stream
        assert isinstance(stream, io.StringIO)
        end = stream.tell()
        stream.seek(end - 1)
        if stream.read(1) == " ":
            stream.seek(end - 1)
            stream.truncate()


_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*+"'  # kept whole, as are short lists and types
    r'|\([^()\[\]{}<>"]{0,60}+\)|\[[^()\[\]{}<>"]{0,60}+\]|<[^<>"{}]{0,80}+>'
    r"|(?P<after>, )|(?P<before> (?:: |-> |loc\(|attributes \{|\{(?=.)))"
    r"|(?P<open>[(\[{<])|(?P<close>[)\]}>])"
)


def _wrapped(line: str) -> str:
    """A line in lines of at most WIDTH columns, as far as it can be broken."""
    if len(line) <= WIDTH:
        return line
    breaks = _breaks(line)
    own = len(line) - len(line.lstrip(" "))
    indent, lines, begin, first = " " * own, list[str](), own, 0
    while len(line) - begin > WIDTH - len(indent) and first < len(breaks):
        first = _best(breaks, first, begin, begin + WIDTH - len(indent))
        end, _ = breaks[first]
        first += 1
        lines.append(indent + line[begin:end].strip(" "))
        begin, indent = end, " " * (own + 4)
    return "\n".join([*lines, indent + line[begin:].strip(" ")])


def _best(breaks: Sequence[tuple[int, int]], first: int, begin: int, end: int) -> int:
    """Which of the breaks from `first` on: rather around brackets than within them, and late."""
    best = first
    for i in range(first, len(breaks)):
        at, depth = breaks[i]
        if at > end + 1:  # the blank there goes
            break
        is_early = breaks[best][0] - begin < (end - begin) // 3
        if is_early or depth <= breaks[best][1]:
            best = i
    return best


def _breaks(line: str) -> list[tuple[int, int]]:
    """Where a line can be broken, and within how many brackets each place is."""
    places: list[tuple[int, int]] = []
    depth = 0
    for found in _TOKEN.finditer(line):
        match found.lastgroup:
            case "after":
                places.append((found.end(), depth))
            case "before":
                is_type = found[0] == " : " and depth > 0  # of a number
                if not is_type:
                    places.append((found.start() + 1, depth))
                depth += found[0].count("(") + found[0].count("{")
            case "open":
                depth += 1
            case "close":
                depth -= 1
            case _:
                pass
    return places
