"""The small reader and `furiosa_ir` on damaged vectors: they accept, refuse and compute the same.

Bytes of a vector's FlatBuffer change, and the checksum with them. What one refuses as what must
be refused, the other does, too; what is valid all the same runs to the same results.
"""

from __future__ import annotations

import zlib
from collections import Counter
from typing import Any

import numpy as np
import pytest

from examples.enf_reader import executor, reader
from furiosa_ir.backends.warboy.checker import check_program
from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.simulator.memory import memory_pool
from furiosa_ir.backends.warboy.simulator.simulator import Simulator
from furiosa_ir.errors import ExecutionFailure, FuriosaError
from furiosa_ir.program import HostSegment, Program
from tests.backends.warboy.enf.vectors import FOLDER
from tests.draws import draws

VALID = (
    "the machine's parameter",
    "the machine has an unknown parameter",
    "the machine's clock",
    "parameters of its machine have one name",
    "options have one name",
    "below its lower bound",
    "waits for a command that is not before it",
    "waits for the set-up",
    "which waits for nothing",
    "is beside",
    "writes the same DRAM bytes twice",
    "a layer refers to something",
    "of initial elements",
    "the variable",
    "of its variables have one name",
    "its framework",
    "state of text",
    "has the scale",
    "names for them",
    "a stride of",
)
"""What `furiosa_ir` says of programs that are not valid (V)."""

_WORDS = (0, 1, 2, 3, 4, 8, 32, 64, 127, 128, 255, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """With one to three changes between the machine's parameters and the sections."""
    changed = bytearray(data)
    end = 20 + int.from_bytes(data[16:20], "little")
    for _ in range(rng.integers(1, 4)):
        at, kind = int(rng.integers(16, end)), int(rng.integers(3))
        if kind == 0:
            changed[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            changed[at] = int(rng.integers(256))
        else:
            at -= at % 4
            changed[at : at + 4] = int(rng.choice(_WORDS)).to_bytes(4, "little")
    changed[3:7] = zlib.crc32(changed[10:]).to_bytes(4, "little")
    return bytes(changed)


def accepted(data: bytes) -> tuple[Program | None, str]:
    """The program if it is valid, and "ok", "not valid" (V) or "refused"."""
    try:
        program = read_program(data)
    except FuriosaError as error:
        return None, "not valid" if any(text in str(error) for text in VALID) else "refused"
    try:
        check_program(program)
    except FuriosaError:
        return None, "not valid"
    return program, "ok"


def draw(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Any values of a type."""
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def outputs(data: bytes, program: Program, inputs: dict[int, Any]) -> tuple[list[Any], list[Any]]:
    """What both make of the first NPU segment's run, or the error of each."""
    try:
        ours = [*Simulator(program, check=False).run_segment(0, inputs).values()]
    except ExecutionFailure:
        ours = ["error"]
    try:
        session = executor.Session(data)
        segment = session.program.segments[0]
        theirs = session._on_npu(segment, list(inputs.values()))
    except reader.Refused:
        theirs = ["error"]
    return ours, theirs


def load(data: bytes) -> Any:
    """The small reader's program, whose slices lie no further apart than it needs."""
    program = reader.load(data)
    program.room = max((s.sram_bytes for s in program.segments if s.on_npu), default=0)
    return program


@pytest.mark.draws
def test_damaged_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "load", load)
    found = compared(draws(1000), seed=13)
    assert found["refused"]
    assert found["not valid"]
    assert found["ran"]


def compared(count: int, seed: int) -> Counter[str]:
    """How so many damaged vectors are taken."""
    rng = np.random.default_rng(seed)
    kept = [memory_pool(slices, 1 << 18) for slices in (64, 128)]  # one memory for all programs
    names = sorted(path.stem for path in FOLDER.glob("*.enf"))
    found: Counter[str] = Counter()
    for _ in range(count):
        name = names[rng.integers(len(names))]
        data = damaged((FOLDER / f"{name}.enf").read_bytes(), rng)
        try:
            reader.load(data)
            small = "ok"
        except reader.Refused:
            small = "refused"
        program, ours = accepted(data)
        found[ours] += 1
        assert small == ("refused" if ours == "refused" else small if ours == "not valid" else "ok")
        if program is None or isinstance(program.segments[0], HostSegment):
            continue
        rows = {t: program.tensors[t] for t in program.segments[0].reads}
        inputs = {t: draw(rng, row.dtype, row.shape) for t, row in rows.items()}
        a, b = outputs(data, program, inputs)
        assert len(a) == len(b), name
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y, err_msg=name)
        found["ran"] += 1
    del kept
    return found
