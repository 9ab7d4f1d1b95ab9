"""What custom operators make whose kernels are Python's: as these tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from xdsl.ir import SSAValue

from furiosa_ir.host_kernels import HostKernel, HostOperator, HostTensor, result_types
from furiosa_ir.host_kernels.onnx_model import attributes_of
from furiosa_ir.importers.onnx import tensors
from furiosa_ir.importers.onnx.node_order import node_label
from furiosa_ir.importers.onnx.opaque import ResultType
from furiosa_ir.ir.shaped_operation import DYNAMIC, element_of, shape_of
from furiosa_ir.numerics.array import Array

_UNKNOWN = np.dtype(np.float32)
"""Of results, whose type is to be told."""


def kernel_types(
    kernel: HostKernel,
    node: Any,
    operands: Mapping[str, SSAValue],
    constants: Mapping[str, Array],
) -> dict[str, ResultType]:
    """The types of a node's results by their names; none if its kernel does not tell them.

    Args:
        kernel: of the node.
        node: the `NodeProto`.
        operands: its inputs, by name.
        constants: the elements of those that are constant.

    Raises:
        FuriosaError: the kernel raises an error.
    """
    names = [str(o) for o in node.output if o]
    operator = HostOperator(
        kernel.name,
        node_label(node),
        tuple(_tensor(str(i), operands[str(i)]) if i else None for i in node.input),
        tuple(HostTensor(name, None, _UNKNOWN) for name in names),
        attributes_of(node),
    )
    types = result_types(kernel, operator, [constants.get(str(i)) for i in node.input])
    return {
        name: ResultType(
            tensors.element_of_dtype(dtype), tuple(DYNAMIC if n < 0 else n for n in shape)
        )
        for name, (shape, dtype) in zip(names, types or (), strict=False)
    }


def _tensor(name: str, value: SSAValue) -> HostTensor:
    shape = tuple(-1 if n == DYNAMIC else n for n in shape_of(value))
    return HostTensor(name, shape, tensors.dtype_of_element(element_of(value)))
