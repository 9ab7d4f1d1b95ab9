"""`furiosa compile --optimize search`: the same program wherever it runs, and never a worse one."""

# Dask is typed in part only.
# pyright: basic

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from furiosa_ir import schedule_search
from furiosa_ir.api.programs import compile_network
from furiosa_ir.backends import default_backend, read_program
from furiosa_ir.cache.fingerprint import compiler_fingerprint
from furiosa_ir.cache.key import Inputs, compile_key
from furiosa_ir.compiler import default_pipeline
from furiosa_ir.pipeline_request import AS_EVER
from furiosa_ir.runtime import session
from furiosa_ir.schedule_search import CHAINS, Step, Surroundings, searching
from furiosa_ir.tools import signals
from furiosa_ir.tools.furiosa import main
from furiosa_ir.tools.search_options import Search
from tests.conftest import DIGITS, ROOT

NETWORK = DIGITS / "digits_int8.tflite"
SEARCH = "search-plan{seconds=1 seed=3}"


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches are short, and the cache is this test's."""
    monkeypatch.setattr(schedule_search, "RATE", 3200)
    monkeypatch.setenv("FC_CACHE_ENABLED", "1")
    monkeypatch.setenv("FC_CACHE_STORE_URL", f"file://{tmp_path}/cache")


def compiled(output: Path, *arguments: object) -> Result:
    command = ["compile", str(NETWORK), "-o", str(output), *map(str, arguments)]
    return CliRunner().invoke(main, command)


def searched(within: Surroundings, seed: int = 3) -> bytes:
    """The program of a search in some surroundings."""
    pipeline = default_pipeline().insert_before(
        "plan-tiles", f"search-plan{{seconds=1 seed={seed}}}"
    )
    with searching(within):
        return bytes(compile_network(NETWORK, passes=pipeline, use_cache=False))


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=4, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address


def test_processes_find_what_one_finds():
    alone = searched(Surroundings())
    assert searched(Surroundings(processes=2)) == alone
    assert searched(Surroundings(), seed=4) != alone  # it says which seed it is of


@pytest.mark.slow
def test_a_cluster_finds_the_same_though_a_worker_is_lost(cluster: str):
    killed: list[str] = []

    def kill_one(_step: Step) -> None:
        from distributed import Client

        if killed:
            return
        with Client(cluster, set_as_default=False) as other:
            worker = next(iter(other.scheduler_info()["workers"]))
            pid = other.run(os.getpid, workers=[worker])[worker]
            os.kill(pid, signal.SIGKILL)
            killed.append(worker)

    there = Surroundings(scheduler=cluster, on_step=kill_one, agrees=compiler_fingerprint)
    assert searched(there) == searched(Surroundings())
    assert killed


def test_command_line_summary_cache_and_results(tmp_path: Path):
    program = tmp_path / "a.enf"
    options = ("--optimize", "search=1", "--seed", 3, "--jobs", 1)
    result = compiled(program, *options, "--json")
    assert result.exit_code == 0, result.stderr
    assert "Searching: 3,200 of 3,200 candidates" in result.stderr
    assert "cycles on the NPU" in result.stderr
    assert read_program(program).pipeline.count(SEARCH) == 1
    found = json.loads(result.stdout)
    plain = json.loads(compiled(tmp_path / "plain.enf", "--json").stdout)
    assert found["cycles"] <= plain["cycles"]
    assert (found["from_cache"], plain["from_cache"]) == (False, False)
    assert program.read_bytes() == searched(Surroundings())
    again = compiled(tmp_path / "b.enf", *options, "--json")
    assert json.loads(again.stdout)["from_cache"] is True
    assert (tmp_path / "b.enf").read_bytes() == program.read_bytes()
    for budget, seed in (("search=2", 3), ("search=1", 4)):
        keys = {options_key(*given) for given in (("search=1", 3), (budget, seed))}
        assert len(keys) == 2
    x = np.random.default_rng(0).integers(-128, 128, (1, 8, 8, 1)).astype(np.int8)
    outputs: list[Any] = []
    for file in (program, tmp_path / "plain.enf"):
        with session.create(file) as running:
            outputs.append(running.run(x.reshape(running.input(0).shape)).numpy()[0])
    assert np.array_equal(*outputs)


def options_key(budget: str, seed: int) -> str:
    """The digest under which the cache keeps a search's program."""
    seconds = int(budget.removeprefix("search="))
    request = Search(seconds, seed).request(AS_EVER, default_backend())
    key = compile_key(Inputs(NETWORK, None, pipeline=request))
    assert key is not None
    return key.digest


def test_ctrl_c_keeps_the_best_so_far_which_the_cache_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    steps: list[int] = []
    worker_steps = schedule_search.Step

    def interrupted(done: int, total: int, first: float, best: float) -> Step:
        steps.append(done)
        if len(steps) == CHAINS + 1:  # in the second round
            signals.at_work(signal.SIGINT, None)
        return worker_steps(done, total, first, best)

    monkeypatch.setattr(schedule_search, "Step", interrupted)
    options = ("--optimize", "search=1", "--jobs", 1, "--json")
    result = compiled(tmp_path / "a.enf", *options)
    assert result.exit_code == 0, result.stderr
    assert len(steps) == CHAINS + 1
    assert read_program(tmp_path / "a.enf")
    assert "cycles on the NPU" in result.stderr
    monkeypatch.undo()
    monkeypatch.setattr(schedule_search, "RATE", 3200)
    monkeypatch.setenv("FC_CACHE_STORE_URL", f"file://{tmp_path}/cache")
    assert json.loads(compiled(tmp_path / "b.enf", *options).stdout)["from_cache"] is False


def test_a_second_ctrl_c_ends_all(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(signals, "_say", lambda _number: None)
    monkeypatch.setattr(signals, "_mute", lambda: None)
    monkeypatch.setattr(signals._State, "received", None)
    with signals.Interruptible() as is_stopped:
        assert not is_stopped()
        signals.at_work(signal.SIGINT, None)
        assert is_stopped()
        with pytest.raises(signals.Ended):
            signals.at_work(signal.SIGINT, None)
    monkeypatch.setattr(signals._State, "received", None)
    with pytest.raises(signals.Ended):
        signals.at_work(signal.SIGINT, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--optimize", "fast"), "'fast' is no way to optimise"),
        (("--optimize", "search=0"), "1 to 86400 seconds, not 0"),
        (("--optimize", "search=x"), "'search=x' is no way to optimise"),
        (("--seed", 1), "are for a search"),
        (("--optimize", "search", "--jobs", 1, "--scheduler", "tcp://a:1"), "--jobs is for this"),
    ],
)
def test_bad_options(tmp_path: Path, options: tuple[object, ...], message: str):
    result = compiled(tmp_path / "a.enf", *options)
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "a.enf").exists()


def test_a_backend_without_a_search_says_so(tmp_path: Path):
    toy = ROOT / "examples" / "toy_backend"
    options = ("--load", toy, "--target-npu", "toy", "--optimize", "search")
    result = compiled(tmp_path / "a", *options)
    assert result.exit_code == 1
    assert "has no search for schedules" in result.stderr


@pytest.mark.slow
@pytest.mark.weekly
def test_the_best_batch_is_looked_for_without_it(tmp_path: Path):
    options = ("--auto-batch-size", "--optimize", "search=1", "--jobs", 1)
    result = compiled(tmp_path / "a.enf", *options)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("cycles on the NPU") == 1
    assert Search(1).seed == 0
