"""Reports of the toy backend: what it counts, without a timeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from furiosa_ir import backends
from tests.backends.conftest import TOY
from tests.conftest import DIGITS
from tests.tools.test_furiosa import bad, good
from tests.tools.test_report import data_of

TFLITE = DIGITS / "digits_int8.tflite"

pytestmark = pytest.mark.usefixtures("own_register")


def test_another_backend_has_reports_of_what_it_knows(tmp_path: Path) -> None:
    output, page, dot = tmp_path / "d.toy", tmp_path / "r.html", tmp_path / "g.dot"
    toy = ("--target-npu", "toy", "--load", TOY)
    good("compile", TFLITE, "-o", output, *toy, "--report", page, "--dot-graph", dot)
    (shown,) = data_of(page)["programs"]
    backend = backends.backend_for("toy")
    assert backend.execution is None
    assert shown["execution"] is None
    assert shown["cycles"] > 0
    keys = [column[0] for column in shown["columns"]]
    added = [row[keys.index("cycles")] or 0 for row in shown["layers"]]
    assert sum(added) == shown["cycles"]
    assert len(shown["graph"]["nodes"]) > 2
    trace = tmp_path / "t.json"
    assert "no timeline" in bad("report", output, "--load", TOY, "-o", page, "--trace", trace)
    assert not trace.exists()
