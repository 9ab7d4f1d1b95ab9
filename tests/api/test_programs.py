"""Programs and reports by `import furiosa_ir as fi`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import furiosa_ir as fi
from tests.conftest import DIGITS

ONNX = DIGITS / "digits_qdq_int8.onnx"


@pytest.fixture(scope="module")
def program() -> fi.Program:
    return fi.compile(ONNX)


def test_a_module_compiles_to_what_its_file_does(program: fi.Program):
    network = fi.load(ONNX)
    text = fi.print_module(network)
    assert bytes(fi.compile(network)) == bytes(program)
    assert fi.print_module(network) == text
    assert fi.compile(network, target="warboy").target == "warboy"
    scheduled = fi.transform(network, fi.default_pipeline())
    assert fi.compile(scheduled).tables.segments == program.tables.segments
    with pytest.raises(fi.FuriosaError, match="of a module cannot be changed"):
        fi.compile(network, batch_size=2)


def test_files(program: fi.Program, tmp_path: Path):
    program.save(tmp_path / "net.enf")
    read = fi.load_program(tmp_path / "net.enf")
    assert read == program
    assert hash(read) == hash(program)
    assert [each.name for each in read.inputs] == ["image"]
    assert [each.name for each in read.outputs] == ["probabilities"]
    assert "ENF for warboy-2pe" in repr(read)
    assert "dot" in read.disassemble()
    (tmp_path / "net.enf").write_bytes(bytes(program)[:-50])
    with pytest.raises(fi.FormatFailure, match=r"net\.enf: "):
        fi.load_program(tmp_path / "net.enf")
    with pytest.raises(fi.FormatFailure):
        fi.load_program(ONNX)


def test_sessions_take_programs(program: fi.Program):
    image = np.load(DIGITS / "digits_inputs.npz")["onnx_images"][:1]
    (expected,) = fi.simulate(program, image).values()
    with fi.session.create(program) as running, program.session(worker_num=1) as other:
        assert np.array_equal(running.run(image)[0].numpy(), expected)
        assert np.array_equal(other.run(image)[0].numpy(), expected)
        assert other.worker_num == 1


def test_reports(program: fi.Program, tmp_path: Path):
    report = fi.report(program, title="digits", facts={"accuracy": "98 %"})
    assert sum(layer["cycles"] or 0 for layer in report.layers) == report.summary["cycles"]
    assert fi.inspect(program) == report.data
    assert report.advice
    assert "estimated latency" in str(report)
    for name in ("r.html", "r.csv", "r.json"):
        report.save(tmp_path / name)
    assert "98 %" in (tmp_path / "r.html").read_text()
    assert len(list(csv.DictReader((tmp_path / "r.csv").read_text().splitlines()))) == len(
        report.layers
    )
    assert json.loads((tmp_path / "r.json").read_text()) == report.data
    assert report.dot().startswith("digraph")
    assert json.loads(report.trace())["traceEvents"]
    assert "other" in report.html(fi.report(program, title="other"))
    with pytest.raises(fi.FuriosaError, match=r"cannot be written as '\.pdf'"):
        report.save(tmp_path / "r.pdf")
