"""Shape arithmetic that has no operation of its own: it is done at import or not at all.

Operators with an operation (RESHAPE, STRIDED_SLICE, PACK, ADD ...) fold by that operation's
semantics where their operands are constant, see `ImportedOperator.emit`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from furiosa_ir.importers.tflite.operator import FOLDED_ELEMENTS, ImportedOperator
from furiosa_ir.ir.element_types import dtype_of_element
from furiosa_ir.ir.shaped_operation import DYNAMIC
from furiosa_ir.numerics.array import Array
from furiosa_ir.tflite_schema import tflite


def _gather(node: ImportedOperator, *arrays: Array) -> Array | None:
    if node.options.BatchDims() != 0:
        return None
    return np.take(arrays[0], arrays[1], node.options.Axis())


def _reduce_prod(node: ImportedOperator, *arrays: Array) -> Array:
    axes = tuple(arrays[1].reshape(-1).tolist())
    return np.prod(arrays[0], axis=axes, keepdims=bool(node.options.KeepDims()))


def _fill(_: ImportedOperator, *arrays: Array) -> Array | None:
    dims: list[int] = arrays[0].tolist()
    if np.prod(dims, dtype=np.float64) > FOLDED_ELEMENTS:
        return None
    return np.full(dims, arrays[1])


def _range(_: ImportedOperator, *arrays: Array) -> Array | None:
    start, limit, delta = (a.item() for a in arrays)
    if delta == 0 or abs((limit - start) / delta) > FOLDED_ELEMENTS:
        return None
    return cast("Array", np.arange(start, limit, delta))


def _by_numpy(function: Callable[..., Array]) -> Callable[..., Array]:
    def fold(_: ImportedOperator, *arrays: Array) -> Array:
        return function(*arrays)

    return fold


_ON_CONSTANTS: dict[str, Callable[..., Array | None]] = {
    "GATHER": _gather,
    "REDUCE_PROD": _reduce_prod,
    "FILL": _fill,
    "RANGE": _range,
    "CAST": _by_numpy(np.asarray),
    "ZEROS_LIKE": _by_numpy(np.zeros_like),
    "FLOOR_DIV": _by_numpy(np.floor_divide),
    "FLOOR_MOD": _by_numpy(np.mod),
    "EQUAL": _by_numpy(np.equal),
    "NOT_EQUAL": _by_numpy(np.not_equal),
    "LESS": _by_numpy(np.less),
    "LESS_EQUAL": _by_numpy(np.less_equal),
    "GREATER": _by_numpy(np.greater),
    "GREATER_EQUAL": _by_numpy(np.greater_equal),
    "LOGICAL_AND": _by_numpy(np.logical_and),
    "LOGICAL_OR": _by_numpy(np.logical_or),
    "LOGICAL_NOT": _by_numpy(np.logical_not),
    "SELECT": _by_numpy(np.where),
    "SELECT_V2": _by_numpy(np.where),
}


def fold(node: ImportedOperator) -> Array | None:
    """The elements of the operator's one result, where it is shape arithmetic on known shapes."""
    if node.op_type in ("SHAPE", "RANK"):
        shape = node.shape(0)
        if node.op_type == "RANK":
            return np.array(len(shape), np.int32)
        dtype = dtype_of_element(node.result_types[0].element_type)
        # LiteRT makes the type of the option, not that which the file says of the result.
        made = {
            tflite.TensorType.INT32: np.dtype(np.int32),
            tflite.TensorType.INT64: np.dtype(np.int64),
        }
        if dtype is None or made.get(node.options.OutType()) != dtype:
            return None
        return None if DYNAMIC in shape else np.array(shape, dtype)
    function = _ON_CONSTANTS.get(node.op_type)
    if function is None:
        return None
    dtype = dtype_of_element(node.result_types[0].element_type)
    arrays = [node.constant(i) for i in range(len(node.operands))]
    known = [a for a in arrays if a is not None and a.size <= FOLDED_ELEMENTS]
    if dtype is None or len(known) != len(arrays):
        return None
    result = function(node, *known)
    return None if result is None else np.asarray(result).astype(dtype)
