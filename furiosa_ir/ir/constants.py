"""Constants: handles into mapped memory that stand in the IR and never print their elements.

A `Constant` is an array that nobody copies: a view of the mapped model file or of a buffer. Its
SHA-256 is computed once, when it is first compared or printed. `#graph.blob<"sha">` refers to it by
that digest; at most 16 elements print in line: `#graph.blob<i32 [4] (1, 2, 3, 4)>`, and one element
that fills a shape by strides of 0, as `dense<7>` does in MLIR: `#graph.blob<i8 [4, 100] (7)>`. The
text form's elements live in a safetensors file beside it (see `furiosa_ir.ir.text`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import cached_property
from math import isfinite, prod
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from typing_extensions import override
from xdsl.ir import Data
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer

from furiosa_ir.errors import FuriosaError, ImportFailure
from furiosa_ir.ir.sizes import check_shape
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.element_types import COMMON

INLINE_ELEMENTS = 16
"""Constants of at most this many elements print in line."""


class Constant:
    """An immutable n-dimensional array, identified by its content.

    Args:
        array: the elements, or a function that makes them when they are first needed (then
            `shape` and `dtype` say what it will make).
    """

    def __init__(
        self,
        array: Array | Callable[[], Array],
        shape: tuple[int, ...] | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> None:
        if isinstance(array, np.ndarray):
            self._load: Callable[[], Array] | None = None
            self._array: Array | None = array
            self.shape: tuple[int, ...] = array.shape
            self.dtype: np.dtype[Any] = array.dtype
        else:
            assert shape is not None
            assert dtype is not None
            self._load = array
            self._array = None
            self.shape = shape
            self.dtype = dtype

    @property
    def array(self) -> Array:
        """The elements; do not write to them."""
        if self._array is None:
            assert self._load is not None
            self._array = self._load()
        return self._array

    @cached_property
    def digest(self) -> str:
        """SHA-256 over dtype, shape and elements, as hexadecimal digits."""
        head = f"{self.dtype.name}:{','.join(map(str, self.shape))}:".encode()
        state = hashlib.sha256(head)
        state.update(np.ascontiguousarray(self.array).reshape(-1).view(np.uint8).data)
        return state.hexdigest()

    @property
    def size(self) -> int:
        """How many elements."""
        return prod(self.shape)

    @property
    def is_splat(self) -> bool:
        """Whether it is one element in memory that fills the shape by strides of 0.

        Elements are not compared: what is not loaded yet is none, nor what only looks like one.
        """
        return self._array is not None and self.size > 1 and not any(self._array.strides)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Constant)
            and self.shape == other.shape
            and self.dtype == other.dtype
            and self.digest == other.digest
        )

    def __hash__(self) -> int:
        # By shape, not by content: hashing 25 MB to put an operation in a set would be absurd.
        return hash((self.shape, self.dtype.name))

    def __repr__(self) -> str:
        return f"Constant({self.dtype.name}{list(self.shape)})"


class StoredConstant(Constant):
    """A constant of a file that says which digest it has: believed until its elements are needed.

    Nothing is hashed that nobody uses, and what is used is read from the disk once: hashing is the
    first to touch it.

    Args:
        array: the elements, mapped.
        digest: as the file says.
        refusal: makes the error for elements that have another digest.
    """

    def __init__(
        self, array: Array, digest: str, refusal: Callable[[Constant], FuriosaError]
    ) -> None:
        super().__init__(lambda: self._checked(array, refusal), array.shape, array.dtype)
        self.__dict__["digest"] = digest

    def _checked(self, array: Array, refusal: Callable[[Constant], FuriosaError]) -> Array:
        if Constant(array).digest != self.digest:
            raise refusal(self)
        return array


class ConstantTable:
    """Digest -> constant: where the parser finds what `#graph.blob<"...">` stands for.

    Attributes:
        layer_of: names the layer that a constant belongs to, for errors; who parses sets it.
    """

    def __init__(self) -> None:
        self._by_digest: dict[str, Constant] = {}
        self.layer_of: Callable[[Constant], str | None] = lambda _: None

    def add(self, constant: Constant) -> None:
        """Makes the constant known by its digest."""
        self._by_digest[constant.digest] = constant

    def get(self, digest: str) -> Constant | None:
        """The constant of that digest, or None."""
        return self._by_digest.get(digest)

    def __len__(self) -> int:
        return len(self._by_digest)

    def __iter__(self) -> Iterator[Constant]:
        return iter(self._by_digest.values())


PARSE_TABLES: list[ConstantTable] = []
"""The stack of tables that a running parse looks constants up in (pushed by `ir.text`).

