"""The compiled kernels, loaded once in a process."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

_LOG = logging.getLogger(__name__)

LIBRARY = Path(__file__).with_name("kernels.so")
"""What `compile_kernels.py` makes; absent where there was no compiler."""

VARIANTS = ("generic", "v3", "vnni", "amx")
"""Of the kernels: for any processor, with AVX2, with AVX-512 and VNNI, with AMX beside it."""

SWITCH = "FURIOSA_NATIVE_KERNELS"
"""The environment variable that chooses: "0" is numpy, one of `VARIANTS` that and none better."""

Packing: TypeAlias = Literal["bytes", "words", "tiles"]
"""Of weights: four terms of a block of outputs beside each other, two terms as 16 bits, or tiles of
AMX (`source/products.h`, `word_products.h`, `matrix_tiles.h`)."""

_PACKINGS: Mapping[str, Packing] = {
    "generic": "bytes",
    "v3": "words",
    "vnni": "bytes",
    "amx": "tiles",
}

RunPlan: TypeAlias = Callable[[int, int, int, int, int, int, int, int], int]
"""(plan, starts, first, last, sram, workspace, constants, scratch) -> -1, or 4 times the command
that failed and its reason of `FAILURES`; addresses, and numbers of commands."""

FAILURES = (
    "",
    "a divisor is not positive",
    "a rescale's shift is not within 0 and 62",
    "a rescale's multiplier has more than 32 bits",
)


def _source_digest() -> bytes:
    """`compile_kernels.source_digest` of the source beside the library."""
    digest = hashlib.sha256()
    for path in sorted(LIBRARY.with_name("source").glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest().encode()


def _digest_of(library: ctypes.CDLL) -> bytes | None:
    """Of the source that a library was compiled of; None if it does not say."""
    try:
        function = library.source_digest
    except AttributeError:
        return None
    function.restype = ctypes.c_char_p
    return function()


@dataclass(frozen=True)
class Kernels:
    """What runs plans.

    Attributes:
        run_plan: runs commands.
        variant: which of `VARIANTS` it is.
    """

    run_plan: RunPlan
    variant: str

    @property
    def packing(self) -> Packing:
        """How it wants weights packed."""
        return _PACKINGS[self.variant]


def load_kernels(asked_for: str | None = None) -> Kernels | None:
    """What runs plans on this processor; None where it is absent or switched off.

    Args:
        asked_for: one of `VARIANTS`, or the best that the processor has if it has not that one;
            "" for the best; "0" for none. Default: what the environment says (`SWITCH`).
    """
    return _load(os.environ.get(SWITCH, "") if asked_for is None else asked_for)


@cache
def _load(asked_for: str) -> Kernels | None:
    if asked_for == "0":
        return None
    try:
        library = ctypes.CDLL(str(LIBRARY))
    except OSError as error:
        _LOG.debug("the simulator runs in numpy: %s", error)
        return None
    if _digest_of(library) != _source_digest():
        _LOG.warning(
            "the simulator runs in numpy, slower: its kernels are of another version; "
            "`make kernels` compiles them"
        )
        return None
    best = int(library.variant())
    number = min(VARIANTS.index(asked_for), best) if asked_for in VARIANTS else best
    address, count = ctypes.c_void_p, ctypes.c_int64
    # A call of a CDLL's function runs without the GIL.
    run = library.run_plan
    run.argtypes = [ctypes.c_int32, address, address, count, count, *[address] * 4]
    run.restype = count
    _LOG.debug("the simulator's kernels are '%s'", VARIANTS[number])

    def run_plan(
        plan: int, starts: int, first: int, last: int,
        sram: int, workspace: int, constants: int, scratch: int,
    ) -> int:  # fmt: skip
        return int(run(number, plan, starts, first, last, sram, workspace, constants, scratch))

    return Kernels(run_plan, VARIANTS[number])
