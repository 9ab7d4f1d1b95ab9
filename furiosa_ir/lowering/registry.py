"""How lowerings are declared, found and run."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from xdsl.builder import Builder
from xdsl.dialects.builtin import LocationAttr, i8, i32
from xdsl.ir import Attribute, SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.ftensor import arithmetic
from furiosa_ir.dialects.ftensor.base import NUMPY_DTYPE, TensorOp
from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of
from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.segments import EXACT, LITERT, LITERT_DEFAULT
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.constraints import extreme_scale, scales_far_apart
from furiosa_ir.numerics.array import Array
from furiosa_ir.plugins import is_registered_from_outside, wrong_result

__all__ = [
    "EXACT",
    "LITERT",
    "LITERT_DEFAULT",
    "Constraint",
    "Emitter",
    "Lowering",
    "find_lowering",
    "leaves_to_host",
    "lowers",
    "refusal",
]

Constraint = Callable[[Any], "hints.Hint | None"]
"""From an operation to why it cannot run on the NPU, or None."""

LoweringFunction = Callable[[Any, "Emitter"], "SSAValue | Sequence[SSAValue]"]
FunctionT = TypeVar("FunctionT", bound=LoweringFunction)

_FALLBACK = {LITERT_DEFAULT: LITERT}
"""Most default kernels compute what the reference kernels do: only the others are declared."""


@dataclass(frozen=True)
class Lowering:
    """What becomes of one operation under one numerics."""

    operation: type[GraphOp]
    numerics: tuple[str, ...]
    unless: tuple[Constraint, ...]
    function: LoweringFunction

    @property
    def name(self) -> str:
        """For `--list` and errors: the function's name."""
        return self.function.__name__


_LOWERINGS: dict[tuple[str, str], Lowering] = {}
_OF_FAMILIES: dict[tuple[type[GraphOp], str], Lowering] = {}
"""By base class: what holds for the operations of a family that declare nothing else."""
_WITHOUT_FORM: dict[tuple[str, str], str] = {}
_loaded: set[str] = set()


def lowers(
    operation: type[GraphOp], *numerics: str, unless: Sequence[Constraint] = ()
) -> Callable[[FunctionT], FunctionT]:
    """Declares the decorated function as the lowering of `operation` under these numerics.

    Of a base class without a name, as that of its operations which have none of their own,
    whenever they are declared. A plug-in's takes the place of the compiler's.
    """

    def declare(function: FunctionT) -> FunctionT:
        lowering = Lowering(operation, numerics, tuple(unless), function)
        from_outside = is_registered_from_outside(function)
        for kind in numerics:
            if from_outside:
                _import_lowerings(kind)  # later, they would take its place
                _WITHOUT_FORM.pop((getattr(operation, "name", ""), kind), None)
            if "name" in vars(operation):
                _LOWERINGS[operation.name, kind] = lowering
            else:
                _OF_FAMILIES[operation, kind] = lowering
        return function

    return declare


def leaves_to_host(operation: type[GraphOp], numerics: str, reason: str) -> None:
    """Declares that these numerics have no integer form of `operation`, whatever they fall back to.

    Args:
        operation: what runs on the host.
        numerics: under which numerics.
        reason: what follows the operation's name in the hint.
    """
    is_registered_from_outside(operation)
    _WITHOUT_FORM[operation.name, numerics] = reason


def find_lowering(op: GraphOp | type[GraphOp], numerics: str) -> Lowering | None:
    """The lowering of an operation; its family's modules are imported when first asked for."""
    fallback = _FALLBACK.get(numerics)
    _import_lowerings(numerics)
    if (op.name, numerics) in _WITHOUT_FORM:
        return None
    lowering = _LOWERINGS.get((op.name, numerics))
    if lowering is None:
        bases = op.__mro__ if isinstance(op, type) else type(op).__mro__
        families = (_OF_FAMILIES.get((base, numerics)) for base in bases)
        lowering = next((family for family in families if family is not None), None)
    return find_lowering(op, fallback) if lowering is None and fallback is not None else lowering


def _import_lowerings(numerics: str) -> None:
    if numerics not in _loaded:
        for name in ("shared", numerics):
            package = importlib.import_module(f"{__package__}.{name}")
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{package.__name__}.{module.name}")
        _loaded.add(numerics)


