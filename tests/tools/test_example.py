"""`furiosa example`: the bundled network, for who has nothing but the package."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from furiosa_ir.tools import example
from furiosa_ir.tools.furiosa import main
from tests.conftest import DIGITS


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_writes_the_bundled_network() -> None:
    for _ in range(2):  # what is there already is no obstacle
        result = CliRunner().invoke(main, ["example"])
        assert result.exit_code == 0
        assert result.stdout.splitlines() == [f"digits/{name}" for name in example.FILES]
    for name in example.FILES:
        assert Path("digits", name).read_bytes() == (DIGITS / name).read_bytes()


def test_what_is_there_stays() -> None:
    Path("mine").mkdir()
    Path("mine/digits_qdq_int8.onnx").write_text("mine")
    result = CliRunner().invoke(main, ["example", "mine"])
    assert result.exit_code == 1
    assert "mine/digits_qdq_int8.onnx is another file already" in result.stderr
    assert [p.name for p in Path("mine").iterdir()] == ["digits_qdq_int8.onnx"]


def test_a_package_without_it_says_so(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.setattr(example, "_PLACES", (here / "nothing",))
    result = CliRunner().invoke(main, ["example"])
    assert result.exit_code == 1
    assert "the example is not installed" in result.stderr
    assert not Path("digits").exists()
