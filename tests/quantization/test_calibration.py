"""Samples from arrays, files and folders, and what is said of those that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from furiosa_ir.errors import FuriosaError
from furiosa_ir.quantization.calibration import InputDescription, load_samples

IMAGE = InputDescription("image", np.dtype(np.float32), (None, 3, 4))
PAIR = InputDescription("pair", np.dtype(np.float32), (2, 3))
RATE = InputDescription("rate", np.dtype(np.int64), ())
TOKENS = InputDescription("tokens", np.dtype(np.int64), (1, None))


def ones(*shape: int, dtype: Any = np.float32) -> Any:
    return np.ones(shape, dtype)


@pytest.mark.parametrize(
    ("description", "shape", "count", "sample"),
    [
        (IMAGE, (5, 3, 4), 5, (1, 3, 4)),
        (IMAGE, (5, 2, 3, 4), 5, (2, 3, 4)),
        (IMAGE, (3, 4), 1, (1, 3, 4)),
        (PAIR, (6, 3), 3, (2, 3)),
        (PAIR, (7, 3), 3, (2, 3)),
        (PAIR, (7, 2, 3), 7, (2, 3)),
        (TOKENS, (4, 9), 4, (1, 9)),
        (RATE, (4,), 4, ()),
    ],
)
def test_the_first_axis_counts_samples(
    description: InputDescription, shape: tuple[int, ...], count: int, sample: tuple[int, ...]
):
    array = ones(*shape, dtype=description.dtype)
    samples = load_samples(array, [description])
    assert len(samples) == count
    assert all(isinstance(s[description.name], np.ndarray) for s in samples)
    assert {s[description.name].shape for s in samples} == {sample}
    assert samples[0][description.name].dtype == description.dtype


def test_files_folders_names_and_a_limit(tmp_path: Path):
    np.savez(tmp_path / "b.npz", image=ones(2, 3, 4), tokens=ones(2, 9, dtype=np.int32))
    np.savez(tmp_path / "a.npz", image=2 * ones(1, 3, 4), tokens=ones(1, 5, dtype=np.int64))
    (tmp_path / "notes.txt").write_text("of no interest")
    samples = load_samples(tmp_path, [IMAGE, TOKENS])
    assert [s["image"][0, 0, 0] for s in samples] == [2, 1, 1]  # by file name
    assert [s["tokens"].shape for s in samples] == [(1, 5), (1, 9), (1, 9)]
    assert len(load_samples(tmp_path, [IMAGE, TOKENS], 2)) == 2
    np.save(tmp_path / "only.npy", ones(4, 3, 4, dtype=np.uint8))
    (sample, *_) = load_samples(tmp_path / "only.npy", [IMAGE])
    assert sample["image"].dtype == np.float32


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"image": ones(5, 4, 3)}, r"'image' takes \[\?, 3, 4\], not \[5, 4, 3\]"),
        ({"image": ones(4)}, "first axis counts samples"),
        ({"image": ones(0, 3, 4)}, "has no samples"),
        ({"image": np.full((1, 3, 4), np.nan)}, "a NaN or an infinity"),
        ({"image": np.full((1, 3, 4), "x")}, "takes float32, not <U1"),
        ({"image": ones(2, 3, 4), "tokens": ones(2, 3)}, "takes int64, not float32"),
        ({"image": ones(2, 3, 4)}, "no array for the input 'tokens'.*there are 'image'"),
        ({"image": ones(2, 3, 4), "tokens": ones(3, 3, dtype=np.int64)}, "2 for 'image', 3 for"),
    ],
)
def test_what_does_not_fit(arrays: dict[str, Any], sentence: str):
    with pytest.raises(FuriosaError, match=sentence):
        load_samples(arrays, [IMAGE, TOKENS])


def test_wrong_files(tmp_path: Path):
    with pytest.raises(FuriosaError, match=r"no \.npy or .npz files"):
        load_samples(tmp_path, [IMAGE])
    (tmp_path / "cat.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(FuriosaError, match=r"holds images.*store them preprocessed"):
        load_samples(tmp_path, [IMAGE])
    with pytest.raises(FuriosaError, match=r"not an \.npz or \.npy file"):
        load_samples(tmp_path / "cat.jpg", [IMAGE])
    with pytest.raises(FuriosaError, match="No such file"):
        load_samples(tmp_path / "missing.npz", [IMAGE])
