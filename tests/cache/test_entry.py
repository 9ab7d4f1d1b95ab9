"""Entries: what is written is read, and nothing else is."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from furiosa_ir.batch_figures import BatchFigures
from furiosa_ir.cache import entry as entries
from furiosa_ir.cache.entry import (
    HEADER_BYTES,
    BadEntry,
    Entry,
    HostOperator,
    Metadata,
    entry_chunks,
    entry_size,
    read_entry,
)
from furiosa_ir.latency import Latency

KEY = "ab" * 32

numbers = st.floats(0, 1e9)
counts = st.integers(0, 2**60)
latencies = st.builds(Latency, numbers, numbers, numbers, numbers)
batches = st.builds(BatchFigures, st.integers(1, 2**60), latencies, counts, counts)
operators = st.builds(HostOperator, st.text(), st.text(), st.integers(0, 99), st.text())
metadata = st.builds(
    Metadata,
    numbers,
    counts,
    latencies,
    st.lists(operators, max_size=3).map(tuple),
    st.lists(st.text(), max_size=3).map(tuple),
    st.lists(batches, max_size=3).map(tuple),
    st.none() | st.integers(1, 2**60),
)


LATENCY = '{"npu_latency_us":1,"host_latency_us":1,"link_latency_us":1,"setup_latency_us":1}'


def changed(**texts: str) -> bytes:
    """Metadata as JSON, with other text in place of some values."""
    members = {"npu_mac_share": "1", "cycles": "1", "latency": LATENCY}
    members |= {"host_operators": "[]", "warnings": "[]", "batches": "[]", "batch_size": "null"}
    members |= texts
    return ("{" + ",".join(f'"{k}":{v}' for k, v in members.items()) + "}").encode()


def test_the_other_values_are_sound():
    data = changed(batches=f"[[1,{LATENCY},0,0]]", batch_size="1")
    assert Metadata.decode(data).batches == (BatchFigures(1, Latency(1, 1, 1, 1), 0, 0),)


def written(data: Metadata, program: bytes | Path, key: str = KEY) -> bytes:
    return b"".join(entry_chunks(key, data, program, created=1234.5))


def read(data: bytes, key: str = KEY, file: Path | None = None) -> Entry:
    return read_entry(io.BytesIO(data), len(data), key, file)


@given(metadata, st.binary(max_size=1000))
def test_round_trip(data: Metadata, program: bytes):
    stored = written(data, program)
    assert len(stored) == entry_size(data, program)
    entry = read(stored)
    assert bytes(entry.program) == program
    assert entry.metadata == data
    assert entry.created == 1234.5


def test_a_file_and_bytes_make_the_same_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(entries, "CHUNK", 7)
    path = tmp_path / "program"
    path.write_bytes(bytes(range(100)))
    assert written(Metadata(), path) == written(Metadata(), bytes(range(100)))


@pytest.mark.parametrize("size", [0, 1, 6, 7, 8, 100])
def test_a_program_goes_to_memory_or_to_a_file(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(entries, "_READ", 7)
    program, file = bytes(range(size)), tmp_path / "program"
    stored = written(Metadata(cycles=3), program)
    in_file, in_memory = read(stored, file=file), read(stored)
    assert (in_file.program, file.read_bytes(), in_memory.program) == (file, program, program)
    assert in_file.metadata == in_memory.metadata == Metadata(cycles=3)
    with pytest.raises(BadEntry):
        read(stored[:-1] + b"!", file=file)


def test_programs_begin_aligned():
    for warning in range(70):
        stored = written(Metadata(warnings=("x" * warning,)), b"program")
        assert (len(stored) - len(b"program")) % 64 == 0


@given(st.binary(min_size=1, max_size=200), st.data())
def test_any_change_is_noticed(program: bytes, data: st.DataObject):
    stored = bytearray(written(Metadata(warnings=("w",)), program))
    at = data.draw(st.integers(0, len(stored) - 1))
    stored[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadEntry):
        read(bytes(stored))


@given(st.binary(max_size=200), st.data())
def test_any_cut_is_noticed(program: bytes, data: st.DataObject):
    stored = written(Metadata(), program)
    with pytest.raises(BadEntry):
        read(stored[: data.draw(st.integers(0, len(stored) - 1))])
    with pytest.raises(BadEntry):
        read(stored + b"x")


def test_another_key_s_entry_is_refused():
    with pytest.raises(BadEntry, match="another key"):
        read(written(Metadata(), b"program"), "cd" * 32)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        changed(npu_mac_share="1e999"),
        changed(npu_mac_share="NaN"),
        changed(npu_mac_share="true"),
        changed(cycles=str(2**63)),
        changed(cycles="1e400"),
        changed(latency="1"),
        changed(latency='{"npu_latency_us":1}'),
        changed(latency=LATENCY.replace("1", "1" + 400 * "0", 1)),
        changed(host_operators="[[1]]"),
        changed(warnings="[[]]"),
        changed(batches="1"),
        changed(batches="[[1]]"),
        changed(batches=f"[[0,{LATENCY},0,0]]"),
        changed(batches="[[1,{},0,0]]"),
        changed(batches=f"[[1,{LATENCY},0,-1]]"),
        changed(batch_size="0"),
        changed(batch_size='"auto"'),
    ],
)
def test_metadata_of_another_form_is_refused(text: bytes):
    """Under a right checksum: another writer, not an accident."""
    stored = written(Metadata(), b"")
    whole = bytearray(stored[:HEADER_BYTES])
    whole[24:28] = len(text).to_bytes(4, "little")
    whole += text.ljust(len(text) + -len(text) % 64, b"\0")
    whole[12:16] = zlib.crc32(whole[16:]).to_bytes(4, "little")
    with pytest.raises(BadEntry, match="metadata"):
        read(bytes(whole))


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_joined_checksums_are_those_of_the_whole(first: bytes, second: bytes):
    joined = entries._joined(zlib.crc32(first), zlib.crc32(second), len(second))
    assert joined == zlib.crc32(first + second)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 5000])
def test_the_program_s_own_checksum(size: int, tmp_path: Path):
    program = bytes(i * 7 % 256 for i in range(size))
    stored = written(Metadata(), program)
    for file in (None, tmp_path / "program"):
        assert read(stored, file=file).checksum == zlib.crc32(program[10:])


def test_metadata_without_a_change_are_taken():
    """What the ones above change is what decides."""
    assert Metadata.decode(changed()).latency == Latency(1, 1, 1, 1)
