"""Operators that leave no operation behind: shapes, constants, identities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import cast

import numpy as np
from onnx import TensorProto
from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.dialects.graph.quantization import DequantizeOp, StorageCastOp
from furiosa_ir.importers.onnx.node import Node
from furiosa_ir.importers.onnx.sparse import dense_constant, dense_size, may_be_dense
from furiosa_ir.importers.onnx.tensors import dtype_of_element
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.shaped_operation import element_of
from furiosa_ir.limits import limit
from furiosa_ir.numerics.array import Array

Hook = Callable[[Node], Sequence[SSAValue]]

STRUCTURAL: dict[str, Hook] = {}
"""ONNX operator -> what it becomes."""
STRUCTURAL_IGNORED: dict[str, Mapping[str, str]] = {}
"""ONNX operator -> its attributes that change nothing, and why."""


def _imports(operator: str, ignored: Mapping[str, str] | None = None) -> Callable[[Hook], Hook]:
    def declare(hook: Hook) -> Hook:
        STRUCTURAL[operator] = hook
        STRUCTURAL_IGNORED[operator] = ignored or {}
        return hook

    return declare


@_imports("Identity")
def identity(node: Node) -> Sequence[SSAValue]:
    """The operand itself."""
    return _operand(node)


@_imports("Dropout", {"seed": "of the random numbers in training", "ratio": "of training"})
def dropout(node: Node) -> Sequence[SSAValue]:
    """The operand itself: a network that is compiled is not being trained.

    The mask says that everything is kept. Before operator set 12 the text leaves it open, and
    onnxruntime's holds zeros; before 10 it was of the data's type.
    """
    training = node.constant(2)
    if node.has(2) and (training is None or bool(training)):
        return node.unsupported()
    (x,) = _operand(node)
    if node.output_count < 2:
        return [x]
    shape = node.shape(0)
    if prod(shape) > limit("FOLDED_ELEMENTS"):
        return node.unsupported()
    dtype = dtype_of_element(element_of(x)) if node.opset < 10 else np.dtype(np.bool_)
    return [x, node.value(np.full(shape, node.opset >= 12, dtype))]


@_imports("Shape")
def shape(node: Node) -> Sequence[SSAValue]:
    """The shape of a static tensor is a constant; `start` and `end` (opset 15) cut it."""
    extents = node.shape(0)[node.attributes.get("start") or 0 : node.attributes.get("end")]
    return [node.value(np.array(extents, np.int64))]


@_imports("Size")
def size(node: Node) -> Sequence[SSAValue]:
    """The number of elements of a static tensor."""
    return [node.value(np.array(np.prod(node.shape(0), dtype=np.int64)))]


@_imports("Constant")
def constant(node: Node) -> Sequence[SSAValue]:
    """One of the forms that a constant's value is written in."""
    attributes = node.attributes
    sparse = attributes.get("sparse_value")
    if sparse is not None and may_be_dense(sparse) and node.may_make(dense_size(sparse)):
        return [node.value(BlobAttr(dense_constant(sparse)))]
    if "value" in attributes:
        value = cast("Array", attributes["value"])
        # The IR holds no text and no complex numbers.
        return node.unsupported() if value.dtype.kind in "OUc" else [node.value(value)]
    for name, dtype in (("value_float", np.float32), ("value_int", np.int64)):
        if name in attributes:
            return [node.value(np.array(attributes[name], dtype))]
        if name + "s" in attributes:
            return [node.value(np.array(attributes[name + "s"], dtype))]
    return node.unsupported()


@_imports("Cast")
def cast_(node: Node) -> Sequence[SSAValue]:
    """Of the integers of an accumulator (ConvInteger) to float: the real numbers they stand for."""
    (value,) = _operand(node)
    q = quantization_of(value.owner.x) if isinstance(value.owner, StorageCastOp) else None
    whole = q is not None and q.storage == "i32" and q.scales == (1.0,) and not any(q.zero_points)
    if not whole or node.attributes.get("to") != TensorProto.FLOAT:
        return node.unsupported()
    return node.emit(DequantizeOp, [cast("StorageCastOp", value.owner).x], elements=[f32])


def _operand(node: Node) -> Sequence[SSAValue]:
    (operand, *_) = node.operands
    assert operand is not None
    return [operand]
