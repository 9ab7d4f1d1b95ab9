"""The exact lowerings against dequantise - compute in float64 - quantise, element for element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from furiosa_ir.interpreter import run_function
from furiosa_ir.lowering import refusal
from furiosa_ir.lowering.function import lower_function
from tests.draws import draws
from tests.lowering.drawn import Drawn, drawn
from tests.lowering.exact_cases import CASES

EXAMPLES = draws(30)


def stored_as_int8(array: Any) -> Any:
    return (array ^ np.uint8(0x80)).view(np.int8) if array.dtype == np.uint8 else array


@pytest.mark.draws
@pytest.mark.parametrize("case", CASES)
def test_lowering_equals_exact_arithmetic(case: str) -> None:
    @settings(max_examples=EXAMPLES)
    @given(drawn(CASES[case]))
    def compare(network: Drawn) -> None:
        network.op.verify()
        assert refusal(network.op, "exact") is None
        want = run_function(network.function, network.inputs)
        lower_function(network.function, "exact")
        network.function.verify()
        got = run_function(network.function, [stored_as_int8(x) for x in network.inputs])
        for w, g in zip(want, got, strict=True):
            np.testing.assert_array_equal(g, stored_as_int8(w))

    compare()
