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

from xdsl.dialects.builtin import LocationAttr, UnknownLoc
from xdsl.ir import Attribute, Operation, SSAValue, TypeAttribute
from xdsl.printer import Printer

from furiosa_ir.ir.constants import TextAlias
from furiosa_ir.ir.text_names import Names

WIDTH = 160
"""Columns of a line, where it can be broken; those of aliases behind the module never are."""


def module_text(module: Operation, *, locations: bool, generic: bool) -> str:
    """The text of a module, or of any operation, without a digest.

    Args:
        module: what to print.
        locations: whether layers' names are printed.
        generic: MLIR's generic form instead of the operations' own.
    """
    names = Names(module)
    stream = io.StringIO()
    printer = TextPrinter(stream, print_debuginfo=locations, print_generic_format=generic)
    printer.names = names
    printer.print_op(module)
    text = stream.getvalue()
    if generic:
        return text
    lines = [*_aliases("!", names.types, printer), *text.split("\n")]
    behind = names.constants | names.locations if locations else names.constants
    return "\n".join([*map(_wrapped, lines), *_aliases("#", behind, printer)])


def _aliases(sigil: str, aliases: Mapping[str, Attribute], printer: TextPrinter) -> Iterator[str]:
    for name, attribute in aliases.items():
        yield f"{sigil}{name} = {printer.definition(attribute)}"


@dataclass(eq=False, repr=False)
class TextPrinter(Printer):
    """xDSL's printer with names and aliases.

    Attributes:
        names: those of what is printed; None: there are no aliases.
    """

    names: Names | None = None
    _is_defining: bool = False

    @property
    def by_reference(self) -> bool:
        """Whether what is large is printed as the digest that a file beside the text has it under.

        Else it stands in the text.
        """
        return self.names is not None and not self.print_generic_format

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
        if sigils is None or self._is_defining:
            return None
        name = self.names.alias_of.get(attribute)
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
