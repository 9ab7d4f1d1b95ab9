"""Operators that LiteRT refuses, or ends the process at, though there is an operation for them.

Its kernels check some factors by TFLITE_CHECK, which aborts, and read tables that they make of
quantised operands only. Drawing operators over all element types and scales found these
(`tests/importers/tflite/test_hazards.py`). To add one, write a check and name its operators in
`_HAZARDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.ir import Attribute

from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.errors import ImportFailure
from furiosa_ir.ir.element_types import dtype_of_element
from furiosa_ir.ir.shaped_operation import Shape
from furiosa_ir.tflite_schema import tflite

Check = Callable[["Operator"], str | None]
"""What is wrong with an operator, behind its name in the sentence; None if nothing is."""

_NO_SCALE = "has a tensor without a scale"
_SEVERAL_SCALES = "has a tensor with several scales, which it takes for one without"


@dataclass(frozen=True)
class Operator:
    """A builtin operator, for its check.

    Attributes:
        operands: the element types of its inputs, without those left out.
        results: the element types of its outputs.
        options: the reader of its options table, or None.
    """

    operands: Sequence[Attribute]
    results: Sequence[Attribute]
    options: Any

    @property
    def storage(self) -> np.dtype[Any] | None:
        """What elements of the first operand are stored as."""
        return _stored(self.operands[0])

    @property
    def is_8bit(self) -> bool:
        """Whether elements of the first operand are stored in 8 bits."""
        return self.storage is not None and self.storage.kind in "iu" and self.storage.itemsize == 1

    @property
    def is_quantized(self) -> bool:
        """Whether the file has a scale for the first operand, if only 0."""
        return isinstance(self.operands[0], UniformType)

    @property
    def scales(self) -> list[float]:
        """Those of two operands and of the result as LiteRT sees them: 0 for none or several."""
        elements = [*self.operands[:2], *self.results[:1]]
        quantized = [e.data if isinstance(e, UniformType) else None for e in elements]
        return [0.0 if q is None or len(q.scales) > 1 else q.scale for q in quantized]


def check_hazards(
    name: str, operands: Sequence[Attribute], results: Sequence[Attribute], options: Any
) -> None:
    """Checks what LiteRT does not say of a builtin operator; arguments as `Operator` has them.

    Raises:
        ImportFailure: LiteRT would end the process, or refuse what an operation here would take.
    """
    if name in _ONE_QUANTIZATION and _differ([*operands, *results], name):
        raise ImportFailure(
            f"{name} of tensors of different scales or zero points, which LiteRT refuses",
            hint="quantise the network again",
        )
    if name in _ONE_SIGN and results:
        bytes_ = np.dtype(np.int8), np.dtype(np.uint8)
        given = [d for d in map(_stored, operands) if d in bytes_]
        made = _stored(results[0])
        if given and made in bytes_ and made != given[0]:
            raise ImportFailure(
                f"{name} of {given[0]} declares a result of {made}, which LiteRT does not make",
                hint="quantise the network again",
            )
    hazard = _HAZARDS.get(name)
    if hazard is None or not operands or not results:
        return
    reason = hazard.check(Operator(operands, results, options))
    elements = (*operands[:2], results[0])
    if reason == _NO_SCALE and any(
        isinstance(e, UniformType) and e.data.axis is not None for e in elements
    ):
        reason = _SEVERAL_SCALES
    if reason is not None:
        raise ImportFailure(f"{name} {reason}, {hazard.consequence}", hint="calibrate it again")


def check_rows(name: str, inputs: Sequence[tuple[int, Shape]]) -> None:
    """Checks that an operator which takes rows of narrow elements finds each in bytes of its own.

    Args:
        name: the operator's.
        inputs: bits of an element, and the shape.

    Raises:
        ImportFailure: LiteRT would read from the nearest byte on, which is another row's.
    """
    if name not in ("EMBEDDING_LOOKUP", "GATHER"):
        return
    if any(bits < 8 and shape and shape[-1] * bits % 8 for bits, shape in inputs):
        raise ImportFailure(
            f"{name} of rows that share a byte, which LiteRT takes apart wrongly",
            hint="make their length a multiple of the elements in a byte",
        )


_ONE_QUANTIZATION = frozenset(
    {
        *("BATCH_TO_SPACE_ND", "CONCATENATION", "EXPAND_DIMS", "MIRROR_PAD", "PACK"),
        *("REDUCE_MAX", "REDUCE_MIN", "SPACE_TO_BATCH_ND", "UNPACK"),
    }
)
"""Operators that move stored integers, and check that they mean the same behind them as before."""


_ONE_SIGN = frozenset(
    {
        *("ADD", "BATCH_MATMUL", "DIV", "EXP", "FULLY_CONNECTED", "GATHER", "MAXIMUM", "MEAN"),
        *("MINIMUM", "NEG", "PRELU", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),
        "SELECT_V2",
    }
)
"""Operators that do not look at the type that is declared for their result of 8 bits."""


def _stored(element: Attribute) -> np.dtype[Any] | None:
    """What elements of a type are stored as; None if numpy has no such."""
    return element.data.dtype if isinstance(element, UniformType) else dtype_of_element(element)


def _differ(elements: Sequence[Attribute], name: str) -> bool:
    """Whether 8 or 16-bit tensors are quantised otherwise than each other, or some are not."""
    # A CONCATENATION of uint8 requantises, one of int16 does not look.
    widths = (1,) if name == "CONCATENATION" else (1, 2)
    found: set[Any] = set()
    for element in elements:
        dtype = _stored(element)
        if dtype is None or dtype.kind not in "iu" or dtype.itemsize not in widths:
            continue
        if name == "CONCATENATION" and dtype.kind == "u":
            continue
        q = element.data if isinstance(element, UniformType) else None
        found.add(None if q is None else (q.scales, q.zero_points))
    return len(found) > 1


def _add(op: Operator) -> str | None:
    """`PrepareGeneralAddOp`: the result's factor is between 0 and 1."""
    if op.storage == np.int16 and not op.is_quantized:
        # Plain integers; for a result with a scale it reads factors that nobody has written.
        return _NO_SCALE if isinstance(op.results[0], UniformType) else None
    return _sum(op, below=1.0)


