"""Every LiteRT lowering against LiteRT's reference kernels, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.lowering import litert_convolutions, litert_movement, litert_operators
from tests.lowering.network import Network, Refused, forms, networks

CASE_MODULES = (litert_convolutions, litert_operators, litert_movement)
"""Importing them registers their cases."""

EXAMPLES = 10
"""Networks of each case and dtype."""

MAY_REFUSE = {("resize_bilinear", "uint8"), ("reduce_sum", "int8")}
"""LiteRT computes these (partly) in a way that the NPU does not repeat: they stay on the host."""

NEVER_LOWERED = {("reduce_sum", "int8")}


@pytest.mark.parametrize(("name", "dtype"), forms())
def test_matches_litert(name: str, dtype: str) -> None:
    checked = 0

    @settings(max_examples=EXAMPLES)
    @given(networks(name, dtype))
    def compare(net: Network) -> None:
        nonlocal checked
        try:
            net.check()
        except Refused:
            assert (name, dtype) in MAY_REFUSE
        else:
            checked += 1

    compare()
    assert (checked > 0) == ((name, dtype) not in NEVER_LOWERED)
