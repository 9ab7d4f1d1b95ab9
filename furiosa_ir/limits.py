"""How large what a file asks for may be: sizes are compared with these before memory is taken.

Files are untrusted: a header of a few bytes can claim 2^60 elements. The defaults let every
network through that fits the card's 16 GiB of DRAM, with external data of any size;
the environment may set others (`docs/limits.md` lists the variables).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType

from furiosa_ir.errors import FuriosaError

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that a file may ask for.

    Attributes:
        default: the number, where the environment says nothing.
        what: is counted, and what happens beyond.
    """

    default: int
    what: str


LIMITS: Mapping[str, Limit] = MappingProxyType(
    {
        "TEXT_BYTES": Limit(256 << 20, "bytes of a file of IR text; a longer one is refused"),
        "ALIASED_ATTRIBUTES": Limit(
            1 << 19, "attributes that aliases in IR text stand for, each time that they are named"
        ),
        "DENSE_ELEMENTS": Limit(
            1 << 22,
            "elements of `dense` attributes in IR text, and of constants of one repeated element",
        ),
        "DIGITS": Limit(1 << 10, "digits of a number in IR text"),
        "NESTING": Limit(64, "levels of brackets in IR text, of subgraphs and functions"),
        "OPERATORS": Limit(
            1_000_000, "operators of an ONNX network, those of subgraphs and inlined ones included"
        ),
        "FUNCTION_BYTES": Limit(
            16 << 20,
            "bytes, and 16 times the file, that a network may grow where calls of functions and "
            "subgraphs become their bodies; a node counts 512 and its own",
        ),
        "RANK": Limit(64, "dimensions of a tensor (numpy's own limit)"),
        "TENSOR_ELEMENTS": Limit(1 << 34, "elements of a constant, an input or a result"),
        "FOLDED_ELEMENTS": Limit(
            1 << 24, "elements of a constant made at import; a larger one is left to run time"
        ),
        "FOLDED_GROWTH": Limit(
            1 << 25,
            "elements of all such constants, beside four times as many as the file has; and of "
            "sparse tensors with their zeros, beside 4 (TFLite: times the file's bytes) or 64 "
            "(ONNX) times their values; one of 8 bytes counts twice",
        ),
        "STATE_BYTES": Limit(
            64 << 20,
            "bytes, beside the file's own size, that a TFLite network may keep from run to run",
        ),
        "EXPANDED_BYTES": Limit(
            128 << 20,
            "bytes that the arrays of an .npz file, and the parts of a crash reproducer, may hold "
            "beside 16 times the file's own; and that are read at once of what `furiosa evaluate` "
            "reads bit by bit: a sample, or all labels",
        ),
        "SHARES": Limit(
            16,
            "times its own size that the parts of a TFLite file, and the tensors in external files "
            "of an ONNX model, may hold: shared ones each time; holes have no size",
        ),
        "SRAM_BYTES": Limit(_GIB, "SRAM of the machine that a program says it is for"),
        "COMPARISONS": Limit(
            1 << 16, "places of a segment's commands that are compared byte for byte to find races"
        ),
        "DRAM_BYTES": Limit(16 * _GIB, "DRAM that a program's segment may take"),
        "NATIVE_SECONDS": Limit(
            10, "seconds of processor time of onnx or onnxruntime on one node; all folded constants"
        ),
        "NATIVE_BYTES": Limit(
            768 << 20, "bytes that onnx or onnxruntime may map for it, in a process of their own"
        ),
        "QUANTIZER_BYTES": Limit(
            32 * _GIB, "bytes that quantising may map, in a process of its own"
        ),
        "HOST_SECONDS": Limit(
            600,
            "seconds in which a process for native code says something: that of an isolated host "
            "segment answers a run, that of the quantiser makes a step",
        ),
    }
)
"""Name (behind `FURIOSA_MAX_`) -> limit."""


_SETTLED: ContextVar[dict[str, int] | None] = ContextVar("limits", default=None)


@contextmanager
def settled() -> Generator[None]:
    """Within it each limit is looked up once: the environment takes a microsecond each time."""
    token = _SETTLED.set({})
    try:
        yield
    finally:
        _SETTLED.reset(token)


def limit(name: str) -> int:
    """The limit of that name: of the environment, or (where that says nothing) the default.

    Raises:
        FuriosaError: the environment holds no positive whole number.
    """
    known = _SETTLED.get()
    if known is None:
        return _given(name)
    if name not in known:
        known[name] = _given(name)
    return known[name]


def _given(name: str) -> int:
    variable = f"FURIOSA_MAX_{name}"
    default = LIMITS[name].default
    value = os.environ.get(variable)
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= 18 and int(value) > 0):
        raise FuriosaError(f"{variable} is '{value[:40]}', not a positive whole number")
    return int(value)


def way_out(name: str) -> str:
    """The hint of an error that refuses what goes beyond a limit."""
    return f"FURIOSA_MAX_{name} sets the limit of {limit(name)}"


class Budget:
    """What a reader may still make of a file, in bytes or other units.

    All tables of a FlatBuffer may point to one long vector, so that some KiB would become
    gigabytes. A reader that takes whatever it makes of a file from one budget is safe from that,
    whatever the file shares.

    Args:
        most: how much.
        refusal: makes the error of a file that asks for more.
    """

    def __init__(self, most: int, refusal: Callable[[], FuriosaError]) -> None:
        self._left = most
        self._refusal = refusal

    def take(self, count: int) -> None:
        """Takes so much.

        Raises:
            FuriosaError: there is not so much left.
        """
        self._left -= count
        if self._left < 0:
            raise self._refusal()
