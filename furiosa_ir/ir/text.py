"""IR as text: MLIR syntax in `NAME.mlir`, large constants in `NAME.safetensors` beside it.

Text never holds the elements of a large constant, and parses back to the same module, locations
included (`ir.equivalence` says what "the same" is).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any
from weakref import ref

from xdsl.context import Context
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    IntegerAttr,
    ModuleOp,
    RankedStructure,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.parser import AttrParser, Parser
from xdsl.parser.generic_parser import ParserState
from xdsl.utils.exceptions import ParseError
from xdsl.utils.lexer import Input, Span
from xdsl.utils.mlir_lexer import MLIRLexer, MLIRToken, MLIRTokenKind, StringLiteral

from furiosa_ir.errors import FuriosaError, ImportFailure
from furiosa_ir.files import check_writable, whole_file, write_failure
from furiosa_ir.ir.constant_file import read_constants, write_constants
from furiosa_ir.ir.constants import (
    INLINE_ELEMENTS,
    PARSE_TABLES,
    BlobAttr,
    Constant,
    ConstantTable,
    TextAlias,
)
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.history import resume, with_digest
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.positions import Positions
from furiosa_ir.ir.text_aliases import AliasTable, attribute_parts
from furiosa_ir.ir.text_check import check_text
from furiosa_ir.ir.text_errors import raise_at, undefined, unknown_operation
from furiosa_ir.ir.text_format import constants_path, constants_to_read
from furiosa_ir.ir.text_printer import Style, module_text
from furiosa_ir.ir.verifier import OperationFailure, verify_module
from furiosa_ir.limits import Budget, limit, way_out
from furiosa_ir.plugins import raise_plugin_failure
from furiosa_ir.spans import span

_LOG = logging.getLogger(__name__)


def print_module(
    module: ModuleOp, *, locations: bool = True, generic: bool = False, elide: bool = False
) -> str:
    """The module as text.

    A module with a history ends in a comment by which `ir.history` finds out whether the text has
    been edited.

    Args:
        module: what to print.
        locations: print the layers' names.
        generic: print operations in MLIR's generic form and everything where it belongs, for tools
            that do not know these dialects.
        elide: leave large constants out: such text is for people, and refused where it is read.
    """
    with span("print"):
        text = module_text(module, Style(locations, generic, elide))
        return with_digest(module, text)


def parse_module(
    text: str,
    table: ConstantTable | None = None,
    *,
    name: str = "<text>",
    context: Context | None = None,
    positions: Positions | None = None,
    verify: bool = True,
    resumed: bool = False,
) -> ModuleOp:
    """The module that a text describes, verified.

    Args:
        text: one module, or the operations of one.
        table: the constants that the text refers to by digest.
        name: the file, for errors.
        context: the dialects; default: all of the project's.
        positions: is filled with the place of each operation in the text.
        verify: whether the module must verify.
        resumed: whether a compile goes on from here, which the module's history then says.

    Raises:
        ImportFailure: the text does not parse; the message begins with `file:line:column`.
        OperationFailure: it does not verify; its `diagnostics` name each operation's place.
    """
    positions = Positions() if positions is None else positions
    text = text.removeprefix("\ufeff")  # a byte order mark
    positions.text, positions.name = text, name
    with span("parse"):
        check_text(text, name)
    if table is not None:
        PARSE_TABLES.append(table)
    parser: _Parser | None = None
    try:
        with span("parse"):
            parser = _Parser(context or make_context(), text, name, positions)
            module = parser.parse_module()
    except ParseError as error:
        raise_at(undefined(text, error) or error.span, error.msg, error)
    except (RecursionError, MemoryError) as error:
        raise ImportFailure("is nested too deeply", file=name) from error
    except Exception as error:  # attributes and dialects raise what they like
        assert parser is not None
        if not isinstance(error, FuriosaError):
            raise_plugin_failure(error)
        elif error.file is not None:  # of constants, which lie in another
            raise
        message = error.message if isinstance(error, FuriosaError) else str(error)
        hint = error.hint if isinstance(error, FuriosaError) else None
        if isinstance(error, NotImplementedError) and not message:
            message = "numbers of that type cannot be read"  # of 80 and 128 bits, in xDSL
        raise_at(parser.span, message or type(error).__name__, error, hint)
    finally:
        if table is not None:
            PARSE_TABLES.pop()
    if table is not None:
        parsed = ref(module)  # the module holds the constants, which hold the table
        table.layer_of = lambda constant: _layer_of(constant, parsed())
    if verify:
        _verify(module, positions)
    if resumed:
        try:
            resume(module, text)
        except FuriosaError as error:
            raise error.at(file=name) from None
    return module


def _layer_of(constant: Constant, module: ModuleOp | None) -> str | None:
    """The layer whose operation holds a constant, or computes with what holds it."""
    for op in module.walk() if module is not None else ():
        attributes = (*op.properties.values(), *op.attributes.values())
        found = (c for held in attributes for c in _constants(held, set(), generic=False))
        if any(constant is c for c in found):
            users = (use.operation for result in op.results for use in result.uses)
            return next((name for name in map(layer_name, (op, *users)) if name), None)
    return None


def _verify(module: ModuleOp, positions: Positions) -> None:
    try:
        with span("verification"):
            verify_module(module)
    except OperationFailure as error:
        count = len(error.failures) + error.unlisted
        raise OperationFailure.of_all(error.failures, count, positions.of).at(
            file=positions.name
        ) from error


def write_module(
    module: ModuleOp,
    path: Path | str,
    *,
    locations: bool = True,
    generic: bool = False,
    elide: bool = False,
    paint: Callable[[str], str] | None = None,
    header: str = "",
) -> None:
    """Writes the module's text, and its large constants beside it; each file whole or not at all.

    Where the text goes to a stream (`streams`), the constants are left out, with a warning.

    Args:
        module: what to write.
        path: where.
        locations, generic: as of `print_module`.
        elide: as of `print_module`; then there is no file of constants.
        paint: colours the text where it goes to a stream.
        header: comments in front of the text.

    Raises:
        FuriosaError: a file cannot be written.
    """
    path = Path(path)
    beside = constants_path(path)
    with span("constants"):
        constants = [] if elide else list(large_constants(module, generic=generic))
    stream = check_writable(path)
    if constants and stream is not None:
        if stream.descriptor is not None:  # else it is /dev/null or so
            _LOG.warning("%s: the text's constants have no file beside it, and are left out", path)
        constants = []
    text = print_module(module, locations=locations, generic=generic, elide=elide)
    text = f"{header}{text}\n"
    if paint is not None and stream is not None:
        text = paint(text)
    failing = path
    try:
        with span("write"), whole_file(path) as file:
            # An old text keeps its old constants unless the new text is on the disk.
            file.write(text.encode())
            file.flush()
            if constants:
                failing = beside
                write_constants(constants, beside)
                failing = path
    except OSError as error:
        raise write_failure(failing, error) from error


def read_module(
    path: Path | str,
    *,
    context: Context | None = None,
    positions: Positions | None = None,
    resumed: bool = False,
) -> ModuleOp:
    """The module of a text file, and of the safetensors file beside it if there is one; verified.

    Context, positions and resumed are those of `parse_module`.

    Raises:
        ImportFailure: a file is missing or unsound; the message says where.
        OperationFailure: what it describes does not verify.
    """
    path = Path(path)
    try:
        if (size := path.stat().st_size) > limit("TEXT_BYTES"):
            raise ImportFailure(
                f"the text has {size} bytes", file=str(path), hint=way_out("TEXT_BYTES")
            )
        text = path.read_text(encoding="utf-8")
        beside = constants_to_read(path)
        table = read_constants(beside) if beside.exists() else None
    except OSError as error:
        file = str(error.filename or path)
        raise ImportFailure(f"cannot be read: {error.strerror}", file=file) from error
    except UnicodeDecodeError:
        raise ImportFailure("is not text", file=str(path)) from None
    return parse_module(
        text, table, name=str(path), context=context, positions=positions, resumed=resumed
    )


def large_constants(module: Operation, *, generic: bool = False) -> Iterator[Constant]:
    """Every constant in the module that text refers to by digest, each once."""
    seen: set[int] = set()
    for op in module.walk():
        arguments = (a.type for region in op.regions for block in region.blocks for a in block.args)
        held = (*op.properties.values(), *op.attributes.values(), *op.result_types, *arguments)
        for attribute in held:
            yield from _constants(attribute, seen, generic=generic)


def _constants(attribute: Attribute, seen: set[int], *, generic: bool) -> Iterator[Constant]:
    if id(attribute) in seen:
        return
    seen.add(id(attribute))  # the module keeps it alive
    if isinstance(attribute, BlobAttr) or (isinstance(attribute, TextAlias) and not generic):
        yield from attribute.text_constants()
    for part in attribute_parts(attribute):
        yield from _constants(part, seen, generic=generic)


_ALIASES = (MLIRTokenKind.HASH_IDENT, MLIRTokenKind.EXCLAMATION_IDENT)

_NO_OPERATION = re.compile(r"[ \t\r]*+(?:[#!][\w$.-]++[ \t]*+=[^\n]*+|//[^\n]*+)?+(?:\n|$)")
"""A line that holds an alias, a comment or nothing."""


_INTEGER = re.compile(r"-?[0-9]++")
_INTEGERS = r"(?P<numbers>(?:-?[0-9]++\s*+,\s*+)*+-?[0-9]++\s*+)"
_ROW = re.compile(rf"\[\s*+{_INTEGERS}\]", re.ASCII)
_REST_OF_ARRAY = re.compile(rf"<i64:\s*+{_INTEGERS}>", re.ASCII)
_BEYOND_I64 = 1 << 63
_ROW_OR_ARRAY = re.compile(rf"(?:(?P<row>\[)|array<i64:)\s*+{_INTEGERS}(?(row)\]|>)", re.ASCII)


class _Lexer(MLIRLexer):
    """xDSL's lexer (0.74), which takes a string with escaped non-ASCII letters for bytes.

    Its own expression for strings takes time exponential in the length of one that does not end,
    that for blanks and comments a hundred bytes for each of them.
    """

    _whitespace_regex = re.compile(r"(?://[^\n]*+|\s++)*+", re.ASCII)
    _unescaped_characters_regex = re.compile(r'"(?:[^"\\\n\v\f]++|\\(?:["nt\\]|[0-9A-Fa-f]{2}))*+"')

    def _lex_string_literal(self, start_pos: int) -> MLIRToken:
        token = super()._lex_string_literal(start_pos)
        if token.kind is not MLIRTokenKind.BYTES_LIT:
            return token
        literal = StringLiteral.from_span(token.span)
        try:
            literal.bytes_contents.decode()
        except UnicodeDecodeError:
            return token
        return MLIRToken(MLIRTokenKind.STRING_LIT, literal)


class _Parser(Parser):
    """xDSL's parser, remembering where each operation stands."""

    def __init__(self, context: Context, text: str, name: str, positions: Positions) -> None:
        super().__init__(context, "", name)
        self._parser_state = ParserState(_Lexer(Input(text, name)))
        self._positions = positions
        self._begin: Span[str] | None = None
        self.attribute_aliases = AliasTable()
        self._aliases_read: set[str] = set()
        self._dense_elements = Budget(limit("DENSE_ELEMENTS"), _too_many_elements)

    @property
    def span(self) -> Span[str]:
        """The token that the parser has come to."""
        return self._current_token.span

    def parse_module(self, allow_implicit_module: bool = True) -> ModuleOp:
        self._parse_trailing_aliases()
        return super().parse_module(allow_implicit_module)

    def _parse_trailing_aliases(self) -> None:
        """Reads the aliases behind the module first: mlir-opt puts those of locations there."""
        text = self._parser_state.lexer.input.content
        begin = len(text)
        while begin:
            line = text.rfind("\n", 0, begin - 1) + 1
            if _NO_OPERATION.match(text, line) is None:
                break
            begin = line
        if not begin or "#" not in text[begin:]:
            return
        for start in (0, begin):
            self._resume_from(start)
            while self._current_token.kind in _ALIASES:
                self._parse_alias_def()
        self._aliases_read = set(self.attribute_aliases)
        self._resume_from(0)

    def _parse_alias_def(self) -> None:
        name = self._current_token.text
        if name not in self._aliases_read:
            super()._parse_alias_def()
            return
        # The same line again is no second declaration; the table keeps what it has.
        self._aliases_read.remove(name)
        self._consume_token()
        self.parse_punctuation("=")
        self.parse_attribute()

    def _register_ssa_definition(
        self, name: str, values: Sequence[SSAValue], span: Span[str]
    ) -> None:
        """Keeps all of a value's name: xDSL drops a number at its end, which layers have, too."""
        super()._register_ssa_definition(name, values, span)
        if SSAValue.is_valid_name(name):
            for value in values:
                value._name = name  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def parse_operation(self) -> Operation:
        span = self._begin = self._current_token.span
        op = super().parse_operation()
        self._positions[op] = span.start
        return op

    def _parse_tensor_literal(self) -> tuple[list[AttrParser._TensorLiteralElement], list[int]]:
        """A row of decimal integers at once: token by token, each takes 15 us."""
        row = self._integer_row()
        if row is None:
            return super()._parse_tensor_literal()
        source = self._parser_state.lexer.input
        elements = [
            self._TensorLiteralElement(
                number[0][0] == "-", int(number[0]), Span(*number.span(), source)
            )
            for number in row
        ]
        return elements, [len(elements)]

    def _parse_optional_array_attr(self) -> ArrayAttr[Attribute] | None:
        """The same of a list in the generic form: a number without a type has 64 bits."""
        numbers = self._optional_i64s(_ROW)
        if numbers is None:
            return super()._parse_optional_array_attr()
        known = {n: IntegerAttr(n, i64) for n in set(numbers)}
        return ArrayAttr([known[n] for n in numbers])

    def _parse_builtin_densearray_attr(self) -> DenseArrayBase[Any] | None:
        """The same of what stands behind `array`."""
        numbers = self._optional_i64s(_REST_OF_ARRAY)
        if numbers is None:
            return super()._parse_builtin_densearray_attr()
        return DenseArrayBase.from_list(i64, numbers)

    def _optional_i64s(self, row: re.Pattern[str]) -> list[int] | None:
        """The numbers of `_integer_row`; None, and nothing read, if one is not of 64 bits."""
        begin = self._current_token.span.start
        found = self._integer_row(row)
        if found is None:
            return None
        numbers = [int(number[0]) for number in found]
        if all(-_BEYOND_I64 <= n < _BEYOND_I64 for n in numbers):
            return numbers
        self._resume_from(begin)
        return None

    def parse_optional_integers(self) -> list[int] | None:
        """A row or a dense array (`ir.attribute_values.ReadsIntegers`)."""
        row = self._integer_row(_ROW_OR_ARRAY)
        return None if row is None else [int(number[0]) for number in row]

    def _integer_row(self, row: re.Pattern[str] = _ROW) -> list[re.Match[str]] | None:
        """The numbers of `[1, -2]`, what `row` names `numbers`; the parser goes on behind it."""
        text = self._parser_state.lexer.input.content
        found = row.match(text, self._current_token.span.start)
        if found is None:
            return None
        self._resume_from(found.end())
        return list(_INTEGER.finditer(text, *found.span("numbers")))

    def _parse_dense_literal_type(self) -> RankedStructure[Any]:
        made = super()._parse_dense_literal_type()
        self.take_elements(prod(made.get_shape()))
        return made

    def take_elements(self, count: int) -> None:
        """Counts what one element of the text stands for (`ir.constants.CountsElements`)."""
        self._dense_elements.take(count)

    def _get_op_by_name(self, name: str) -> type[Operation]:
        try:
            return super()._get_op_by_name(name)
        except ParseError as error:
            # xDSL says where the next token is, which may be lines below.
            message = unknown_operation(name, self.ctx)
            raise ParseError(self._span_behind_results(name) or error.span, message) from None

    def _span_behind_results(self, name: str) -> Span[str] | None:
        """Where the name of the operation stands that is being read."""
        if self._begin is None:
            return None
        begin = self._parser_state.lexer.input.content.find(name, self._begin.start)
        return Span(begin, begin + len(name), self._begin.input)


def _too_many_elements() -> ImportFailure:
    return ImportFailure(
        "its dense attributes and repeated elements stand for too many elements",
        hint=f"large constants are #graph.blob; {way_out('DENSE_ELEMENTS')}",
    )


__all__ = [
    "INLINE_ELEMENTS",
    "large_constants",
    "parse_module",
    "print_module",
    "read_module",
    "write_module",
]
