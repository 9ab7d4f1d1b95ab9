"""Sparse tensors (`SparseTensorProto`) as dense constants: the NPU has no sparse weights."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np
import onnx

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx.external import ExternalData
from furiosa_ir.importers.onnx.node_order import all_nodes, subgraphs
from furiosa_ir.importers.onnx.tensors import constant_of_tensor, element_type, tensor_of_array
from furiosa_ir.ir.constants import Constant
from furiosa_ir.ir.sizes import check_shape, words
from furiosa_ir.limits import Budget, limit, way_out
from furiosa_ir.numerics.array import Array

_GROWTH = 64
"""A sparse tensor may become as many times its values, however many those are."""


def make_initializers_dense(model: onnx.ModelProto) -> int:
    """Makes the sparse initialisers of a model, its subgraphs and functions dense ones.

    Args:
        model: is changed.

    Returns:
        how many elements (of four bytes) they have now.

    Raises:
        ImportFailure: values and indices do not fit their shape, or they are too large, each one
            or all together.
    """
    functions: Any = model.functions
    graph: Any = model.graph
    nodes = all_nodes((*graph.node, *(n for f in functions for n in f.node)))
    graphs = [graph, *(inner for node in nodes for inner in subgraphs(node))]
    tensors: list[Any] = [tensor for each in graphs for tensor in each.sparse_initializer]
    given = sum(_words(t.values.dims, t) for t in tensors)
    room = Budget(limit("FOLDED_GROWTH") + _GROWTH * given, _too_much)
    made = 0
    for tensor in tensors:
        if may_be_dense(tensor):  # else a sentence of its own follows
            made += dense_size(tensor)
            room.take(dense_size(tensor))
    for each in graphs:
        for tensor in each.sparse_initializer:
            dense = tensor_of_array(dense_constant(tensor).array, str(tensor.values.name))
            each.initializer.append(dense)
        del each.sparse_initializer[:]
    return made


def dense_size(sparse: Any) -> int:
    """How many elements (of four bytes) it has with its zeros."""
    return _words(sparse.dims, sparse)


def _words(dims: Iterable[int], sparse: Any) -> int:
    return words(prod(max(int(n), 0) for n in dims), element_type(sparse.values.data_type))


def _too_much() -> ImportFailure:
    return ImportFailure(
        "its sparse tensors are too large when they are made dense", hint=way_out("FOLDED_GROWTH")
    )


def may_be_dense(sparse: Any) -> bool:
    """Whether a sparse tensor is small enough to be made dense at import."""
    count = prod(int(n) for n in sparse.dims)
    given = prod(int(n) for n in sparse.values.dims)
    return count <= max(limit("FOLDED_ELEMENTS"), _GROWTH * given)


def dense_constant(sparse: Any) -> Constant:
    """The constant that a `SparseTensorProto` stands for; what has no value is 0.

    Raises:
        ImportFailure: values and indices do not fit the shape, or it is too large.
    """
    name = f"the sparse tensor '{sparse.values.name}'"
    shape = tuple(int(n) for n in sparse.dims)
    check_shape(shape, name)
    if any(n < 0 for n in shape):
        raise ImportFailure(f"{name} has a negative extent")
    if not may_be_dense(sparse):
        raise ImportFailure(
            f"{name} has {prod(shape)} elements when it is made dense",
            hint=way_out("FOLDED_ELEMENTS"),
        )
    inside = ExternalData(None)  # `soundness` has refused sparse tensors with data elsewhere
    values = constant_of_tensor(sparse.values, inside).array
    indices = constant_of_tensor(sparse.indices, inside).array
    positions = _positions(indices, values.shape, shape, name)
    dense = np.zeros(prod(shape), values.dtype)
    dense[positions] = values
    return Constant(dense.reshape(shape))


def _positions(
    indices: Array, counted: tuple[int, ...], shape: tuple[int, ...], name: str
) -> Array:
    """Where each value stands in the flattened tensor; indices are numbers, or one a dimension."""
    (count,) = counted if len(counted) == 1 else (-1,)
    if indices.dtype != np.int64 or indices.shape not in ((count,), (count, len(shape))):
        raise ImportFailure(
            f"{name} has values of shape {list(counted)} and indices of shape "
            f"{list(indices.shape)}; they are int64, one for each value, or one a dimension"
        )
    extents = np.array(prod(shape) if indices.ndim == 1 else shape, np.int64)
    if not bool(np.all((indices >= 0) & (indices < extents))):
        raise ImportFailure(f"{name} has an index outside of its shape {list(shape)}")
    if indices.ndim == 1:
        return indices
    strides = [prod(shape[i + 1 :]) for i in range(len(shape))]
    return indices @ np.array(strides, np.int64)
