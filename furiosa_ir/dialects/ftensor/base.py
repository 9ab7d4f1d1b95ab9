"""What every `ftensor` operation shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from xdsl.dialects.builtin import IntegerType, LocationAttr, TensorType, i8, i32
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import IRDLOperation, traits_def
from xdsl.traits import Pure

from furiosa_ir.dialects.graph.base import Shape, as_attribute, shape_of
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.constants import Array

i48 = IntegerType(48)
"""The vector engine's wide registers (`shift_register_width` in the vendor's parameter file)."""

NUMPY_DTYPE: dict[Attribute, np.dtype[Any]] = {
    i8: np.dtype(np.int8),
    i32: np.dtype(np.int32),
    i48: np.dtype(np.int64),
}
"""How numpy holds each element type; i48 values must stay within 48 bits."""


class TensorOp(IRDLOperation):
    """Integers in, integers out; no float, no framework. `evaluate` defines the arithmetic."""

    traits = traits_def(Pure())

    def result_shapes(self) -> Sequence[Shape]:
        """The shape rule: one shape for each result, from operands and properties."""
        raise NotImplementedError(f"{self.name} has no shape rule")

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        """The results' elements from the operands' (dtypes as `NUMPY_DTYPE`)."""
        raise NotImplementedError(f"{self.name} has no semantics")

    @classmethod
    def make(
        cls,
        operands: Sequence[SSAValue | Sequence[SSAValue] | None],
        elements: Sequence[Attribute],
        *,
        location: LocationAttr | None = None,
        **properties: object,
    ) -> Self:
        """Builds the operation; the shape rule gives the result types.

        Args:
            operands: one entry for each operand definition; None for an optional one left out.
            elements: the element type of each result (i8, i32, i48).
            location: the framework's layer.
            properties: Python values or attributes (`dialects.graph.base.as_attribute`).

        Raises:
            VerificationFailure: the shape rule finds a contradiction.
        """
        op = cls.build(
            operands=[[] if o is None else o for o in operands],
            properties={k: as_attribute(v) for k, v in properties.items() if v is not None},
            result_types=[TensorType(element, []) for element in elements],
        )
        if location is not None:
            op.location = location
        for result, element, shape in zip(op.results, elements, op.result_shapes(), strict=True):
            result._type = TensorType(element, shape)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return op

    def verify_(self) -> None:
        for result, shape in zip(self.results, self.result_shapes(), strict=True):
            if shape_of(result) != tuple(shape):
                raise VerificationFailure(
                    f"{self.name}: result has shape {list(shape_of(result))}, "
                    f"its operands make {list(shape)}"
                )
