"""What `furiosa doctor` says of the Warboy backend: its programs, and what runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from furiosa_ir.backends.warboy.enf.head import VERSION
from furiosa_ir.backends.warboy.simulator.native.library import LIBRARY, SWITCH, load_kernels
from furiosa_ir.findings import Finding


def diagnosis() -> Iterator[Finding]:
    """The version of ENF, and whether the simulator has its compiled kernels."""
    major, minor, _ = VERSION
    yield Finding("programs", f"ENF {major}.{minor}")
    yield _simulator()


def _simulator() -> Finding:
    kernels = load_kernels()
    if kernels is not None:
        return Finding("simulator", f"compiled kernels, '{kernels.variant}'")
    slower = "the same results, 2 to 20 times slower"
    if os.environ.get(SWITCH) == "0":
        return Finding("simulator", f"numpy, as {SWITCH}=0 says", "absent", slower)
    if LIBRARY.exists():
        advice = f"{slower}; install again, or `make kernels` in a checkout"
        return Finding("simulator", "numpy: its kernels do not fit this version", "absent", advice)
    advice = f"{slower}; with a C compiler, install again, or `make kernels` in a checkout"
    return Finding("simulator", "numpy: it has no compiled kernels", "absent", advice)