def _sub(op: Operator) -> str | None:
    """`PrepareGeneralSubOp`: the result's factor is above 0."""
    return _sum(op, below=np.inf)


def _sum(op: Operator, below: float) -> str | None:
    """Both operands come on a common scale, with so many bits more."""
    shifts = {np.dtype(np.int8): 20, np.dtype(np.uint8): 20, np.dtype(np.int16): 15}
    shift = None if op.storage is None else shifts.get(op.storage)
    return None if shift is None else _factor(op, shift, below)


def _squared_difference(op: Operator) -> str | None:
    """As ADD, with 7 bits more, twice that for the square."""
    return _factor(op, 14, 1.0, power=2) if op.storage == np.int8 else None


def _factor(op: Operator, shift: int, below: float, power: int = 1) -> str | None:
    *given, scale = op.scales
    if not all(op.scales):
        return _NO_SCALE
    with np.errstate(over="ignore"):
        unit = float(np.float32(2**shift) * np.float32(scale))  # a product of float32 there
    if 0 < (2.0 * max(given)) ** power / unit < below:
        return None
    return f"has a result of the scale {scale:g} for one of {max(given):g}"


def _comparison(op: Operator) -> str | None:
    """`ComparisonQuantized`: the scales themselves are factors, which are above 0."""
    return _NO_SCALE if op.is_8bit and not all(op.scales[:2]) else None


def _equality(op: Operator) -> str | None:
    """As the other comparisons; 16 bits are quantised if the first operand is."""
    if op.storage == np.int16 and op.is_quantized and not all(op.scales[:2]):
        return _NO_SCALE
    return _comparison(op)


def _table(op: Operator) -> str | None:
    """A table of 16-bit numbers, which needs their scale; one of 0 will do."""
    return _NO_SCALE if op.storage == np.int16 and not op.is_quantized else None


def _softmax(op: Operator) -> str | None:
    """`PreprocessSoftmaxScaling`: a factor above 1, of 26 bits."""
    return _scaled(op, float(op.options.Beta()))


def _log_softmax(op: Operator) -> str | None:
    """As `_softmax`; it has no beta."""
    return _scaled(op, 1.0)


def _scaled(op: Operator, beta: float) -> str | None:
    scale = op.scales[0]
    if not op.is_8bit or beta * scale * 2**26 > 1:
        return None
    return f"of numbers of the scale {scale:g} with beta {beta:g}" if scale else _NO_SCALE


def _pool(op: Operator) -> str | None:
    """Its kernels ignore that `CalculateActivationRangeQuantized` finds no integer for a bound."""
    bound = _BOUNDS.get(op.options.FusedActivationFunction())
    if bound is None or op.storage is None or op.storage.kind not in "iu":
        return None
    scale = op.scales[-1]
    if not scale:
        return _NO_SCALE
    if bound / scale < 2**31 - 2**8:
        return None
    return f"has an activation up to {bound:g} on a result of the scale {scale:g}"


_BOUNDS = {
    tflite.ActivationFunctionType.RELU: 0.0,
    tflite.ActivationFunctionType.RELU_N1_TO_1: 1.0,
    tflite.ActivationFunctionType.RELU6: 6.0,
}


def _transpose_conv(op: Operator) -> str | None:
    """Its kernel of 16 bits reads a bias of 64, and takes one of 32 for such."""
    if len(op.operands) < 4:
        return None
    x, bias = op.operands[2:4]
    if not isinstance(x, UniformType) or x.data.dtype != np.int16:
        return None
    return "of 16 bits has a bias of 32" if _stored(bias) == np.int32 else None


@dataclass(frozen=True)
class _Hazard:
    """A check, and what LiteRT does where it finds something, at the end of the sentence."""

    check: Check
    consequence: str = "at which LiteRT ends the process"


_POOL = _Hazard(_pool, "so that LiteRT clamps at what memory holds")

_HAZARDS: dict[str, _Hazard] = {
    "ADD": _Hazard(_add),
    "SUB": _Hazard(_sub),
    "SQUARED_DIFFERENCE": _Hazard(_squared_difference),
    **dict.fromkeys(("EQUAL", "NOT_EQUAL"), _Hazard(_equality)),
    **dict.fromkeys(("GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"), _Hazard(_comparison)),
    **dict.fromkeys(("LOG", "RSQRT", "SQRT"), _Hazard(_table)),
    "SOFTMAX": _Hazard(_softmax),
    "LOG_SOFTMAX": _Hazard(_log_softmax),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), _POOL),
    "TRANSPOSE_CONV": _Hazard(_transpose_conv, "behind which LiteRT reads"),
}