xDSL's attribute parser gives an attribute no access to anything but the text and the context, and
its context takes no user data; a stack that `ir.text` pushes and pops is the way in.
"""


@runtime_checkable
class CountsElements(Protocol):
    """A parser that lets one element stand for no more than so many in a text (`ir.text`'s)."""

    def take_elements(self, count: int) -> None:
        """Takes so many from what a text may have.

        Raises:
            ImportFailure: there are not so many left.
        """


class TextAlias:
    """An attribute that text names once, in a line of its own, where it is long.

    Its alias is called after the value or the operation that has it.
    """

    ALIAS_SUFFIX: ClassVar[str] = ""

    @property
    def needs_alias(self) -> bool:
        """Whether it is too long for where it stands."""
        raise NotImplementedError

    @property
    def alias_key(self) -> Hashable:
        """What equal attributes have in common, and hardly any others.

        Constants hash by their shapes, and thousands of one shape would all be compared.
        """
        return self

    def text_constants(self) -> Iterable[Constant]:
        """What text refers to by digest, beside the blobs that the attribute consists of."""
        return ()


_ELEMENTS = {element.mlir: element for element in COMMON}
_NAMES = {element.name: element.mlir for element in COMMON}


def element_name(dtype: np.dtype[Any]) -> str:
    """What MLIR calls elements of that dtype ("ui8"); numpy's name of one that it does not have."""
    return _common_name(dtype) or dtype.name


def _common_name(dtype: np.dtype[Any]) -> str | None:
    return _NAMES.get(dtype.name) if dtype.isnative else None


@irdl_attr_definition
class BlobAttr(Data[Constant], TextAlias):
    """`#graph.blob<"sha256">` or, up to 16 elements, `#graph.blob<i32 [2, 2] (1, 2, 3, 4)>`.

    A single element fills the shape: `#graph.blob<i8 [4, 100] (7)>`. `#graph.blob<elided>` is what
    text has that was printed without constants, for people alone.
    """

    name = "graph.blob"

    @staticmethod
    def of(array: Array | np.generic) -> BlobAttr:
        """The handle of an array (not copied), or of one of numpy's numbers.

        Raises:
            TypeError: it is something else, whose element type would be a guess.
        """
        elements = np.asanyarray(array)
        if elements is not array and not isinstance(array, np.generic):
            name = type(array).__name__
            raise TypeError(f"the elements of a constant are a numpy array, not of type '{name}'")
        return BlobAttr(Constant(elements))

    @property
    def array(self) -> Array:
        """The elements; do not write to them."""
        return self.data.array

    @property
    def prints_inline(self) -> bool:
        """Whether text shows its elements instead of its digest."""
        few = self.data.size <= INLINE_ELEMENTS or self.data.is_splat
        return few and _common_name(self.data.dtype) is not None and not _has_other_nans(self.data)

    @property
    @override
    def needs_alias(self) -> bool:
        return not self.prints_inline

    @property
    @override
    def alias_key(self) -> Hashable:
        return self.data.digest

    @override
    def text_constants(self) -> Iterable[Constant]:
        return () if self.prints_inline else (self.data,)

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Constant:
        with parser.in_angle_brackets():
            digest = parser.parse_optional_str_literal()
            if digest is not None:
                return constant_of_digest(parser, digest)
            refuse_elided(parser)
            name = parser.parse_identifier()
            if name not in _ELEMENTS:
                parser.raise_error(f"unknown element type '{name}'")
            shape = parser.parse_comma_separated_list(
                parser.Delimiter.SQUARE, lambda: parser.parse_integer(allow_boolean=False)
            )
            values = parser.parse_comma_separated_list(
                parser.Delimiter.PAREN, lambda: _parse_element(parser)
            )
        if min(shape, default=0) < 0 or len(values) not in (1, prod(shape)):
            parser.raise_error(f"{len(values)} elements do not fill the shape {shape}")
        check_shape(shape, "a constant")
        array = _elements(parser, values, name)
        if len(values) == prod(shape):
            return Constant(array.reshape(shape))
        if isinstance(parser, CountsElements):
            parser.take_elements(prod(shape))
        return Constant(np.broadcast_to(array[0], shape))

    def print_parameter(self, printer: Printer) -> None:
        constant = self.data
        with printer.in_angle_brackets():
            if not self.prints_inline:
                printer.print_string(ELIDED if elides(printer) else f'"{constant.digest}"')
                return
            name = element_name(constant.dtype)
            flat = constant.array.flat
            shown = [flat[0]] if constant.is_splat else flat
            elements = ", ".join(map(_element_text, shown))
            shape = ", ".join(map(str, constant.shape))
            printer.print_string(f"{name} [{shape}] ({elements})")


def _has_other_nans(constant: Constant) -> bool:
    """Whether a NaN among few elements, or a splat's, has other bits than that of text.

    What x86 makes of 0 / 0 has: its sign is set.
    """
    if constant.dtype.kind in "iub":
        return False
    first = (slice(0, 1),) * len(constant.shape)
    elements = (constant.array[first] if constant.is_splat else constant.array).reshape(-1)
    nans = elements[np.isnan(elements)]
    return nans.tobytes() != np.full_like(nans, np.nan).tobytes()


def _elements(parser: AttrParser, values: Sequence[float], name: str) -> Array:
    """Numbers of a text as elements, each of which must be one."""
    dtype = _ELEMENTS[name].dtype
    with np.errstate(over="ignore"):
        try:
            array = np.array(values, dtype)
        except (OverflowError, ValueError):
            array = np.zeros(len(values), dtype)
    for value, element in zip(values, array.tolist(), strict=True):
        is_same = element == value if dtype.kind in "iub" else isfinite(element) == isfinite(value)
        if not is_same:
            parser.raise_error(f"{value} is no {name}")
    return array


def constant_of_digest(parser: AttrParser, digest: str) -> Constant:
    """The constant of a running parse that has that digest.

    Raises:
        ParseError: there is none.
    """
    found = (table.get(digest) for table in reversed(PARSE_TABLES))
    constant = next((c for c in found if c is not None), None)
    if constant is None:
        parser.raise_error(f"no constant {digest[:12]}… in the safetensors file beside the text")
    return constant


def listed_constant(parser: AttrParser, digest: str, dtype: np.dtype[Any]) -> list[Any]:
    """The numbers of a constant that text refers to where it would list them.

    Raises:
        ParseError: there is none, or it is no list of that dtype.
    """
    constant = constant_of_digest(parser, digest)
    if constant.dtype != dtype or len(constant.shape) != 1:
        parser.raise_error(f"the constant {digest[:12]}… is no list of {element_name(dtype)}")
    if isinstance(parser, CountsElements):
        parser.take_elements(constant.size)
    return constant.array.tolist()


def prints_by_reference(printer: Printer) -> bool:
    """Whether a printer refers to what is large by its digest, instead of printing it."""
    return bool(getattr(printer, "by_reference", False))


ELIDED = "elided"
"""What stands in text where a constant was left out."""


def elides(printer: Printer) -> bool:
    """Whether a printer leaves large constants out, and what they are with them."""
    return bool(getattr(printer, "elides", False))


def refuse_elided(parser: AttrParser) -> None:
    """Refuses text without its constants.

    Raises:
        ImportFailure: what comes next says that a constant was left out.
    """
    if parser.parse_optional_keyword(ELIDED) is not None:
        raise ImportFailure(
            "a constant was left out when this text was printed, so it cannot be compiled",
            hint="print it again without --elide-constants",
        )


def _element_text(value: np.generic) -> str:
    if value.dtype.kind in "iub":
        return str(int(value))
    if not np.isfinite(float(value)):
        return f'"{float(value)}"'
    # numpy writes as few digits as tell a value of that dtype from its neighbours.
    return float_literal(str(value) if value.dtype.kind == "f" else repr(float(value)))


def float_literal(text: str) -> str:
    """Python's text of a float as MLIR reads it: `1e-05` needs a point before its exponent."""
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}.0e{exponent}" if e and "." not in mantissa else text


def _parse_element(parser: AttrParser) -> float | int:
    text = parser.parse_optional_str_literal()
    if text is not None:
        try:
            return float(text)
        except ValueError:
            parser.raise_error(f"a number expected, not '{text}'")
    return parser.parse_number(allow_boolean=False)
