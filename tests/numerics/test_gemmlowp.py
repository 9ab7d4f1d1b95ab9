"""gemmlowp's functions approximate what they are named after."""

from __future__ import annotations

import numpy as np

from furiosa_ir.numerics import gemmlowp


def test_softmax_primitives_approximate_their_functions() -> None:
    x = -np.arange(0, 2**31, 2**20)
    exp = gemmlowp.exp_on_negative_values(x)
    assert np.allclose(exp / 2.0**31, np.exp(x / 2.0**26), atol=1e-6)
    value = np.arange(1, 2**31, 1_000_003)
    scale, bits = gemmlowp.reciprocal(value, 12)
    approximation = scale / 2.0**31 * np.exp2(-bits.astype(float))
    assert np.allclose(approximation, 2.0**19 / value, rtol=1e-6)
