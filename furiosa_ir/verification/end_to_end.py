"""A result's outputs beside those of its source framework, end to end.

A second look beside the comparison of every tensor: it needs no correspondence of values, and the
framework runs the original file. TFLite: every integer must be equal. ONNX: onnxruntime is a
witness; its float32 noise flips quantisation steps that depth amplifies, so it cannot fail a
program by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from furiosa_ir.comparison import close
from furiosa_ir.numerics.array import Array

Run = Callable[[Mapping[str, Array]], Sequence[Array]]

LEAST_EXACT_SHARE = 0.99
"""Of an ONNX network's output elements, how many must equal exact arithmetic, where host segments
in float32 may flip a quantisation step that what follows amplifies. (What such a segment makes of
exact operands is compared by itself.)"""


@dataclass(frozen=True)
class Agreement:
    """How far one output agrees with one reference.

    Attributes:
        output: its name.
        reference: what it was compared with.
        equal: share of elements that are equal (floats: to 1e-5 of the greatest).
        difference: the greatest absolute difference.
        required: the least share that passes; 0 for a mere witness.
    """

    output: str
    reference: str
    equal: float
    difference: float
    required: float

    @property
    def passed(self) -> bool:
        """Whether it agrees as far as it must."""
        return self.equal >= self.required

    def __str__(self) -> str:
        share = f"{self.equal * 100:.4g} %" if self.equal < 1 else "every element"
        text = f"output '{self.output}': {share} equal to {self.reference}"
        if self.equal == 1 and not self.difference:
            return text
        return f"{text}, greatest difference {self.difference:.4g}"


def agreement(output: str, reference: str, required: float, got: Array, want: Array) -> Agreement:
    """Compares one output with one reference's."""
    if got.shape != want.shape or got.dtype != want.dtype:
        return Agreement(output, reference, 0.0, float("inf"), required)
    if got.size == 0:
        return Agreement(output, reference, 1.0, 0.0, required)
    if got.dtype.kind not in "biuf":
        share = float(np.asarray(got == want).mean())
        return Agreement(output, reference, share, 1.0 - share, required)
    same = close(got, want) if got.dtype.kind == "f" else got == want
    with np.errstate(invalid="ignore"):
        apart = np.abs(got.astype(np.float64) - want.astype(np.float64))
    difference = float(np.nanmax(apart)) if np.isfinite(apart).any() else 0.0
    return Agreement(output, reference, float(same.mean()), difference, required)


def worst(agreements: Sequence[Agreement]) -> list[Agreement]:
    """Of several inputs' agreements, the worst for each output and reference."""
    found: dict[tuple[str, str], Agreement] = {}
    for now in agreements:
        key = now.output, now.reference
        if key not in found or now.equal < found[key].equal:
            found[key] = now
    return list(found.values())


def sample_by_sample(run: Run, single: Sequence[Sequence[int]]) -> Run:
    """A reference of the file's own batch on several samples: what a batch means.

    Args:
        run: the reference.
        single: the shapes of its inputs.
    """

    def together(feeds: Mapping[str, Array]) -> Sequence[Array]:
        if [array.shape for array in feeds.values()] == [tuple(shape) for shape in single]:
            return run(feeds)
        parts: dict[str, list[Array]] = {}
        size = 1
        for (name, array), shape in zip(feeds.items(), single, strict=True):
            grown = [i for i, n in enumerate(shape) if n != array.shape[i]]
            if grown:
                size = array.shape[grown[0]] // shape[grown[0]]
                parts[name] = np.split(array, size, grown[0])
        alone = [
            run({n: parts[n][i] if n in parts else feeds[n] for n in feeds}) for i in range(size)
        ]
        return [joined(results) for results in zip(*alone, strict=True)]

    return together


def joined(samples: Sequence[Array]) -> Array:
    """One sample's results after another, along the first axis."""
    return np.concatenate(samples) if samples[0].ndim else samples[0]
