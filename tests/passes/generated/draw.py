"""Random values for generated modules: numbers, shapes, element types, constants, arguments."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from xdsl.dialects.builtin import Float32Type, IntegerType, f32, i1, i8, i32, i64
from xdsl.ir import Attribute, Block, Operation, SSAValue

from furiosa_ir.dialects.ftensor import arithmetic, i48
from furiosa_ir.dialects.graph.quantization import storage_type
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import UniformType, uniform
from furiosa_ir.interpreter.elements import numpy_dtype
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.shaped_operation import Shape, element_of, shape_of, tensor_type
from furiosa_ir.numerics.array import Array

T = TypeVar("T")

Kind = str
"""What elements are: "real" (f32), "stored" (quantised), "plain" (integers that stand for nothing),
"sum" (the i32 accumulator of a product), "index" (i64), "bool"; at the tensor level "i8", "i32",
"i48".
"""

TENSOR_KINDS: dict[Kind, Attribute] = {"i8": i8, "i32": i32, "i48": i48}

_SCALES = (0.5, 0.25, 1.0, 0.0625, 0.75, 0.0078125, 0.1, 1 / 255, 0.0235, 3.0)
_NUMBERS = (0.0, 1.0, -1.0, 0.5, 2.0, 6.0, -0.25, 3.0, 0.1, 1.0 / 6, -2.5, 100.0)


class Unsuitable(Exception):  # no error: what was drawn does not fit together
    """Draw again."""


@dataclass
class Draw:
    """One module as it is drawn: the random numbers, and what has been made with them.

    Attributes:
        random: all randomness comes from it.
        source: whose numerics: "onnx" or "tflite".
        whole: every first dimension has 256 indices, so that each place sees every 8-bit value.
        block: what is made stands in it; its arguments are the module's.
        types: the quantised types that values get. They are few, so that some are alike.
    """

    random: random.Random
    source: str = "onnx"
    whole: bool = False
    block: Block = field(default_factory=Block)
    types: tuple[UniformType, ...] = ()

    def __post_init__(self) -> None:
        storages = (np.int8, np.int8, np.int8, np.uint8, np.uint8, np.int16)
        wide = self.source == "onnx" and not self.whole
        storage = np.dtype(self.choice(storages if wide else storages[:5]))
        made = [self.quantised(storage) for _ in range(self.random.randint(1, 2))]
        if storage.itemsize == 1 and self.source == "onnx" and self.chance(0.2):
            made.append(self.quantised(np.dtype(np.uint8 if storage.kind == "i" else np.int8)))
        self.types = tuple(made)

    # Numbers.

    def choice(self, options: Sequence[T]) -> T:
        """One of them."""
        return options[int(self.random.random() * len(options))]

    def chance(self, share: float) -> bool:
        """Whether something happens that does in so many of all draws."""
        return self.random.random() < share

    def number(self) -> float:
        """A real number that means something to some rule, or any."""
        if self.chance(0.8):
            return self.choice(_NUMBERS)
        return float(np.float32(self.random.uniform(-8, 8)))

    # Shapes.

    def extent(self) -> int:
        """Of a dimension; small, and now and then 1."""
        return self.choice((1, 2, 3, 4, 5, 2, 3))

    def shape(self, ranks: Sequence[int] = (0, 1, 2, 3, 4, 2, 3, 4, 5)) -> Shape:
        """Of any of the ranks."""
        rank = self.choice(ranks)
        if self.whole:
            return (256, *(self.choice((1, 2, 3)) for _ in range(min(max(rank, 1), 3) - 1)))
        return tuple(self.extent() for _ in range(rank))

    def broadcasting(self, shape: Shape) -> Shape:
        """A shape that broadcasts to another one."""
        if self.chance(0.5):
            return shape
        ones = tuple(1 if self.chance(0.5) else n for n in shape)
        return ones[self.random.randint(0, len(ones)) :]

    # Element types.

    def quantised(self, dtype: np.dtype[np.generic]) -> UniformType:
        """A type with one scale."""
        info = np.iinfo(dtype)  # pyright: ignore[reportArgumentType]
        middle = (int(info.min) + int(info.max) + 1) // 2
        zero = self.choice(
            (
                middle,
                0,
                int(info.min),
                int(info.max),
                middle + 3,
                middle - self.random.randint(0, 90),
            )
        )
        return uniform(np.dtype(dtype), float(np.float32(self.choice(_SCALES))), zero)

    def element(self, kind: Kind) -> Attribute:
        """The element type of a value of that kind."""
        if kind in TENSOR_KINDS:
            return TENSOR_KINDS[kind]
        match kind:
            case "real":
                return f32
            case "stored":
                return self.choice(self.types)
            case "plain":
                return storage_type(self.choice(self.types))
            case "index":
                return i64
            case "bool":
                return i1
            case _:
                raise Unsuitable(kind)

    def stored_of(self, plain: Attribute) -> UniformType:
        """A quantised type whose stored integers have as many bits."""
        assert isinstance(plain, IntegerType)
        fitting = [t for t in self.types if storage_type(t).width == plain.width]
        if not fitting:
            raise Unsuitable(str(plain))
        return self.choice(fitting)

    def by_channel(self, element: Attribute, shape: Shape, axis: int) -> Attribute:
        """The type with a scale for each index of an axis, its zero points 0."""
        assert isinstance(element, UniformType)
        scales = [float(np.float32(self.choice(_SCALES))) for _ in range(shape[axis])]
        return uniform(element.data.dtype, np.array(scales), 0, axis)

    # Values.

    def array(self, element: Attribute, shape: Shape) -> Array:
        """Elements of a type: of integers any, of reals few different ones."""
        dtype = numpy_dtype(element)
        rng = np.random.default_rng(self.random.getrandbits(32))
        if dtype.kind == "f":
            if self.chance(0.3):
                return np.full(shape, self.number(), dtype)
            return rng.choice(np.array(_NUMBERS), shape).astype(dtype)
        if dtype.kind == "b":
            return rng.integers(0, 2, shape).astype(dtype)
        info = np.iinfo(dtype)  # pyright: ignore[reportArgumentType]
        low, high = max(int(info.min), -(1 << 20)), min(int(info.max), 1 << 20)
        if self.chance(0.15):
            return np.full(shape, self.choice((low, high, 0, 1)), dtype)
        return rng.integers(low, high + 1, shape).astype(dtype)

    def constant(self, array: Array, element: Attribute) -> SSAValue:
        """A constant of the graph level."""
        made = ConstantOp.make([], [element], value=_blob(array))
        return self.add(made).results[0]

    def tensor_constant(self, array: Array, element: Attribute) -> SSAValue:
        """A constant of the tensor level."""
        made = arithmetic.ConstantOp.make([], [element], value=_blob(array))
        return self.add(made).results[0]

    def argument(self, element: Attribute, shape: Shape) -> SSAValue:
        """An input of the module."""
        return self.block.insert_arg(tensor_type(element, shape), len(self.block.args))

    def add(self, op: Operation) -> Operation:
        """Puts an operation behind those that there are."""
        self.block.add_op(op)
        return op

    def again(self, element: Attribute, shape: Shape | None) -> SSAValue | None:
        """A value of that type that there is already, if there is one."""
        values = [*self.block.args, *(r for op in self.block.ops for r in op.results)]
        fitting = [
            v
            for v in values
            if element_of(v) == element and (shape is None or shape_of(v) == shape)
        ]
        return self.choice(fitting) if fitting else None


def _blob(array: Array) -> BlobAttr:
    return BlobAttr.of(np.ascontiguousarray(array).reshape(array.shape))


def is_real(value: SSAValue) -> bool:
    """Whether a value is of floats."""
    return isinstance(element_of(value), Float32Type)
