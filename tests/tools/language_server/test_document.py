"""Faults, documentation and names that go on, without an editor."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import furiosa_ir as fi
from furiosa_ir.tools.furiosa import main as furiosa
from furiosa_ir.tools.language_server.completion import completions
from furiosa_ir.tools.language_server.document import Document
from furiosa_ir.tools.language_server.hover import hover
from tests.conftest import DIGITS

Q = "!quant.uniform<i8:f32, 0.5:3>"
TEXT = f"""// RUN: furiosa-opt %s -p graph-fold-constants | filecheck %s
!image = {Q}
func.func @main(%x: tensor<1x4x!image>) -> tensor<1x4x!image> {{
  %y = graph.relu %x : tensor<1x4x!image> loc("the `layer`")
  func.return %y : tensor<1x4x!image>
}}
"""


def told(text: str, word: str, after: str = "") -> str:
    found = hover(Document(text), text.index(word, text.index(after)) + 1)
    assert found is not None
    token, content = found
    assert token.text == word
    return content


def proposed(text: str) -> dict[str, str]:
    """What may stand at the sign of a cursor."""
    offset = text.index("¦")
    begin, found = completions(Document(text.replace("¦", "", 1)), offset)
    assert begin <= offset
    return {p.text: p.kind for p in found}


def test_sound_text_has_no_faults():
    assert Document(TEXT).faults == []
    assert Document("").faults == []
    assert Document(f"{TEXT}// -----\n{TEXT}").faults == []


@pytest.mark.parametrize(
    ("old", "new", "at", "message"),
    [
        ("graph.relu %x", "graph.relu %z", "%z", "%z"),
        ("graph.relu %x", "graph.rel %x", "graph.rel", "graph.rel"),
        (
            "{\n  %y = graph.relu %x : tensor<1x4x",
            "{\n  %y = graph.relu %x : tensor<1x5x",
            "%y",
            "5",
        ),
    ],
)
def test_faults_stand_where_they_are(old: str, new: str, at: str, message: str):
    assert old in TEXT
    for before in ("", f"{TEXT}// -----\n"):
        text = before + TEXT.replace(old, new)
        fault = Document(text).faults[0]
        assert text[fault.begin :].startswith(at)
        assert fault.begin >= len(before)
        assert text[fault.begin : fault.end] == at
        assert message in fault.message


def test_each_fault_of_the_verifier_is_one():
    text = TEXT.replace("  func.return", "  %1 = graph.relu %y : tensor<2x4x!image>\n  func.return")
    text = text.replace("%x : tensor<1x4x", "%x : tensor<3x4x").replace(
        "%y : tensor<1", "%y : tensor<3"
    )
    assert len(Document(text).faults) >= 2


def test_constants_lie_beside_the_file(tmp_path: Path):
    path = tmp_path / "net.mlir"
    fi.save(fi.load(DIGITS / "digits_qdq_int8.onnx"), path)
    assert Document(path.read_text(), path).faults == []
    assert (
        "sha256" in Document(path.read_text()).faults[0].message
        or Document(path.read_text()).faults
    )
    path.with_suffix(".safetensors").write_bytes(b"nothing")
    assert "net.safetensors" in Document(path.read_text(), path).faults[0].message


def test_hover():
    op = told(TEXT, "graph.relu")
    assert "ONNX: Relu" in op
    assert "layer `the 'layer''" in op or "layer `the 'layer'`" in op
    assert "real = 0.5 * (stored - 3), -65.5 to 62" in op
    value = told(TEXT, "%y", "func.return")
    assert "made by `graph.relu`" in value
    assert "1 use" in value
    assert "tensor<1x4x" in told(TEXT, "%x")
    assert "quant.uniform<i8:f32, 0.5:3>" in told(TEXT, "!image", "func.func")
    assert "func.func @main" in told(TEXT, "@main")
    assert "constants" in told(TEXT, "graph-fold-constants")
    assert hover(Document(TEXT), TEXT.index("filecheck")) is None
    assert hover(Document(""), 0) is None


def test_hover_tells_the_cost(tmp_path: Path):
    path = tmp_path / "net.mlir"
    fi.save(fi.load(DIGITS / "digits_qdq_int8.onnx"), path)
    document = Document(path.read_text(), path)
    found = hover(document, document.text.index("graph.conv"))
    assert found is not None
    assert "9,216 multiply-accumulates" in found[1]
    assert "layer `stem_conv`" in found[1]


@pytest.mark.parametrize("level", ["ftensor", "warboy"])
def test_hover_on_each_operation(level: str, tmp_path: Path):
    """Tokens of the machine's level are values, too."""
    target = tmp_path / "net.mlir"
    network = str(DIGITS / "digits_int8.tflite")
    words = ["compile", network, "--target-ir", level, "-o", str(target)]
    compiled = CliRunner().invoke(furiosa, words)
    assert compiled.exit_code == 0, compiled.stderr
    document = Document(target.read_text(encoding="utf-8"), target)
    assert document.faults == []
    found = re.finditer(r"^ +(?:%[^=]*= )?(\w+\.\w+)", document.text, re.MULTILINE)
    begins = [match.start(1) for match in found]
    shown = [hover(document, begin) for begin in begins]
    assert len(begins) > 20
    assert sum(f"**`{level}." in content for _, content in filter(None, shown)) > 20
    for name in document.index.names:
        if name.definition is not None:
            assert hover(document, name.definition.begin) is not None


def test_completion():
    assert proposed(TEXT.replace("graph.relu %x", "graph.re¦")).get("graph.relu") == "operation"
    assert "ftensor.conv" not in proposed(TEXT.replace("graph.relu %x", "graph.re¦"))
    assert "graph.relu" in proposed(TEXT.replace("  func.return", "  ¦\n  func.return"))
    assert proposed(TEXT.replace("func.return %y", "func.return %¦")) == {
        "%x": "value",
        "%y": "value",
    }
    assert proposed(TEXT.replace("graph.relu %x :", "graph.relu %¦ :")) == {"%x": "value"}
    assert proposed(TEXT.replace("  func.return", "  func.call @m¦\n  func.return")) == {
        "@main": "symbol"
    }
    assert proposed(TEXT.replace("%y : tensor<1x4x!image>", "%y : tensor<1x4x!im¦>")) == {
        "!image": "alias"
    }
    assert proposed('  %y = graph.relu %x loc("graph.¦")') == {}


def test_completion_in_run_lines():
    run = "// RUN: furiosa-opt %s"
    assert proposed(f"{run} -p graph-fold-c¦")["graph-fold-constants"] == "pass"
    assert proposed(f"{run} -p graph-fold-constants,low¦") == {"lower-to-ftensor": "pass"}
    assert proposed(f"{run} -p ften¦")["ftensor"] == "phase"
    assert proposed(f"{run} --print-ir-after=sch¦") == {"schedule": "pass"}
    assert proposed(f"{run} --verify-¦").get("--verify-diagnostics") == "option"
    assert proposed("// graph-fold-c¦") == {}
