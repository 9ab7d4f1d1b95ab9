"""A batch of N samples against N single runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from furiosa_ir.compiler import compile_model
from furiosa_ir.runtime import session


def assert_batch_equals_single_runs(model: bytes | Path, size: int, seed: int = 0) -> None:
    """Compiles for one sample and for `size`; every output element must be equal."""
    rng = np.random.default_rng(seed)
    with (
        session.create(compile_model(model)) as single,
        session.create(compile_model(model, batch_size=size)) as batched,
    ):
        inputs = single.inputs()
        samples = [[_draw(rng, d.shape, d.numpy_dtype) for d in inputs] for _ in range(size)]
        alone = [[t.numpy() for t in single.run(x)] for x in samples]
        together = batched.run([np.concatenate(x) for x in zip(*samples, strict=True)])
        for index, result in enumerate(together):
            expected = np.concatenate([results[index] for results in alone])
            np.testing.assert_array_equal(result.numpy(), expected)


def _draw(rng: np.random.Generator, shape: Sequence[int], dtype: Any) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return rng.uniform(-2, 2, shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, shape).astype(dtype)
