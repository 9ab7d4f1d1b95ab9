"""ONNX's own backend tests as data: every case whose inputs and outputs are tensors."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

CATEGORIES = ("node", "simple", "pytorch-operator", "pytorch-converted")

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Case:
    """A model with inputs and the outputs that they must give.

    Attributes:
        category: one of `CATEGORIES`, or a directory's name.
        name: unique in its category.
        rtol, atol: the case's own tolerances.
        source: the model and its arrays in memory (an onnx `TestCase`), or a directory of files.
    """

    category: str
    name: str
    rtol: float
    atol: float
    source: Any

    @cached_property
    def model(self) -> onnx.ModelProto:
        """The model."""
        if isinstance(self.source, Path):
            return onnx.load(self.source / "model.onnx")
        return self.source.model

    @property
    def of_tensors(self) -> bool:
        """Whether all inputs and outputs are tensors."""
        graph = self.model.graph
        return all(v.type.HasField("tensor_type") for v in (*graph.input, *graph.output))

    @property
    def data_sets(self) -> Sequence[tuple[list[Array], list[Array]]]:
        """Inputs in order and the outputs expected, once or more."""
        if isinstance(self.source, Path):
            folders = sorted(self.source.glob("test_data_set_*"))
            return [(_arrays(f, "input"), _arrays(f, "output")) for f in folders]
        return [
            ([_array(a) for a in inputs], [_array(a) for a in outputs])
            for inputs, outputs in self.source.data_sets
        ]


def _array(value: Any) -> Array:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _arrays(folder: Path, prefix: str) -> list[Array]:
    count = len(list(folder.glob(f"{prefix}_*.pb")))
    paths = [folder / f"{prefix}_{i}.pb" for i in range(count)]
    return [numpy_helper.to_array(onnx.TensorProto.FromString(p.read_bytes())) for p in paths]


def cases_of_onnx() -> Iterator[Case]:
    """The cases of the installed onnx; without those of real networks, which it would download."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.random.seed(0)  # noqa: NPY002  # onnx draws inputs from numpy's global state
        for category in CATEGORIES:
            for test in sorted(load_model_tests(kind=category), key=lambda t: t.name):
                source = test if test.model is not None else Path(test.model_dir)
                yield Case(category, test.name, test.rtol, test.atol, source)


def cases_of_directory(directory: Path) -> Iterator[Case]:
    """The cases of an unpacked onnx: `onnx/backend/test/data/node`, say."""
    for model in sorted(directory.glob("*/model.onnx")):
        data = model.parent / "data.json"
        own = json.loads(data.read_text()) if data.is_file() else {}
        yield Case(
            directory.name,
            model.parent.name,
            own.get("rtol", 1e-3),
            own.get("atol", 1e-7),
            model.parent,
        )
