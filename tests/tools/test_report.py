"""furiosa report, and the reports of furiosa compile."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import onnx
import pytest

from tests.conftest import DIGITS
from tests.reports.conftest import branching
from tests.tools.test_furiosa import bad, good

TFLITE = DIGITS / "digits_int8.tflite"


def data_of(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8")
    (held,) = re.findall(r'<script type="application/json" id="data">([^<]*)</script>', text)
    return json.loads(held)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "digits.enf"
    good("compile", TFLITE, "-o", path)
    return path


@pytest.fixture
def branching_file(tmp_path: Path) -> Path:
    path = tmp_path / "branching.onnx"
    onnx.save(branching(), path)
    return path


def test_every_file_of_a_network(tmp_path: Path) -> None:
    page, trace, dot, memory = (tmp_path / name for name in ("r.html", "t.json", "g.dot", "m.html"))
    files = ("-o", page, "--trace", trace, "--dot-graph", dot, "--analyze-memory", memory)
    said = good("report", TFLITE, *files, "--with-ir").stderr
    assert all(f"Written to {path}" in said for path in (page, trace, dot, memory))
    data = data_of(page)
    (shown,) = data["programs"]
    assert shown["title"] == TFLITE.name
    names = [row[1] for row in shown["passes"]]
    assert "schedule" in names
    # Every pass has a time, a size before that the one in front left, and its IR.
    assert all(row[2] > 0 and row[5] for row in shown["passes"])
    sizes = [(row[3], row[4]) for row in shown["passes"]]
    assert all(a[1] == b[0] for a, b in itertools.pairwise(sizes))
    assert page.read_text(encoding="utf-8").count('id="ir-0-') == len(names) + 1
    assert json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    assert dot.read_text(encoding="utf-8").startswith("digraph ")
    assert data_of(memory)["views"] == ["memory"]
    assert 'id="ir-' not in memory.read_text(encoding="utf-8")


def test_a_program_and_a_network_beside_it(tmp_path: Path, program: Path) -> None:
    page = tmp_path / "r.html"
    one_pe = ("--compare", DIGITS / "digits_qdq_int8.onnx")
    good("report", program, "-o", page, *one_pe)
    first, second = data_of(page)["programs"]
    assert (first["title"], second["title"]) == (program.name, "digits_qdq_int8.onnx")
    # Of a program that is read, the passes' names are known, and no more.
    assert [row[1] for row in first["passes"]][-1] == "schedule"
    assert {row[2] for row in first["passes"]} == {None}


def test_the_hosts_time_is_measured_where_asked_for(tmp_path: Path, branching_file: Path) -> None:
    page = tmp_path / "r.html"
    said = good("compile", branching_file, "-o", tmp_path / "b.enf").stderr
    assert re.search(r"^Estimated latency: .* \(NPU .* cycles, host .*, link ", said, re.MULTILINE)
    shown = good("inspect", tmp_path / "b.enf").stdout
    assert re.search(r"on the link to the host +[\d.]+ µs", shown)
    assert re.search(r"on the host +[\d.]+ µs", shown)
    cards: list[dict[str, str]] = []
    for more in ((), ("--measure-host",)):
        good("report", branching_file, "-o", page, *more)
        cards.append({card[0]: card[1] for card in data_of(page)["programs"][0]["cards"]})
    assert all(re.fullmatch(r"[\d.]+ (µs|ms)", each["host"]) for each in cards)
    assert cards[1]["total"] != cards[0]["total"]


def test_reports_of_a_compile_and_of_a_hit(
    tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FC_CACHE_ENABLED", "1")
    monkeypatch.setenv("FC_CACHE_STORE_URL", f"file://{tmp_path / 'cache'}")
    page, output = tmp_path / "r.html", tmp_path / "d.enf"
    timed: list[bool] = []
    for more in ((), (), ("--with-ir",)):
        good("compile", TFLITE, "-o", output, "--report", page, *more)
        assert output.read_bytes() == program.read_bytes()
        (shown,) = data_of(page)["programs"]
        timed.append(shown["passes"][0][2] is not None)
    assert timed == [True, False, True]  # of a hit, nothing ran; IR is of a compile


def test_what_cannot_be_reported(tmp_path: Path, program: Path) -> None:
    assert "give --report" in bad("compile", TFLITE, "-o", tmp_path / "a.enf", "--with-ir")
    level = ("--target-ir", "graph", "--report", tmp_path / "r.html")
    assert "reports are of programs" in bad("compile", TFLITE, "-o", tmp_path / "a.mlir", *level)
    assert "compiled already" in bad("report", program, "-b", "2", "-o", tmp_path / "r.html")
    assert str(program) in bad("report", program, "-o", program)
    same = tmp_path / "x"
    assert "x" in bad("report", program, "-o", same, "--trace", same)
    assert "x" in bad("compile", TFLITE, "-o", same, "--report", same)
    assert "cannot be read" in bad("report", tmp_path / "none.enf", "-o", tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []
