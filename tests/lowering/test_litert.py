"""Every LiteRT lowering against LiteRT's reference kernels, byte for byte."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from tests.lowering import litert_convolutions, litert_movement, litert_operators
from tests.lowering.network import CASES, Network, Refused, forms

CASE_MODULES = (litert_convolutions, litert_operators, litert_movement)
"""Importing them registers their cases."""

REPEATS = 12
"""Random networks of each case and dtype."""

MAY_REFUSE = {("resize_bilinear", "uint8")}
"""LiteRT computes these (partly) in a way that the NPU does not repeat: they stay on the host."""

DTYPES = {"int8": np.int8, "uint8": np.uint8}


@pytest.mark.parametrize(("name", "dtype"), forms())
def test_matches_litert(name: str, dtype: str) -> None:
    refusals: list[str] = []
    for repeat in range(REPEATS):
        seed = zlib.crc32(f"{name} {repeat}".encode())
        net = Network(DTYPES[dtype], np.random.default_rng(seed))
        CASES[name](net)
        try:
            net.check()
        except Refused as refused:
            refusals.append(str(refused))
    if (name, dtype) not in MAY_REFUSE:
        assert not refusals
    assert len(refusals) < REPEATS
