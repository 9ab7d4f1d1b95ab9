"""What IREE 3.13 makes something else of, or nothing, if it is written otherwise than we do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import i8, i32

from furiosa_ir.dialects.ftensor import (
    ConvOp,
    DivideOp,
    GatherOp,
    ReduceWindowOp,
    RescaleOp,
    SliceOp,
    i48,
)
from furiosa_ir.numerics.array import Array
from tests.backends.mlir.segments_of_one import Case, Cases

pytest.importorskip("iree.compiler", reason="the extra `iree` is not installed")

RNG = np.random.default_rng(0)


def bytes_of(*shape: int) -> tuple[Array, Any]:
    return RNG.integers(-128, 128, shape).astype(np.int8), i8


def window(operation: type[Any], operands: Any, **properties: Any) -> Case:
    constants = (False, True, True)[: len(operands)]
    return Case(operation, tuple(operands), constants, i32, {"layout": "NHWC", **properties})


CASES = {
    # tensor.pad of a strided insert_slice into a fill loses the strides.
    "spread and padded": window(
        ConvOp,
        (bytes_of(1, 5, 6, 3), bytes_of(4, 3, 3, 3), None),
        pads=[2, 2, 3, 3],
        input_dilation=[2, 2],
        x_zp=5,
    ),
    "spread and cropped": window(
        ConvOp,
        (bytes_of(1, 5, 6, 3), bytes_of(4, 2, 2, 3), None),
        pads=[-1, 0, 1, -1],
        input_dilation=[2, 3],
        x_zp=-7,
    ),
    # Windows have to cover all of their operand.
    "rows that no window reaches": window(
        ConvOp, (bytes_of(1, 8, 9, 3), bytes_of(4, 1, 1, 3), None), strides=[3, 3]
    ),
    "columns that no pool reaches": window(
        ReduceWindowOp, (bytes_of(1, 8, 9, 3),), kind="sum", window=[2, 2], strides=[3, 3]
    ),
    # A strided extract_slice that a gather reads does not compile.
    "every third element": Case(
        SliceOp,
        (bytes_of(4, 9),),
        (False,),
        i8,
        {"starts": [0, 1], "ends": [4, 9], "steps": [2, 3]},
    ),
    "indices": Case(
        GatherOp, (bytes_of(4, 9),), (False,), i8, {"axis": 1, "indices": [8, 0, 8, 3]}
    ),
    # Vectors are longer than the tensor, and lanes behind its end divide, too (by 0: SIGFPE).
    "quotients of an odd number of rows": Case(
        DivideOp,
        (
            (RNG.integers(0, 1 << 20, (1, 4420, 2)), i48),
            (RNG.integers(1, 1 << 20, (1, 4420, 1)), i48),
        ),
        (False, False),
        i8,
        {},
    ),
    # i8 times i16 takes five times as long as bytes, which weights are but for a number.
    "weights and a zero point, above bytes": window(
        ConvOp, (bytes_of(1, 3, 4, 32), bytes_of(5, 1, 1, 32), None), weight_zp=-128, x_zp=9
    ),
    "weights and a zero point, below bytes": window(
        ConvOp, (bytes_of(1, 3, 4, 16), bytes_of(5, 3, 3, 16), None), weight_zp=127, x_zp=-128
    ),
    # With i64 in i32, products lose their upper half.
    "products of 62 bits": Case(
        RescaleOp,
        (
            (np.array([2**31 - 1, -(2**31), 12345], np.int32), i32),
            (np.array(2**31 - 1, np.int32), i32),
            (np.array(55, np.int8), i8),
        ),
        (False, True, True),
        i8,
        {"rounding": "even"},
    ),
    "values of 47 bits": Case(
        RescaleOp,
        (
            (np.array([2**46 - 1, -(2**46), 3], np.int64), i48),
            (np.array(2**14, np.int32), i32),
            (np.array(55, np.int8), i8),
        ),
        (False, True, True),
        i32,
        {"rounding": "near_even", "minimum": -(2**31), "maximum": 2**31 - 1},
    ),
}


def test_all_of_them() -> None:
    together = Cases()
    together.add(list(CASES.values()))
    names = {id(case): name for name, case in CASES.items()}
    assert [names[id(case)] for case in together.differing()] == []
