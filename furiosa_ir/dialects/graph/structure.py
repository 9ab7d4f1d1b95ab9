"""Constants, and operators that are carried whole because this dialect does not model them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override
from xdsl.dialects.builtin import DenseArrayBase, StringAttr, TensorType, i64
from xdsl.ir import Attribute
from xdsl.irdl import opt_prop_def, prop_def, result_def, var_operand_def, var_result_def

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.assembly_format import in_order
from furiosa_ir.ir.constants import BlobAttr, element_name
from furiosa_ir.ir.element_types import dtype_of_element
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.ir.shaped_operation import Shape, element_of, ints, shape_of
from furiosa_ir.numerics.array import Array


@irdl_op_definition
class ConstantOp(GraphOp):
    """Elements known at compile time; for a quantised type, the stored integers."""

    name = "graph.constant"

    LEADING: ClassVar = "value"

    result = result_def(TensorType)
    value = prop_def(BlobAttr)

    def result_shapes(self) -> Sequence[Shape]:
        return [self.value.data.shape]

    @override
    def _rules_look_at(self, name: str, value: Attribute) -> Hashable:
        if isinstance(value, BlobAttr):
            return value.data.shape, value.data.dtype
        return super()._rules_look_at(name, value)

    @override
    def verify_(self) -> None:
        super().verify_()
        held, stored = self.value.data.dtype, dtype_of_element(element_of(self.result))
        if stored is not None and _is_real(held) and not _is_real(stored):
            raise VerificationFailure(
                f"{self.name}: elements of {element_name(held)} as {element_of(self.result)}"
            )

    def evaluate(self, *_operands: Array) -> Sequence[Array]:
        return [self.value.array]


def _is_real(dtype: np.dtype[Any]) -> bool:
    """Whether elements are real numbers; those of `ml_dtypes` have a kind of their own."""
    return dtype.kind in "fc" or "float" in dtype.name


@irdl_op_definition
class OpaqueOp(GraphOp):
    """An operator carried whole (its `origin`); it runs on the host, in its own framework.

    `operator` is its name there ("NonMaxSuppression", "com.example::Foo",
    "TFLite_Detection_PostProcess"). `slots` has, for each input of the original, the index of its
    operand or -1 where it is left out. `states` are the operands that it changes in place, as SVDF
    does its state: the last results are what each has become.
    """

    name = "graph.opaque"

    CONVERTS: ClassVar = True

    DEFAULTS: ClassVar = {"slots": in_order}

    inputs = var_operand_def(TensorType)
    outputs = var_result_def(TensorType)
    operator = prop_def(StringAttr)
    slots = prop_def(DenseArrayBase.constr(i64))
    states = opt_prop_def(DenseArrayBase.constr(i64))

    def result_shapes(self) -> Sequence[Shape]:
        return [shape_of(r) for r in self.outputs]

    def verify_(self) -> None:
        if self.origin is None:
            raise VerificationFailure(f"graph.opaque '{self.operator.data}' has no origin")
        states = () if self.states is None else ints(self.states)
        changed = self.outputs[len(self.outputs) - len(states) :]
        right = len(changed) == len(set(states)) == len(states) and all(
            0 <= i < len(self.inputs) and self.inputs[i].type == value.type
            for i, value in zip(states, changed, strict=True)
        )
        if not right:
            raise VerificationFailure(
                f"graph.opaque '{self.operator.data}' has states {list(states)}: each is one of "
                f"its {len(self.inputs)} operands, and of the type of one of its last results"
            )
