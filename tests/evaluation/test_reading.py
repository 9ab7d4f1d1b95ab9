"""Validation sets are read sample by sample: the same values as all at once, in little memory."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from furiosa_ir.errors import FuriosaError
from furiosa_ir.evaluation.columns import columns_of
from furiosa_ir.evaluation.labels import open_labels
from furiosa_ir.evaluation.samples import Samples, open_samples
from furiosa_ir.evaluation.scores import rank_of
from furiosa_ir.runtime.tensor import DataType, TensorDesc

Array = np.ndarray[Any, Any]


def desc(shape: tuple[int, ...], dtype: DataType = DataType.FLOAT32, name: str = "x") -> TensorDesc:
    return TensorDesc(name, shape, dtype, "?" * len(shape), 0.5, 3)


def read(samples: Samples) -> list[list[Array]]:
    return [arrays for _, arrays in samples.read(range(samples.count))]


DTYPES = ["<f4", ">f4", "<f8", "<f2", "u1", "<i2", "?"]


@given(
    st.sampled_from(DTYPES),
    st.integers(1, 5),
    st.lists(st.integers(1, 3), max_size=3),
    st.sampled_from(["npy", "npz", "deflated"]),
    st.lists(st.integers(0, 4), unique=True).map(sorted),
)
def test_rows_are_those_of_numpy(
    tmp_path_factory: pytest.TempPathFactory,
    dtype: str,
    count: int,
    shape: list[int],
    kind: str,
    wanted: list[int],
) -> None:
    array = (np.arange(count * int(np.prod(shape))) % 200).astype(dtype).reshape(count, *shape)
    path = tmp_path_factory.mktemp("rows") / f"a.{kind[:3]}"
    if kind == "npy":
        np.save(path, array)
    else:
        (np.savez if kind == "npz" else np.savez_compressed)(path.with_suffix(".npz"), x=array)
        path = path.with_suffix(".npz")
    (column,) = columns_of(path).values()
    assert (column.shape, column.dtype) == (array.shape, array.dtype)
    with column.opened() as rows:
        for index in wanted:
            if index < count:
                assert np.array_equal(rows(index, index + 1)[0], array[index])
    samples = open_samples(path, [desc((1, *shape))])
    converted = array.astype(np.float32)
    for index, (sample,) in samples.read([i for i in wanted if i < count]):
        assert np.array_equal(sample, converted[index : index + 1])


@pytest.mark.parametrize("kind", ["npy", "npz", "deflated", "folder"])
def test_memory_does_not_grow_with_the_set(tmp_path: Path, kind: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (400, 64, 64, 3), np.uint8)  # 4.9 MB
    path = tmp_path / f"images.{'npy' if kind == 'npy' else 'npz'}"
    if kind == "npy":
        np.save(path, images)
    elif kind == "folder":
        path = tmp_path / "images"
        path.mkdir()
        for first in range(0, 400, 10):
            np.save(path / f"{first:03}.npy", images[first : first + 10])
    else:
        (np.savez if kind == "npz" else np.savez_compressed)(path, x=images)
    samples = open_samples(path, [desc((1, 64, 64, 3), DataType.UINT8)])
    total = 0
    tracemalloc.start()
    for _, (sample,) in samples.read(range(400)):
        total += int(sample.sum())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == int(images.sum(dtype=np.int64))
    assert peak < 500_000


FORMS = {
    "runs": ((5, 1, 4), (1, 4), 1),
    "samples": ((5, 4), (1, 4), 1),
    "batches": ((6, 4), (2, 4), 2),
    "runs of two": ((5, 2, 4), (2, 4), 1),
    "scalars": ((5,), (), 1),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_a_sample_is(form: str) -> None:
    given_shape, wanted, per_run = FORMS[form]
    array = np.arange(np.prod(given_shape), dtype=np.float32).reshape(given_shape)
    samples = open_samples(array, [desc(wanted)])
    assert (samples.count, samples.per_run) == (given_shape[0], per_run)
    got = np.stack([sample for (sample,) in read(samples)])
    assert np.array_equal(got.reshape(given_shape), array)
    assert got.shape[1:] == (wanted if per_run == 1 else wanted[1:])


def test_a_folder_may_have_a_sample_a_file(tmp_path: Path) -> None:
    for number, name in enumerate("bca"):
        np.savez(tmp_path / f"{name}.npz", x=np.full(4, number, np.float32))
    samples = open_samples(tmp_path, [desc((1, 4))])
    assert [float(sample[0, 0]) for (sample,) in read(samples)] == [2, 0, 1]
    assert samples.file_names() == ["a", "b", "c"]
    assert samples.name(1) == "sample 0 of b.npz"
    (tmp_path / "labels.txt").write_text("c.npz 7\na 5\n\nb.JPEG, 6\n")
    labels = open_labels(tmp_path / "labels.txt", tmp_path, samples)
    assert labels.classes() == [5, 6, 7]
    (tmp_path / "labels.txt").write_text("c 7\na 5\nd 6\n")
    with pytest.raises(FuriosaError, match="there is no label for 'b'"):
        open_labels(tmp_path / "labels.txt", tmp_path, samples)


def test_of_several_arrays_the_one_that_fits_is_taken() -> None:
    arrays = {
        "nchw": np.zeros((5, 3, 8, 8), np.uint8),
        "nhwc": np.ones((5, 8, 8, 3), np.uint8),
        "y": np.zeros(5, np.int64),
    }
    samples = open_samples(arrays, [desc((1, 8, 8, 3), DataType.UINT8)])
    assert samples.parts[0].columns[0].shape == (5, 8, 8, 3)
    with pytest.raises(FuriosaError, match=r"there is no array for the input 'x' \(there are 'nc"):
        open_samples(arrays, [desc((1, 9, 8, 3), DataType.UINT8)])


ONE = [desc((1, 4))]
INTEGERS = [desc((1, 4), DataType.INT8)]
TWO = [desc((1, 4)), desc((1, 2), name="y")]

WRONG_DATA: dict[str, tuple[Any, list[TensorDesc], str]] = {
    "shape": (np.zeros((5, 3), np.float32), ONE, r"'x' takes \[1, 4\], and the array has shape \["),
    "rank": (np.zeros((5, 2, 4), np.float32), ONE, r"has shape \[5, 2, 4\] \(its first axis"),
    "scalar": (np.float32(3), ONE, r"has shape \[\]"),
    "text": (np.array(["a"] * 5), ONE, "the array is of <U1"),
    "objects": (np.array([None] * 5), ONE, "the array is of object"),
    "reals": (np.zeros((5, 4)), INTEGERS, r"is of float64 \(quantise them: x / 0.5 \+ 3, rounded"),
    "beyond": (np.full((5, 4), 200), INTEGERS, "sample 0 .* has numbers that int8 does not hold"),
    "NaN": (np.full((5, 4), np.nan), ONE, "sample 0 of the input 'x' has a NaN or an infinity"),
    "too large": (np.full((5, 4), 1e300), ONE, "has a NaN or an infinity"),
    "empty": (np.zeros((0, 4), np.float32), ONE, "there are no samples"),
    "a missing one": ({"x": np.zeros((5, 4))}, TWO, "no array for the input 'y'"),
    "counts": (
        {"x": np.zeros((5, 4)), "y": np.zeros((4, 2))},
        TWO,
        "different numbers of samples: 5 of 'x', 4 of 'y'",
    ),
    "batches": (
        {"x": np.zeros((6, 4)), "y": np.zeros((6, 2))},
        [desc((2, 4)), desc((1, 2), name="y")],
        "a run takes different numbers of samples: 2 of 'x', 1 of 'y'",
    ),
    "open": (np.zeros((5, 4)), [desc((-1, 4))], "the input 'x' is text, or of an open shape"),
}


@pytest.mark.parametrize("case", WRONG_DATA)
def test_data_that_do_not_fit(case: str) -> None:
    data, inputs, message = WRONG_DATA[case]
    with pytest.raises(FuriosaError, match=message):
        read(open_samples(data, inputs))


def damaged(data: bytes) -> Mapping[str, bytes]:
    return {
        "no file.npz": b"",
        "short.npy": data[:-3],
        "text.npy": b"\x93NUMPY hello",
        "claims.npy": data.replace(b"(5, 4)", b"(9, 4)"),
    }


@pytest.mark.parametrize("name", ["no file.npz", "short.npy", "text.npy", "claims.npy"])
def test_damaged_files(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "whole.npy", np.zeros((5, 4), np.float32))
    (tmp_path / name).write_bytes(damaged((tmp_path / "whole.npy").read_bytes())[name])
    with pytest.raises(FuriosaError, match=f"{name}: cannot be read: .*not an .npz or .npy file"):
        open_samples(tmp_path / name, ONE)


def test_a_member_that_is_damaged_further_on(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20] = bytes(20)
    path.write_bytes(data)
    with pytest.raises(FuriosaError, match=r"x.npz: cannot be read: it is damaged"):
        read(open_samples(path, ONE))


def test_no_file_is_code(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=np.array([print], dtype=object))
    with pytest.raises(FuriosaError, match="cannot be read: it holds Python objects"):
        open_samples(path, ONE)
    np.save(tmp_path / "y.npy", np.array([print], dtype=object))
    with pytest.raises(FuriosaError, match="cannot be read: it holds Python objects"):
        open_labels(tmp_path / "y.npy", np.zeros((1, 4)), open_samples(np.zeros((1, 4)), ONE))


def test_files_that_cannot_be_samples(tmp_path: Path) -> None:
    with pytest.raises(FuriosaError, match=r"the folder holds no .npy or .npz files"):
        open_samples(tmp_path, ONE)
    (tmp_path / "a.JPEG").touch()
    with pytest.raises(FuriosaError, match="the folder holds images, and how"):
        open_samples(tmp_path, ONE)
    np.save(tmp_path / "f.npy", np.asfortranarray(np.zeros((5, 4), np.float32)))
    with pytest.raises(FuriosaError, match=r"Fortran's order.*\(save numpy.ascontiguousarray"):
        open_samples(tmp_path, ONE)
    with pytest.raises(FuriosaError, match=r"nothing.npy: cannot be read: No such file"):
        open_samples(tmp_path / "nothing.npy", ONE)
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(FuriosaError, match=r"cannot be read: it is damaged, or not an .npz"):
        open_samples(tmp_path / "other.npz", ONE)


FIVE = open_samples(np.zeros((5, 4), np.float32), ONE)


def test_labels_from_everywhere(tmp_path: Path) -> None:
    numbers = [3, 1, 4, 1, 5]
    np.save(tmp_path / "a.npy", np.array(numbers, np.uint8))
    np.savez(tmp_path / "b.npz", labels=np.array(numbers).reshape(5, 1), images=np.zeros((5, 4)))
    np.savez(tmp_path / "c.npz", what=np.array(numbers))
    (tmp_path / "d.txt").write_text("3\n1\n\n4\n1\n5")
    (tmp_path / "e.csv").write_text("x0.png,3\nx1.png,1\nx2.png,4\nx3.png,1\nx4.png,5\n")
    sources = [numbers, np.array(numbers, np.int16), tuple(numbers), *sorted(tmp_path.iterdir())]
    for source in sources:
        assert open_labels(source, tmp_path / "b.npz", FIVE).classes() == numbers
    (column,) = open_labels("images", tmp_path / "b.npz", FIVE).columns
    assert column.shape == (5, 4)


def test_each_file_of_a_folder_may_have_its_labels(tmp_path: Path) -> None:
    for number, count in enumerate((2, 3, 1)):
        labels = np.arange(count) + 10 * number
        np.savez(tmp_path / f"{number}.npz", x=np.zeros((count, 4), np.float32), y=labels)
    samples = open_samples(tmp_path, ONE, "y")
    labels = open_labels("y", tmp_path, samples)
    assert labels.classes() == [0, 1, 10, 11, 12, 20]
    assert list(labels.read([0, 3, 4, 5])) == [0, 11, 12, 20]
    np.savez(tmp_path / "3.npz", x=np.zeros((1, 4), np.float32))
    with pytest.raises(FuriosaError, match=r"3.npz: there is no array 'y', the labels"):
        open_labels("y", tmp_path, samples)


WRONG_LABELS = {
    "a\n": "labels.txt:1: 'a' is no label",
    "1\n2 3 4\n": "labels.txt:2: '2 3 4' is no label",
    "1\n1.5\n": "labels.txt:2: '1.5' is no label",
    "1\n2\n": "labels.txt: there are 2 labels for 5 samples",
    "1": "there is 1 label for 5 samples",
    "": "there are 0 labels for 5 samples",
    "1\n" * 6: "there are 6 labels for 5 samples",
    "9" * 30: "labels.txt:1: the number of a class has more than 18 digits",
    "²\n": "labels.txt:1: '²' is no label",
    "\x1b[31m1 x\n": "is no label",
}


@pytest.mark.parametrize("text", WRONG_LABELS)
def test_labels_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(FuriosaError, match=WRONG_LABELS[text]) as got:
        open_labels(tmp_path / "labels.txt", np.zeros(1), FIVE)
    assert str(got.value).isprintable()


def test_arrays_that_are_no_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=np.zeros(5), b=np.zeros(5))
    with pytest.raises(FuriosaError, match="which of its arrays are the labels is unknown"):
        open_labels(tmp_path / "two.npz", np.zeros(1), FIVE)
    with pytest.raises(FuriosaError, match=r"the labels are float64\[5\], no whole number"):
        open_labels(np.zeros(5), np.zeros(1), FIVE).classes()
    with pytest.raises(FuriosaError, match=r"the labels are int64\[5, 10\], no whole number"):
        open_labels(np.zeros((5, 10), int), np.zeros(1), FIVE).classes()
    with pytest.raises(FuriosaError, match="there is 1 label for 5 samples"):
        open_labels(np.array(3), np.zeros(1), FIVE)
    with pytest.raises(FuriosaError, match="the labels are no numbers"):
        open_labels([[1], [2, 3]], np.zeros(1), FIVE)  # pyright: ignore[reportArgumentType]
    with pytest.raises(FuriosaError, match=r"nothing.txt: cannot be read: No such file"):
        open_labels("nothing.txt", np.zeros(1), FIVE)
    with pytest.raises(FuriosaError, match=r"'c' are neither a file nor .* are 'a', 'b'\)"):
        open_labels("c", tmp_path / "two.npz", FIVE)


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=12), st.data())
def test_ranks_are_those_of_a_stable_sort(scores: list[int], data: st.DataObject) -> None:
    label = data.draw(st.integers(0, len(scores) - 1))
    for dtype in (np.int8, np.float32):
        array = np.array(scores, dtype)
        order = np.argsort(-array.astype(int), kind="stable")
        assert rank_of(array, label, "y") == list(order).index(label)
        assert (rank_of(array, label, "y") == 0) == (int(np.argmax(array)) == label)
    unsigned = (np.array(scores) + 3).astype(np.uint8)
    assert rank_of(unsigned, label, "y") == rank_of(np.array(scores), label, "y")


def test_a_score_that_is_nan_is_an_error() -> None:
    with pytest.raises(FuriosaError, match="the output 'y' has a NaN"):
        rank_of(np.array([1, np.nan, 3], np.float32), 0, "y")


def test_a_file_that_changes_meanwhile_is_told(tmp_path: Path) -> None:
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", np.zeros((2, 4), np.float32))
    samples = open_samples(tmp_path, ONE)
    reading = samples.read(range(4))
    assert next(reading)[0] == 0
    np.save(tmp_path / "b.npy", np.ones((3, 4), np.float32))
    with pytest.raises(FuriosaError, match=r"b.npy: it has changed since it was looked at"):
        list(reading)


def claiming(shape: tuple[int, ...], data: bytes) -> bytes:
    """An .npz file of bytes whose header, and directory, claim more."""
    header = io.BytesIO()
    fields = {"descr": "|i1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    size = len(header.getvalue()) + int(np.prod(shape, dtype=object))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + data)
    found = bytearray(content.getvalue())
    entry = found.index(b"PK\x01\x02")
    found[entry + 24 : entry + 28] = min(size, 2**32 - 2).to_bytes(4, "little")
    return bytes(found)


def test_what_a_small_file_claims_costs_no_memory(tmp_path: Path) -> None:
    """2^32 samples of one byte, out of 1 KB; a sample, or labels, of gigabytes."""
    path = tmp_path / "x.npz"
    path.write_bytes(claiming((2**32 - 200,), bytes(1000)))
    tracemalloc.start()
    samples = open_samples(path, [desc((), DataType.INT8)])
    assert samples.count == 2**32 - 200
    with pytest.raises(FuriosaError, match=r"x.npz: cannot be read: it is damaged"):
        for _ in samples.read(range(samples.count)):
            pass
    with pytest.raises(FuriosaError, match="bytes of it are needed at once"):
        open_labels(path, path, samples).classes()
    path.write_bytes(claiming((1, 2**32 - 200), bytes(1000)))
    (column,) = columns_of(path).values()
    with column.opened() as rows, pytest.raises(FuriosaError, match="needed at once"):
        rows(0, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
