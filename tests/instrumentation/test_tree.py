"""Trees of dumps: each file is the IR at its place, from which a compile goes on as it did."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from furiosa_ir.driver import compile_source
from furiosa_ir.instrumentation.options import WatchOptions
from furiosa_ir.instrumentation.watching import watching
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.equivalence import difference
from furiosa_ir.ir.history import HISTORY, history_of
from furiosa_ir.ir.passes import parse_passes
from furiosa_ir.ir.pipeline import run_pass
from furiosa_ir.ir.text import read_module
from tests.conftest import DIGITS


class Silent:
    """Where nothing is shown: there are files."""

    def ir(self, text: str) -> None:
        raise AssertionError(text)

    difference = line = ir


@pytest.fixture(scope="module", params=["digits_int8.tflite", "digits_qdq_int8.onnx"])
def tree(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of one compile."""
    folder = tmp_path_factory.mktemp("tree")
    with watching(WatchOptions(tree_dir=folder), Silent()) as instruments:
        compile_source(DIGITS / request.param, instrumentation=instruments)
    return folder


def test_each_pass_makes_the_next_file_of_the_one_before(tree: Path):
    files = sorted(tree.glob("*.mlir"))
    assert len(files) == 25
    for before, after in itertools.pairwise(files):
        module, expected = read_module(before), read_module(after)
        (spec,) = history_of(expected).passes[len(history_of(module).passes) :]
        assert after.stem.partition("_")[2] == spec.partition("{")[0]
        run_pass(make_context(), module, parse_passes(spec)[0])
        assert module.attributes.pop(HISTORY) == expected.attributes.pop(HISTORY)
        assert difference(module, expected) is None, after.name


def test_constants_are_there_once(tree: Path):
    constants = tree / "shared-constants.safetensors"
    assert [p.name for p in tree.iterdir() if p.suffix != ".mlir"] == [constants.name]
    whole = sum(p.stat().st_size for p in tree.glob("*.mlir"))
    assert 0 < constants.stat().st_size < whole
