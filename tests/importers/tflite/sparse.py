"""Sparse tensors in TFLite files: a dense constant of a model, written in one of the formats."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


def with_sparse(
    model: bytes, name: str, order: Sequence[int], blocks: dict[int, int], compressed: Sequence[int]
) -> bytes:
    """The model with a constant made sparse.

    Args:
        model: it has the constant in subgraph 0.
        name: of the constant.
        order: the levels, outermost first: dimensions, and behind them the blocks by number + rank.
        blocks: dimension -> extent of its blocks.
        compressed: the levels that list their indices; the others have all.
    """
    tree = schema.ModelT.InitFromPackedBuf(model)
    tensor: Any = next(t for t in tree.subgraphs[0].tensors if t.name == name.encode())
    dtype = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.FLOAT16: np.float16}
    raw = np.asarray(tree.buffers[tensor.buffer].data, np.uint8)
    dense = raw.view(dtype.get(tensor.type, np.int8)).reshape(tensor.shape)
    levels, values = _levels(dense, order, blocks, compressed)
    sparsity = tensor.sparsity = schema.SparsityParametersT()
    sparsity.traversalOrder = np.array(order, np.int32)
    sparsity.blockMap = np.array(list(blocks), np.int32)
    sparsity.dimMetadata = [_metadata(level) for level in levels]
    tree.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


Level = int | tuple[list[int], list[int]]
"""The extent of a dense level; segments and indices of a compressed one."""


def _levels(
    dense: np.ndarray, order: Sequence[int], blocks: dict[int, int], compressed: Sequence[int]
) -> tuple[list[Level], np.ndarray]:
    """Level by level which indices there are, and the elements that are kept."""
    extents = [n // blocks.get(d, 1) for d, n in enumerate(dense.shape)] + list(blocks.values())
    # One dimension a level: outer ones, then those inside of blocks, in the order of the levels.
    split = dense.reshape(
        [k for d, n in enumerate(dense.shape) for k in (n // blocks.get(d, 1), blocks.get(d, 1))]
    )
    places = [2 * d for d in range(dense.ndim)] + [2 * d + 1 for d in blocks]
    rest = [i for i in range(split.ndim) if i not in places]  # blocks of one element
    moved = split.transpose([places[o] for o in order] + rest)
    moved = moved.reshape([extents[o] for o in order])
    kept: list[tuple[int, ...]] = [()]
    levels: list[Level] = []
    for number, level in enumerate(order):
        size = extents[level]
        if number not in compressed:
            levels.append(size)
            kept = [(*prefix, i) for prefix, i in product(kept, range(size))]
            continue
        segments, indices = [0], []
        found: list[tuple[int, ...]] = []
        for prefix in kept:
            there = [i for i in range(size) if np.any(moved[(*prefix, i)])]
            indices += there
            found += [(*prefix, i) for i in there]
            segments.append(len(indices))
        levels.append((segments, indices))
        kept = found
    return levels, np.array([moved[k] for k in kept], dense.dtype)


def _metadata(level: Level) -> Any:
    made = schema.DimensionMetadataT()
    if isinstance(level, int):
        made.format, made.denseSize = schema.DimensionType.DENSE, level
        return made
    made.format = schema.DimensionType.SPARSE_CSR
    segments, indices = level
    made.arraySegmentsType = schema.SparseIndexVector.Uint16Vector
    made.arraySegments = schema.Uint16VectorT()
    made.arraySegments.values = np.array(segments, np.uint16)
    made.arrayIndicesType = schema.SparseIndexVector.Uint8Vector
    made.arrayIndices = schema.Uint8VectorT()
    made.arrayIndices.values = np.array(indices, np.uint8)
    return made
