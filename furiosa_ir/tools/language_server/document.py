"""One text as IR: what is wrong with it, and which operation stands where."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from furiosa_ir.errors import Diagnostic, FuriosaError
from furiosa_ir.ir.constant_file import read_constants
from furiosa_ir.ir.constants import ConstantTable
from furiosa_ir.ir.positions import Positions
from furiosa_ir.ir.text import parse_module
from furiosa_ir.ir.text_format import constants_to_read, split_parts
from furiosa_ir.ir.verifier import verify_module
from furiosa_ir.tools.language_server.text_index import Name, TextIndex


@dataclass(frozen=True)
class Fault:
    """Something that is wrong.

    Attributes:
        begin, end: where, in characters from the beginning of the text.
        message: one sentence, with the way out if there is one.
    """

    begin: int
    end: int
    message: str


@dataclass
class _Analysis:
    """What reading the text as IR gave."""

    faults: list[Fault] = field(default_factory=list[Fault])
    operations: dict[int, Operation] = field(default_factory=dict[int, Operation])
    modules: list[ModuleOp] = field(default_factory=list[ModuleOp])  # which hold the operations


class Document:
    """A text, read when somebody asks.

    Args:
        text: all of it, of one module or several between `// -----` lines.
        path: its file, beside which its constants lie; None: it has none.
    """

    def __init__(self, text: str, path: Path | None = None) -> None:
        self.text, self.path = text, path

    @cached_property
    def index(self) -> TextIndex:
        """Its names."""
        return TextIndex(self.text)

    @property
    def faults(self) -> list[Fault]:
        """All that parser and verifier find."""
        return self._analysis.faults

    @cached_property
    def _analysis(self) -> _Analysis:
        made = _Analysis()
        table: ConstantTable | None = None
        try:
            beside = None if self.path is None else constants_to_read(self.path)
            if beside is not None and beside.exists():
                table = read_constants(beside)
        except FuriosaError as error:
            made.faults.append(Fault(0, self._end_of_line(0), str(error)))
        for begin, part in split_parts(self.text):
            self._read(begin, part, table, made)
        return made

    def _read(self, begin: int, part: str, table: ConstantTable | None, made: _Analysis) -> None:
        positions = Positions()
        try:
            module = parse_module(part, table, name="text", positions=positions, verify=False)
            made.modules.append(module)
            made.operations.update((begin + at, op) for op, at in positions.items())
            verify_module(module)
        except FuriosaError as error:
            placed = positions.placed(error)
            found = placed.diagnostics or (Diagnostic(placed.message),)
            made.faults.extend(self._fault(begin, part, each, placed) for each in found)
            if placed.unlisted:
                text = f"and {placed.unlisted} more"
                made.faults.append(Fault(begin, self._end_of_line(begin), text))

    def _fault(self, begin: int, part: str, found: Diagnostic, error: FuriosaError) -> Fault:
        at = begin
        if found.line:
            lines = part.split("\n")[: found.line - 1]
            at += sum(len(line) + 1 for line in lines) + found.column - 1
        at = min(at, len(self.text))
        token = self.index.token_at(at)
        end = token.end if token is not None and found.line else self._end_of_line(at)
        message = f"{found.message} ({error.hint})" if error.hint else found.message
        if found.layer:
            message = f"layer '{found.layer}': {message}"
        return Fault(at, max(end, at), message)

    def _end_of_line(self, at: int) -> int:
        end = self.text.find("\n", at)
        return len(self.text) if end < 0 else end

    @cached_property
    def _begins(self) -> list[int]:
        return sorted(self._analysis.operations)

    def operation_at(self, offset: int) -> Operation | None:
        """The operation whose text has begun last at a place; None where none has parsed."""
        at = bisect_right(self._begins, offset) - 1
        return self._analysis.operations[self._begins[at]] if at >= 0 else None

    def value_of(self, name: Name) -> SSAValue | None:
        """The value that a name is of; None where its operation has not parsed."""
        if name.definition is None:
            return None
        op = self._analysis.operations.get(name.statement)
        if op is None:
            return None
        if not name.is_argument:
            return op.results[name.index] if name.index < len(op.results) else None
        arguments = [a for region in op.regions for block in region.blocks for a in block.args]
        return arguments[name.index] if name.index < len(arguments) else None
