"""Array files are untrusted: what they claim is compared with what is there."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from furiosa_ir.arrays import read_arrays, write_arrays
from furiosa_ir.errors import FuriosaError


def npy(descr: str, shape: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """An .npy file whose header claims what it likes."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    size = struct.pack("<H" if version == (1, 0) else "<I", len(header))
    return b"\x93NUMPY" + bytes(version) + size + header + data


def npz(member: bytes, name: str = "x.npy") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, member)
    return buffer.getvalue()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "file": np.array(5, np.int8),
        "empty": np.zeros((0, 4), np.float32),
        "text": np.array(["x", "yz"]),
    }
    write_arrays(arrays.items(), tmp_path / "a.npz")
    read = read_arrays(tmp_path / "a.npz")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
    np.savez_compressed(tmp_path / "b.npz", np.zeros(1000))
    assert read_arrays(tmp_path / "b.npz")["arr_0"].shape == (1000,)
    np.save(tmp_path / "c.npy", np.asfortranarray(np.arange(6).reshape(2, 3)))
    np.testing.assert_array_equal(
        read_arrays(tmp_path / "c.npy")["arr_0"], np.arange(6).reshape(2, 3)
    )


FLOATS = "'<f4'"
UNSOUND: dict[str, bytes] = {
    "2^60 elements": npy(FLOATS, f"({1 << 60},)"),
    "2^40 elements": npy(FLOATS, f"({1 << 40},)", bytes(64)),
    "a product beyond 64 bits": npy(FLOATS, f"({1 << 40}, {1 << 40})"),
    "a product that wraps to 0": npy(FLOATS, f"({1 << 32}, {1 << 32})"),
    "negative": npy(FLOATS, "(-1, -16)", bytes(64)),
    "10^6 dimensions": npy(FLOATS, f"({'1,' * 1_000_000})", bytes(4), (2, 0)),
    "a header without end": npy(FLOATS, "(1" + "+1" * 20_000, bytes(4), (2, 0)),
    "nested": npy("[" * 3000, "(1,)"),
    "a record": npy("[('a', '<f4'), ('b', '<f4')]", "(1,)", bytes(8)),
    "Python objects": npy("'|O'", "(1,)", bytes(8)),
    "no header": b"\x93NUMPY",
    "another version": npy(FLOATS, "(1,)", bytes(4), (9, 0)),
    "cut": npy(FLOATS, "(16,)", bytes(60)),
}


@pytest.mark.parametrize("wrap", [lambda data: data, npz], ids=["npy", "npz"])
@pytest.mark.parametrize("case", UNSOUND)
def test_claims_are_refused_before_memory_is_taken(
    tmp_path: Path, case: str, wrap: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "a"
    path.write_bytes(wrap(UNSOUND[case]))
    tracemalloc.start()
    with pytest.raises(FuriosaError) as caught:
        read_arrays(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20
    assert str(caught.value).startswith(f"{path}: cannot be read: ")
    if case == "Python objects":
        assert "Python objects" in str(caught.value)


def test_a_zip_of_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "zeros.npz"
    np.savez_compressed(path, np.zeros(1 << 20))
    monkeypatch.setenv("FURIOSA_MAX_EXPANDED_BYTES", str(1 << 23))
    assert read_arrays(path)["arr_0"].size == 1 << 20
    monkeypatch.setenv("FURIOSA_MAX_EXPANDED_BYTES", str(1 << 22))
    with pytest.raises(FuriosaError, match=r"the file has .*FURIOSA_MAX_EXPANDED_BYTES"):
        read_arrays(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_small_archive_holds_no_gigabytes(method: int, tmp_path: Path) -> None:
    """bzip2 makes two gigabytes of 1,755 bytes."""
    path = tmp_path / "zeros.npz"
    size = 160 << 20
    with zipfile.ZipFile(path, "w", method) as archive, archive.open("x.npy", "w") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "|u1", "fortran_order": False, "shape": (size,)}
        )
        for _ in range(size >> 20):
            stream.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(FuriosaError, match="FURIOSA_MAX_EXPANDED_BYTES"):
        read_arrays(path)


def test_a_zip_whose_directory_claims_little(tmp_path: Path) -> None:
    """zipfile reads what the directory claims, whatever the data expands to."""
    data = npz(npy(FLOATS, f"({1 << 20},)", bytes(4 << 20)))
    true = struct.pack("<I", len(npy(FLOATS, f"({1 << 20},)", bytes(4 << 20))))
    at = data.rindex(true)
    path = tmp_path / "lies.npz"
    path.write_bytes(data[:at] + struct.pack("<I", 200) + data[at + 4 :])
    with pytest.raises(FuriosaError, match="cannot be read"):
        read_arrays(path)


@pytest.mark.parametrize("seed", range(200))
def test_damage_never_crashes(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.arange(50), b=np.ones((3, 4), np.float32))
    data = bytearray(buffer.getvalue())
    for _ in range(int(rng.integers(1, 6))):
        data[int(rng.integers(len(data)))] = int(rng.integers(256))
    path = tmp_path / "damaged.npz"
    path.write_bytes(bytes(data[: int(rng.integers(1, len(data) + 1))] if seed % 3 == 0 else data))
    with suppress(FuriosaError):
        read_arrays(path)


UNSAFE = {
    "../../x": "__/__/x",
    "/etc/x": "etc/x",
    "a/../b": "a/__/b",
    "a/./b": "a/_/b",
    "..\\..\\x": ".._.._x",
    "..": "__",
    "": "_",
    "/": "_",
    "a\0b": "a_b",
    "\x1b[2J": "_[2J",
    "\udcff": "_",
    "한" * 200: "한" * 80,
}


@pytest.mark.parametrize("name", UNSAFE, ids=ascii)  # xdist sends ids as UTF-8
def test_names_in_an_archive_lead_nowhere(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Names of outputs come from programs, and somebody may unpack the file."""
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    write_arrays([(name, np.arange(3))], tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        assert archive.namelist() == [f"{UNSAFE[name]}.npy"]
        archive.extractall(folder)
    assert [p for p in tmp_path.rglob("*.npy") if not p.is_relative_to(folder)] == []
    assert "is stored as" in caplog.text


def test_usual_names_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = [
        "model/layer/out:0",
        "StatefulPartitionedCall:0",
        "file",
        "한 글",
        "a..b",
        ".hidden",
        "a b",
    ]
    write_arrays([(name, np.arange(3)) for name in names], tmp_path / "x.npz")
    assert list(read_arrays(tmp_path / "x.npz")) == names
    assert not caplog.text


def test_names_that_become_one_stay_two(tmp_path: Path) -> None:
    names = ["a", "A", "/a", "a_2", "../x", "__/x"]
    write_arrays([(name, np.array([i])) for i, name in enumerate(names)], tmp_path / "x.npz")
    read = read_arrays(tmp_path / "x.npz")
    assert [int(array[0]) for array in read.values()] == list(range(6))
    assert len({name.casefold() for name in read}) == 6
