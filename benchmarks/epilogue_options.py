"""What was measured to choose how the simulator runs vector programs (ARCHITECTURE.md).

Usage: python benchmarks/epilogue_options.py    (beside numpy it times what is installed of numexpr
       and numba; neither is a dependency)

LiteRT's rescale, [4096, 256] i32 to i8 with a factor a channel: first call and best of 20, one
thread. The compiled kernels' figure is that of a whole `Vector` command, its tiles' moves included.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from furiosa_ir.backends.warboy.enf.records import DramTile, Load, Vector
from furiosa_ir.backends.warboy.simulator.simulator import Simulator
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.backends.warboy.vector_engine.lines import LineProgram, Register
from furiosa_ir.numerics import fixed_point
from furiosa_ir.program import Binding, Tensor
from tests.backends.warboy.simulator.program_builder import ProgramBuilder

SHAPE = (1, 64, 64, 256)
RESCALE = Instruction("rescale", (0, 1, 2), (0, -3, -128, 127), "double", 1)
RNG = np.random.default_rng(0)
X = RNG.integers(-(1 << 20), 1 << 20, SHAPE, np.int32)
MULTIPLIER = RNG.integers(1 << 30, 1 << 31, (1, 1, 1, 256)).astype(np.int32)
SHIFT = RNG.integers(40, 44, (1, 1, 1, 256)).astype(np.int8)


def by_numpy() -> Callable[[], np.ndarray]:
    """Blocks of lines in float64: what runs where there are no kernels."""
    registers = [Register(SHAPE, 4, (-(1 << 20), 1 << 20))]
    registers += [Register.of_constant(a, a.itemsize) for a in (MULTIPLIER, SHIFT)]
    lines, out = LineProgram([RESCALE], registers, SHAPE), np.empty(SHAPE, np.int8)

    def run() -> np.ndarray:
        lines.run([X], out, lines.scratch())
        return out

    return run


def by_numexpr() -> Callable[[], np.ndarray]:
    """One expression of int64."""
    import numexpr  # type: ignore[import-not-found]  # noqa: PLC0415  # need not be there

    numexpr.set_num_threads(1)
    m, s = MULTIPLIER.astype(np.int64), SHIFT.astype(np.int64) - 31
    half = (np.int64(1) << s) >> 1
    high = "((x * m + 1073741824) >> 31)"
    rounded = f"(({high} + where({high} < 0, -1, 0) + half) >> s)"
    limited = f"where({rounded} < -125, -125, where({rounded} > 130, 130, {rounded})) - 3"

    def run() -> np.ndarray:
        values = {"x": X.astype(np.int64), "m": m, "s": s, "half": half}
        return numexpr.evaluate(limited, local_dict=values).astype(np.int8)

    return run


def by_numba() -> Callable[[], np.ndarray]:
    """A loop of int64, compiled when it is called first."""
    import numba  # type: ignore[import-not-found]  # noqa: PLC0415  # need not be there

    @numba.njit(nogil=True)
    def rescaled(x, m, s, out):
        for i in range(x.shape[0]):
            for c in range(x.shape[1]):
                v = (np.int64(x[i, c]) * m[c] + (1 << 30)) >> 31
                v += (v >> 63) + ((np.int64(1) << s[c]) >> 1)
                out[i, c] = max(min(v >> s[c], 130), -125) - 3

    m, s = MULTIPLIER.astype(np.int64).ravel(), SHIFT.astype(np.int64).ravel() - 31
    out = np.empty(SHAPE, np.int8)

    def run() -> np.ndarray:
        rescaled(X.reshape(-1, 256), m, s, out.reshape(-1, 256))
        return out

    return run


class ByKernels:
    """A program of one kernel."""

    def __init__(self) -> None:
        b = ProgramBuilder("warboy-2pe")
        b.tensors.append(Tensor("x", "int32", SHAPE))
        b.inputs.append(Binding(0, 0))
        b.workspace = X.nbytes
        _, h, w, c = SHAPE
        tile = b.tile(SHAPE, (32, 4), "HWC", 4)
        source = DramTile("workspace", 0, SHAPE, (h * w * c * 4, w * c * 4, c * 4, 4), 4)
        b.commands.append(Load(source, tile, 0))
        parameters = b.parameter(MULTIPLIER), b.parameter(SHIFT)
        kernel = Vector((tile,), parameters, (RESCALE,), b.tile(SHAPE, (32, 4), "HWC"), 0)
        self._number = len(b.commands)
        b.output(b.kernel(kernel))
        self._simulator = Simulator(b.program())

    def __call__(self) -> np.ndarray:
        """The rescaled array."""
        return self._simulator.run_segment(0, {0: X})[1]

    def seconds(self) -> float:
        """Of the kernel alone."""
        return self._simulator.profile_segment(0, {0: X})[self._number]


def main() -> None:
    """Prints a line an option."""
    expected = fixed_point.rescale(
        X, MULTIPLIER, SHIFT, output_zero_point=-3, rounding="double", dtype=np.int8
    )
    for make in (by_numpy, by_numexpr, by_numba, ByKernels):
        try:
            run = make()
            start = time.perf_counter()
            found = run()
        except ImportError as error:
            print(f"{make.__name__}: {error}")
            continue
        first = time.perf_counter() - start
        assert np.array_equal(found.reshape(SHAPE), expected), make.__name__
        best = float("inf")
        for _ in range(20):
            start = time.perf_counter()
            run()
            best = min(best, time.perf_counter() - start)
        if isinstance(run, ByKernels):
            best = min(run.seconds() for _ in range(20))
        print(f"{make.__name__}: first {first * 1e3:.1f} ms, then {best * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
