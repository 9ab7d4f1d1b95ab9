"""The bundled networks, mutated: a program or one sentence comes of each (a small `make fuzz`)."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.draws import ALL
from tests.fuzz import onnx_mutations, tflite_mutations, workers
from tests.fuzz.cases import ROOT, attempt, mutated
from tests.fuzz.mutations import main, read_outcomes
from tests.fuzz.workers import Worker

ONNX, TFLITE = "digits_qdq_int8.onnx", "digits_int8.tflite"
CASES = 80 if ALL else 40
LEAST = CASES // 5 if ALL else CASES // 10


@pytest.mark.draws
@pytest.mark.parametrize("network", [ONNX, TFLITE])
def test_every_mutation_ends_in_a_program_or_in_a_sentence(network: str) -> None:
    found = [attempt(network, seed, run=seed % 10 == 0) for seed in range(CASES)]
    assert [o for o in found if o.is_finding] == []
    counts = Counter(o.kind for o in found)
    # Neither is every network refused at once, nor does every one survive.
    assert counts["ImportFailure"] > LEAST
    assert counts["program"] + counts["ran"] > LEAST
    assert counts["ran"] > 0


@pytest.mark.parametrize(
    ("network", "names"),
    [(ONNX, onnx_mutations.MUTATIONS.names), (TFLITE, tflite_mutations.MUTATIONS.names)],
)
def test_every_mutation_is_applied_and_changes_the_file(network: str, names: set[str]) -> None:
    found = [mutated(network, seed) for seed in range(300)]
    assert set().union(*(applied for _, applied in found)) == names
    assert len({data for data, _ in found}) > 250


def test_a_case_is_the_same_in_every_process() -> None:
    cases = [(network, seed) for network in (ONNX, TFLITE) for seed in range(20)]
    code = (
        "import hashlib; from tests.fuzz.cases import mutated\n"
        f"for case in {cases}: print(hashlib.sha256(mutated(*case)[0]).hexdigest())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [hashlib.sha256(mutated(*case)[0]).hexdigest() for case in cases]
    assert run.stdout.split() == expected


def test_a_crash_is_reported_with_its_case() -> None:
    with Worker(["-X", "faulthandler", "-c", "input(); import os; os.abort()"]) as worker:
        outcome = worker.outcome(("a.onnx", 7, False))
        assert (outcome.network, outcome.seed, outcome.kind) == ("a.onnx", 7, "crash")
        assert "Aborted" in outcome.detail
        # The next case gets a process of its own.
        assert worker.outcome(("b.onnx", 8, False)).seed == 8


def test_a_hang_is_reported_with_its_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CPU_SECONDS", 0.5)
    with Worker(["-X", "faulthandler", "-c", "input()\nwhile True: pass"]) as worker:
        outcome = worker.outcome(("a.onnx", 7, False))
    assert (outcome.network, outcome.seed, outcome.kind) == ("a.onnx", 7, "hang")
    assert "most recent call first" in outcome.detail


def test_a_run_is_resumed_and_summed(tmp_path: Path) -> None:
    log = tmp_path / "outcomes.jsonl"
    options = ["--model", ONNX, "--model", TFLITE, "--resume", str(log)]
    first = CliRunner().invoke(main, [*options, "-n", "6"])
    assert first.exit_code == 0, first.output
    known = read_outcomes(log)
    assert sorted(known) == sorted((n, s) for n in (ONNX, TFLITE) for s in range(3))
    # One finding, that is mended in the meantime, and two new cases.
    lines = log.read_text().splitlines()
    lines[0] = lines[0].replace(f'"{known[ONNX, 0].kind}"', '"hang"')
    log.write_text("\n".join(lines) + "\n")
    assert read_outcomes(log)[ONNX, 0].is_finding
    second = CliRunner().invoke(main, [*options, "-n", "8"])
    assert second.exit_code == 0, second.output
    assert len(log.read_text().splitlines()) == 6 + 1 + 2
    assert " 8 " in second.output.splitlines()[-2]
