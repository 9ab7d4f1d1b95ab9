"""Names in a text: what the parser makes of it, and texts that it cannot read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

import furiosa_ir as fi
from furiosa_ir.ir.positions import Positions
from furiosa_ir.ir.text import read_module, write_module
from furiosa_ir.tools.language_server.document import Document
from furiosa_ir.tools.language_server.text_index import TextIndex
from tests.conftest import DIGITS, ROOT

KERNELS = "graph-fold-quantization,graph-partition,lower-to-ftensor,fuse-kernels"
LEVELS = ("graph", "ftensor", "warboy", "kernels")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The digits network at each level, in both forms."""
    network = fi.load(DIGITS / "digits_qdq_int8.onnx")
    folder = tmp_path_factory.mktemp("texts")
    made: dict[str, Path] = {}
    for level in LEVELS:
        passes = KERNELS if level == "kernels" else fi.default_pipeline().between(last=level)
        module = fi.transform(network, passes, verify_each=False)
        for form in ("", " generic"):
            path = made[level + form] = folder / f"{level}{form}.mlir"
            write_module(module, path, generic=bool(form))
    return made


def values(module: ModuleOp) -> list[SSAValue]:
    found: list[SSAValue] = []
    for op in module.walk():
        found += op.results
        found += [a for region in op.regions for block in region.blocks for a in block.args]
    return found


@pytest.mark.parametrize("level", [f"{n}{form}" for n in LEVELS for form in ("", " generic")])
def test_uses_are_those_of_the_ir(texts: dict[str, Path], level: str):
    positions = Positions()
    module = read_module(texts[level], positions=positions)
    document = Document(positions.text, texts[level])
    assert document.faults == []
    names = [name for name in document.index.names if name.kind == "value"]
    assert all(name.definition is not None for name in names)
    assert len(names) == len(values(module))
    counts = Counter(len(name.uses) for name in names)
    assert counts == Counter(len(list(value.uses)) for value in values(module))
    for name in names:
        value = document.value_of(name)
        assert value is not None
        assert len(list(value.uses)) == len(name.uses)
        hint = value.name_hint
        assert hint is None or name.text == f"%{hint}"
    assert sorted(positions.values()) == sorted(document._analysis.operations)


FILES = sorted((ROOT / "tests" / "filecheck").rglob("*.mlir"))


@pytest.mark.parametrize("path", FILES[::12], ids=lambda path: path.stem)
def test_files_of_tests(path: Path):
    """Many hands have written them: whatever parses has no name that is used and not defined."""
    text = path.read_text()
    document = Document(text, path)
    if document.faults:
        return
    assert [n.text for n in document.index.names if n.kind == "value" and not n.definition] == []
    assert [n.text for n in document.index.names if n.kind == "symbol" and not n.definition] == []


def test_values_are_of_their_region():
    text = (
        "func.func @f(%x: tensor<4xf32>) {\n  %y = graph.relu %x : tensor<4xf32>\n"
        "  func.return\n}\n"
        "func.func @g(%x: tensor<4xf32>) {\n  %y = graph.relu %x : tensor<4xf32>\n"
        "  func.call @f(%y) : (tensor<4xf32>) -> ()\n  func.return\n}\n"
    )
    index = TextIndex(text)
    first, second = (n for n in index.names if n.text == "%x")
    assert [len(n.places) for n in (first, second)] == [2, 2]
    assert second.places[0].begin > text.index("@g")
    at = text.rindex("%y")
    name = index.name_at(at + 1)
    assert name is not None
    assert name.definition is not None
    assert text[: name.definition.begin].count("\n") == 5
    assert {n.text for n in index.visible(at)} == {"%x", "%y"}
    symbol = index.name_at(text.index("@f", 30))
    assert symbol is not None
    assert symbol.definition is not None
    assert (symbol.definition.begin, len(symbol.uses)) == (text.index("@f"), 1)


def test_parts_know_nothing_of_each_other():
    part = "!t = tensor<4xf32>\nfunc.func @f(%x: !t) {\n  func.return\n}\n"
    index = TextIndex(f"{part}// -----\n{part}")
    assert len([n for n in index.names if n.text == "@f"]) == 2
    assert [len(n.uses) for n in index.names if n.text == "!t"] == [1, 1]
    assert len(index.declared("alias", 5)) == len(index.declared("symbol", len(part) + 20)) == 1


@pytest.mark.parametrize("level", LEVELS)
def test_any_beginning_of_a_text_is_read(texts: dict[str, Path], level: str):
    text = texts[level].read_text()
    for end in range(0, min(len(text), 6000), 97):
        index = TextIndex(text[:end])
        index.visible(end)
        assert index.token_at(end) is None or index.tokens
    TextIndex(")]}" * 50 + "{(" * 50 + '"\\' + "%" + text[:200])
