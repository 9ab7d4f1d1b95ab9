"""Sparse tensors of a TFLite file, made dense.

The format is TACO's (Kjolstad et al., "The Tensor Algebra Compiler", OOPSLA 2017) as TFLite keeps
it: `traversal_order` lists the tensor's dimensions, outermost first, and behind them the dimensions
of blocks; `block_map` says which dimension each block divides. Each dimension on the way is dense
(all of its indices) or compressed (segments of a list of indices). Afterwards come the elements, in
the order of the way (`FormatConverter::SparseToDense` of LiteRT).
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.tflite.vectors import Vectors, checked_length
from furiosa_ir.ir.shaped_operation import Shape
from furiosa_ir.numerics.array import Array
from furiosa_ir.tflite_schema import tflite

_VECTORS = {
    tflite.SparseIndexVector.Int32Vector: (tflite.Int32Vector, np.int32),
    tflite.SparseIndexVector.Uint16Vector: (tflite.Uint16Vector, np.uint16),
    tflite.SparseIndexVector.Uint8Vector: (tflite.Uint8Vector, np.uint8),
}


def dense_elements(sparsity: Any, values: Array, shape: Shape, vectors: Vectors) -> Array:
    """The elements of a sparse tensor, zeros included.

    Args:
        sparsity: the reader of its `SparsityParameters`.
        values: the elements that the file has, in their order.
        shape: of the dense tensor.
        vectors: copies vectors of the file.

    Raises:
        ImportFailure: they contradict each other, or the dense tensors of the file are too large.
    """
    order, block_map = (
        vectors.numbers(a) for a in (sparsity.TraversalOrderAsNumpy(), sparsity.BlockMapAsNumpy())
    )
    rank, levels = len(shape), len(order)
    count = checked_length(sparsity.DimMetadataLength(), vectors.size, "sparse dimensions")
    if (
        count != levels
        or levels != rank + len(block_map)
        or sorted(order) != list(range(levels))
        or sorted(order[:rank]) != list(range(rank))
        or len(set(block_map)) != len(block_map)
        or any(not 0 <= d < rank for d in block_map)
    ):
        raise ImportFailure(f"corrupt: the sparse dimensions {order} of shape {list(shape)}")
    vectors.take_dense(prod(shape) * max(1, values.dtype.itemsize // 4))
    # For each element so far: its number on this level, and its index in each dimension.
    position = np.zeros(1, np.int64)
    indices: list[Array] = []
    sizes: list[int] = []
    for level in range(levels):
        metadata = sparsity.DimMetadata(level)
        before = position
        if metadata.Format() == tflite.DimensionType.DENSE:
            size = int(metadata.DenseSize())
            if size < 0 or len(position) * size > prod(shape):
                raise _contradiction(shape)
            index = np.tile(np.arange(size), len(before))
            parents = np.repeat(np.arange(len(before)), size)
            position = np.repeat(before, size) * size + index
            sizes.append(size)
        else:
            segments = _vector(metadata, "ArraySegments", vectors)
            listed = _vector(metadata, "ArrayIndices", vectors)
            first, last = _segments(before, segments, len(listed), shape)
            parents = np.repeat(np.arange(len(before)), last - first)
            starts = np.cumsum(last - first) - (last - first)
            position = np.arange(len(parents)) - starts[parents] + first[parents]
            index = listed[position]
            sizes.append(int(index.max(initial=-1)) + 1)
        indices = [*(i[parents] for i in indices), index]
    if len(position) != len(values):
        raise _contradiction(shape)
    return _placed(values, indices, order, block_map, sizes, shape)


def _placed(
    values: Array,
    indices: list[Array],
    order: list[int],
    block_map: list[int],
    sizes: list[int],
    shape: Shape,
) -> Array:
    rank = len(shape)
    at: list[Array] = [np.zeros(0, np.int64)] * rank
    for dimension, index in zip(order[:rank], indices[:rank], strict=True):
        at[dimension] = index
    for level in range(rank, len(order)):
        dimension = block_map[order[level] - rank]
        at[dimension] = at[dimension] * sizes[level] + indices[level]
    if any(((a < 0) | (a >= n)).any() for a, n in zip(at, shape, strict=True)):
        raise _contradiction(shape)
    dense = np.zeros(shape, values.dtype)
    dense[tuple(at)] = values
    return dense


def _segments(position: Array, segments: Array, listed: int, shape: Shape) -> tuple[Array, Array]:
    """Where in the list the indices of each position begin and end."""
    if len(segments) <= int(position.max(initial=-1)) + 1:
        raise _contradiction(shape)
    first, last = segments[position], segments[position + 1]
    if (first < 0).any() or (last < first).any() or (last > listed).any():
        raise _contradiction(shape)
    if int((last - first).sum()) > prod(shape):
        raise _contradiction(shape)
    return first, last


def _vector(metadata: Any, field: str, vectors: Vectors) -> Array:
    known = _VECTORS.get(getattr(metadata, f"{field}Type")())
    table = getattr(metadata, field)()
    if known is None or table is None:
        raise ImportFailure("corrupt: a sparse dimension lacks its indices")
    kind, dtype = known
    reader = kind()
    reader.Init(table.Bytes, table.Pos)
    return np.array(vectors.numbers(reader.ValuesAsNumpy()), dtype).astype(np.int64)


def _contradiction(shape: Shape) -> ImportFailure:
    return ImportFailure(f"corrupt: the sparse indices do not fit the shape {list(shape)}")