def refusal(op: GraphOp, numerics: str) -> hints.Hint | None:
    """Why the operation cannot run on the NPU; None if it can."""
    if any(0 in shape_of(v) for v in (*op.operands, *op.results)):
        return hints.form(op.name, "on a tensor without elements")
    lowering = find_lowering(op, numerics)
    if lowering is None:
        reason = _WITHOUT_FORM.get((op.name, numerics))
        return hints.not_modelled(op.name) if reason is None else hints.form(op.name, reason)
    for constraint in (extreme_scale, scales_far_apart, *lowering.unless):
        hint = constraint(op)
        if isinstance(hint, hints.Hint):
            return hint
        if hint is not None:
            what = f"a value of type {type(hint).__name__}, not a Hint or None"
            running = f"a constraint of the lowering of {op.name}"
            raise wrong_result(constraint, what, running, layer_name(op) or None)
    return None


class Emitter:
    """What a lowering writes with. All values it hands out and takes are `ftensor` values (i8).

    uint8 becomes int8 here, once: data, constants and zero points less 128.
    """

    def __init__(self, builder: Builder, values: dict[SSAValue, SSAValue]) -> None:
        self._builder = builder
        self._values = values
        self._constants: dict[tuple[int, Attribute], SSAValue] = {}
        self._scalars: dict[tuple[int, Attribute], SSAValue] = {}
        self._tables: dict[tuple[int, Attribute], tuple[Array, SSAValue]] = {}
        self.location: LocationAttr | None = None

    def operand(self, value: SSAValue) -> SSAValue:
        """The `ftensor` value of a graph value (a constant is emitted when first asked for)."""
        known = self._values.get(value)
        if known is None:
            known = self._values[value] = self.constant(self.elements(value), i8)
        return known

    def elements(self, value: SSAValue) -> Array:
        """The stored elements of a constant graph value; uint8 as int8 (less 128)."""
        array = constant_of(value)
        assert array is not None, "not a constant"
        if array.dtype == np.uint8:
            return (array ^ np.uint8(0x80)).view(np.int8)
        return array

    @staticmethod
    def quantization(value: SSAValue) -> Quantization:
        """How a graph value is quantised, as int8: uint8's zero points less 128."""
        q = quantization_of(value)
        assert q is not None, "not quantised"
        if q.storage == "u8":
            return Quantization("i8", q.scales, tuple(z - 128 for z in q.zero_points), q.axis)
        return q

    def constant(self, array: Array, element: Attribute) -> SSAValue:
        """A constant of that element type; the array is converted to its dtype if need be."""
        dtype = NUMPY_DTYPE[element]
        array = np.asarray(array)
        if array.dtype != dtype:
            array = array.astype(dtype)
        op = arithmetic.ConstantOp.make([], [element], value=BlobAttr.of(array))
        return self._insert(op).results[0]

    def table(self, array: Array, element: Attribute) -> SSAValue:
        """The constant that these elements are: the same array is one constant, loaded once.

        The array stays as it is from here on; it may be a cached function's.
        """
        key = (id(array), element)
        if key not in self._tables:
            self._tables[key] = array, self.constant(array, element)
        return self._tables[key][1]

    def scalar(self, number: int, element: Attribute) -> SSAValue:
        """A constant of shape []."""
        key = (number, element)
        if key not in self._scalars:
            self._scalars[key] = self.constant(np.array(number), element)
        return self._scalars[key]

    def emit(
        self,
        op: type[TensorOp],
        operands: Sequence[SSAValue | Sequence[SSAValue] | None],
        element: Attribute = i8,
        **properties: object,
    ) -> SSAValue:
        """Adds an `ftensor` operation at the layer's location; returns its result."""
        return self._insert(
            op.make(operands, [element], location=self.location, **properties)
        ).results[0]

    def _insert(self, op: TensorOp) -> TensorOp:
        if self.location is not None:
            op.location = self.location
        return self._builder.insert(op)

    def rescale(
        self,
        x: SSAValue,
        multiplier: int | Array,
        shift: int | Array,
        *,
        rounding: str,
        input_zp: int = 0,
        output_zp: int = 0,
        minimum: int = -128,
        maximum: int = 127,
        element: Attribute = i8,
    ) -> SSAValue:
        """`ftensor.rescale`; arrays must broadcast to x's shape (see `along`)."""
        pair = [
            self.scalar(int(v), e) if np.ndim(v) == 0 else self.constant(np.asarray(v), e)
            for v, e in ((multiplier, i32), (shift, i8))
        ]
        return self.emit(
            arithmetic.RescaleOp,
            [x, *pair],
            element,
            input_zp=input_zp,
            output_zp=output_zp,
            minimum=minimum,
            maximum=maximum,
            rounding=rounding,
        )

    @staticmethod
    def along(array: Array, axis: int, rank: int) -> Array:
        """A 1-D array reshaped so that it broadcasts along `axis` of a tensor of that rank."""
        return np.asarray(array).reshape([-1 if i == axis else 1 for i in range(rank)])

    @staticmethod
    def rank(value: SSAValue) -> int:
        """The rank of a value."""
        return len(shape_of(value))
