"""`broadcast_shapes` beside numpy's, and beyond the dimensions that numpy's knows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects import test

from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.shaped_operation import broadcast_shapes

SHAPE = st.lists(st.sampled_from([1, 1, 2, 3, 0]), max_size=4).map(tuple)


@given(st.lists(SHAPE, min_size=1, max_size=3))
def test_beside_numpy(shapes: list[tuple[int, ...]]) -> None:
    try:
        want = np.broadcast_shapes(*shapes)
    except ValueError:
        with pytest.raises(VerificationFailure, match="do not broadcast"):
            broadcast_shapes(test.TestOp(), shapes)
    else:
        assert broadcast_shapes(test.TestOp(), shapes) == want


def test_many_dimensions() -> None:
    shape = (1,) * 53 + (3,)
    assert broadcast_shapes(test.TestOp(), [shape, (2, 1)]) == (*shape[:-2], 2, 3)
