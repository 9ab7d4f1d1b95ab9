"""`make bench`: its figures, its plots, and a quick run of all that a fresh clone can measure."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.conftest import ROOT

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a script of benchmarks/, which imports its neighbours by their names alone."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    ours = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    for name in ours & sys.modules.keys():
        monkeypatch.delitem(sys.modules, name)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "benchmarks" / "bench.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_bars_are_as_long_as_their_values(benchmark: Any, tmp_path: Path) -> None:
    rows: Sequence[tuple[str, Sequence[float | None]]] = [
        ("<a & b>", [1.0, 4.0]),
        ("c", [None, 2.0]),
    ]
    benchmark("plots").bars(tmp_path / "x.svg", "title", "what", ("one", "two"), rows)
    root = ET.parse(tmp_path / "x.svg").getroot()
    bars = [r for r in root.iter(f"{SVG}rect") if r.get("x") == "250"]
    widths = [float(bar.get("width", "")) for bar in bars]
    assert widths == [pytest.approx(share * widths[1], abs=0.1) for share in (0.25, 1, 0.5)]
    assert bars[1].get("fill") == bars[2].get("fill") != bars[0].get("fill")
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert {"<a & b>", "c", "one", "two", "title", "1", "4", "2"} <= set(words)


def test_a_power_law_is_a_straight_line(benchmark: Any, tmp_path: Path) -> None:
    points = [(x, 0.01 * x**1.5) for x in (20, 200, 2000)]
    assert benchmark("bench").exponent(points) == pytest.approx(1.5)
    benchmark("plots").power_law(tmp_path / "x.svg", "title", "what", points, "layers")
    (line,) = ET.parse(tmp_path / "x.svg").getroot().iter(f"{SVG}polyline")
    (x0, y0), (x1, y1), (x2, y2) = (
        map(float, point.split(",")) for point in line.get("points", "").split()
    )
    assert x0 < x1 < x2
    assert y0 > y1 > y2
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.2)


def test_schedule_quality_says_what_inspect_says(
    benchmark: Any, digits: Path, tmp_path: Path
) -> None:
    from furiosa_ir.backends import read_program
    from furiosa_ir.compiler import compile_model
    from furiosa_ir.reports.inspect import summary

    quality = benchmark("schedule_quality")
    model = digits / "digits_int8.tflite"
    row = quality.measure(model, "warboy-2pe")
    said = summary(read_program(compile_model(model)))["summary"]
    assert row.npu_us == said["npu_latency_us"]
    assert row.bound_us == said["bound_us"]
    assert row.ratio == said["npu_latency_us"] / said["bound_us"] >= 1
    assert row.dram_ratio == said["dram_traffic_bytes"] / said["dram_compulsory_bytes"]
    assert row.sram_ratio == said["sram_peak_bytes"] / said["sram_bound_bytes"]
    assert quality.geometric_mean([1, 4]) == pytest.approx(2)
    assert f"| geometric mean |  |  |  | {row.ratio:.2f} |" in quality.markdown([row], "warboy-2pe")


@pytest.mark.parametrize("target", ["warboy", "warboy-2pe"])
def test_memory_counts_what_is_pinned(benchmark: Any, digits: Path, target: str) -> None:
    (row,) = benchmark("memory").measure(digits / "digits_int8.tflite", target)
    assert row.sram_bound <= row.sram_peak <= row.best_fit


def test_a_peer_that_fails_is_left_out_and_named(benchmark: Any, tmp_path: Path) -> None:
    failing = tmp_path / "vela"
    failing.write_text("#!/bin/sh\necho no such operator >&2\nexit 1\n")
    failing.chmod(0o755)
    script = benchmark("bench")
    asked = script.Bench(tmp_path, tmp_path, True, 1, str(failing), None, None)
    skipped: dict[str, str] = {}
    model = ROOT / "examples" / "digits" / "digits_int8.tflite"
    row = script.compiled(asked, model, tmp_path, skipped)
    assert set(row) == {"network", "furiosa"}
    assert row["furiosa"]["seconds"] > 0
    (said,) = skipped.items()
    assert said[0] == "vela, digits_int8"
    assert "no such operator" in said[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--parts", "compile,speed"], "no part 'speed': there are compile, simulate"),
        (["--runs", "0"], "--runs takes 1 or more"),
        (["--vela", "/no/vela"], "--vela: /no/vela is no executable file"),
    ],
)
def test_what_makes_no_sense_is_refused(
    benchmark: Any, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        benchmark("bench").arguments_of(arguments)
    assert said in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.weekly
def test_a_quick_run_without_the_corpus(tmp_path: Path) -> None:
    output = tmp_path / "out"
    parts = "compile,simulate,schedule,published,scale"
    done = bench("--quick", "--parts", parts, "--models", tmp_path / "none", "--output", output,
                 "--date", "2026-11-29")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no corpus in" in done.stdout
    found = json.loads((output / "bench.json").read_text())
    assert (found["date"], found["runs"], found["networks"]) == ("2026-11-29", 2, "bundled")
    assert found["machine"]["cores"] >= 1
    figures = found["parts"]
    assert "are not in" in figures["published"]["skipped"]
    for row in figures["compile"]["rows"]:
        assert row["furiosa"]["seconds"] > 0
        assert row["furiosa"]["peak_mib"] > 20
    simulated = figures["simulate"]["rows"]
    assert {row["peer"] for row in simulated} == {"LiteRT", "onnxruntime"}
    if importlib.util.find_spec("iree"):
        assert all(row["native_over_host"] > 0 for row in simulated)
        assert len(figures["simulate"]["means"]) == 6
    assert {row["target"] for row in figures["schedule"]["rows"]} == {"warboy", "warboy-2pe"}
    assert all(row["ratio"] >= 1 for row in figures["schedule"]["rows"])
    layers = [row["layers"] for row in figures["scale"]["rows"]]
    assert layers == sorted(layers)
    assert 0 < figures["scale"]["exponent"] < 2
    for name in ("simulation", "schedules", "scaling"):
        assert ET.parse(output / f"{name}.svg").getroot().tag == f"{SVG}svg"


def test_the_command_of_the_published_part_starts(benchmark: Any) -> None:
    bench = benchmark("bench")
    command = [*bench.PERFORMANCE_MODEL, "--help"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=bench.NEIGHBOURS
    )
    assert done.returncode == 0, done.stderr
    assert "--json" in done.stdout
