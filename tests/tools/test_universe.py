"""`xdsl-opt` reads, rewrites and prints IR text of every level, generic and custom."""

from __future__ import annotations

import io
import tomllib
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from xdsl.universe import XDSL_UNIVERSE, Universe
from xdsl.xdsl_opt_main import xDSLOptMain

from furiosa_ir.ir.passes import all_passes
from furiosa_ir.ir.text import parse_module, print_module
from tests.conftest import ROOT

TEXT = """
builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x2x2x4x!quant.uniform<i8:f32, 0.5>> {graph.name = "x"})
      -> (tensor<1x2x2x4x!quant.uniform<i8:f32, 0.5>> {graph.name = "y"}) {
    %0 = "graph.transpose"(%x) <{perm = array<i64: 0, 2, 1, 3>}>
      : (tensor<1x2x2x4x!quant.uniform<i8:f32, 0.5>>)
      -> tensor<1x2x2x4x!quant.uniform<i8:f32, 0.5>>
    %1 = "graph.transpose"(%0) <{perm = array<i64: 0, 2, 1, 3>}>
      : (tensor<1x2x2x4x!quant.uniform<i8:f32, 0.5>>)
      -> tensor<1x2x2x4x!quant.uniform<i8:f32, 0.5>>
    %2 = "graph.relu"(%1) : (tensor<1x2x2x4x!quant.uniform<i8:f32, 0.5>>)
      -> tensor<1x2x2x4x!quant.uniform<i8:f32, 0.5>>
    func.return %2 : tensor<1x2x2x4x!quant.uniform<i8:f32, 0.5>>
  }
}
"""

PASSES = {
    "graph": "graph-compose-movement",
    "ftensor": "graph-compose-movement,graph-partition,lower-to-ftensor",
    "warboy": "graph-compose-movement,graph-partition,lower-to-ftensor,"
    "assign-target{npu=warboy},fuse-kernels",
}


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry points of pyproject.toml, whatever the environment was installed from."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    info = tmp_path / "furiosa_ir_here-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: furiosa-ir-here\nVersion: 0\n")
    lines = [f"{name} = {target}" for name, target in groups["xdsl.universe"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[xdsl.universe]", *lines, ""]))
    monkeypatch.syspath_prepend(str(tmp_path))


def xdsl_opt(text: str, folder: Path, *options: str) -> str:
    source = folder / "in.mlir"
    source.write_text(text)
    printed = io.StringIO()
    with redirect_stdout(printed):
        xDSLOptMain(args=[str(source), *options]).run()
    return printed.getvalue()


@pytest.mark.parametrize("level", PASSES)
def test_text_of_every_level(level: str, tmp_path: Path):
    """Our passes make it, on xDSL's command line; what it prints, either way, it reads."""
    custom = xdsl_opt(TEXT, tmp_path, "-p", PASSES[level])
    generic = xdsl_opt(TEXT, tmp_path, "-p", PASSES[level], "--print-op-generic")
    assert f"{level}." in custom
    assert '"builtin.module"' in generic
    assert "graph.transpose" not in custom
    assert xdsl_opt(generic, tmp_path) == xdsl_opt(custom, tmp_path) == custom
    assert xdsl_opt(custom, tmp_path, "--print-op-generic") == generic
    assert str(parse_module(generic)) == str(parse_module(custom))
    # And what our own tools print, names after layers, aliases and all.
    ours = print_module(parse_module(generic))
    read = parse_module(xdsl_opt(ours, tmp_path, "--print-op-generic"))
    assert read.is_structurally_equivalent(parse_module(generic))


def test_what_is_wrong_is_refused(tmp_path: Path):
    with pytest.raises(Exception, match="perm"):
        xdsl_opt(TEXT.replace("0, 2, 1, 3", "0, 2, 2, 3", 1), tmp_path)


def test_nothing_of_ours_stands_in_the_way_of_xdsls():
    known = {**XDSL_UNIVERSE.all_dialects, **XDSL_UNIVERSE.all_passes}
    found = Universe.get_multiverse()
    assert known.keys() <= {**found.all_dialects, **found.all_passes}.keys()
    assert found.all_dialects["func"] is XDSL_UNIVERSE.all_dialects["func"]
    assert all_passes().keys() <= found.all_passes.keys()
