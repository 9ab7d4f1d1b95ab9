"""`furiosa list`: what can be named, from a file while it is fresh, else from the code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.movement import ReshapeOp
from furiosa_ir.ir.passes import PASSES, RewritePass, find_pass
from furiosa_ir.ir.rules import Rewrite, rule
from furiosa_ir.tools import catalogue
from furiosa_ir.tools.furiosa import main

PLUGIN = '''
from dataclasses import dataclass
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.rules import Rewrite, rule
from furiosa_ir.dialects.graph.elementwise import ReluOp

@rule
def relu_of_relu(op: ReluOp, x: ReluOp, rw: Rewrite):
    """relu(relu(x)) = relu(x)."""
    return x.result

@dataclass(frozen=True)
class FoldRelus(RewritePass):
    """Folds rectifiers."""
    name = "my-fold-relus"
    rules = (relu_of_relu,)
    most: int = 3
'''


def listed(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["list", *arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.mark.parametrize("kind", catalogue.KINDS)
def test_the_file_says_what_the_code_does(kind: str) -> None:
    found = json.loads(listed(kind, "--json").stdout)
    assert found == json.loads(catalogue.text_of_all())[kind]
    assert [line.split()[0] for line in listed(kind).stdout.splitlines() if line[0] != " "] == [
        record["name"] for record in found
    ]
    for record in (found[0], found[-1]):
        text = listed(kind, record["name"]).stdout
        assert record["description"] in text
        assert record["module"] in text
        assert json.loads(listed(kind, record["name"], "--json").stdout) == record


def test_records_name_what_python_imports() -> None:
    """The Python path of an operation was nowhere: /shared/bench.md."""
    relu = json.loads(listed("ops", "graph.relu", "--json").stdout)
    assert relu["module"] == "furiosa_ir.dialects.graph.elementwise.ReluOp"
    for record in json.loads(listed("passes", "--json").stdout):
        cls = find_pass(record["name"])
        assert record["module"] == f"{cls.__module__}.{cls.__qualname__}"


def test_a_rule_of_a_plugin_may_have_a_name_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    @rule
    def same_shape(op: ReshapeOp, rw: Rewrite) -> SSAValue | None:
        """A plug-in's."""
        return None

    class Mine(RewritePass):
        """A plug-in's."""

        rules = (same_shape,)

    monkeypatch.setitem(PASSES, "mine", Mine)
    ours, theirs = (r for r in catalogue.rules() if r["name"] == "same_shape")
    assert "mine" not in ours["passes"]
    assert theirs["passes"] == ["mine"]


def test_unknown_names() -> None:
    result = listed("ops", "graph.rel", code=1)
    assert "no 'graph.rel' among the ops (did you mean 'graph.relu'?)" in result.stderr
    assert listed("nonsense", code=2).exception is not None
    assert "hint 4" not in listed("hints", "4").stdout.partition("\n")[0]


def test_plugins(tmp_path: Path) -> None:
    (tmp_path / "folding.py").write_text(PLUGIN)
    plugin = str(tmp_path / "folding.py")
    text = listed("passes", "my-fold-relus", "--load", plugin).stdout
    assert "most: int (default 3)" in text
    assert "rules:       relu_of_relu" in text
    assert "graph.relu(x = graph.relu)" in listed("rules", "relu_of_relu", "--load", plugin).stdout


def test_what_has_been_edited_is_asked_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "catalogue.json"
    file.write_text(json.dumps({"hints": []}))
    monkeypatch.setattr(catalogue, "PATH", file)
    os.utime(file, (4e9, 4e9))
    assert catalogue.records("hints") == []
    os.utime(file, (0, 0))
    assert catalogue.records("hints") == catalogue.hints()
    file.unlink()
    assert catalogue.records("hints") == catalogue.hints()


def test_neither_xdsl_nor_numpy_is_imported() -> None:
    script = (
        "import sys\n"
        "from furiosa_ir.tools import catalogue\n"
        "catalogue._CHECKOUT = 1e12\n"
        "assert catalogue.records('ops')\n"
        "print([m for m in ('xdsl', 'numpy') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_name_without_its_dialect_is_known_by_the_hint():
    result = CliRunner().invoke(main, ["list", "ops", "relu"])
    assert result.exit_code == 1
    assert "did you mean 'graph.relu'?" in result.stderr
