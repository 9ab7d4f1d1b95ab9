"""`furiosa compile --auto-batch-size`: the best batch, its table, and the cache."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from furiosa_ir import batch_search, driver
from furiosa_ir.api.programs import compile_network
from furiosa_ir.batch_figures import BatchFigures, best_batch, is_worth_more
from furiosa_ir.cache.compilation import compile_program
from furiosa_ir.cache.settings import NO_CACHE, CacheSettings
from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import FuriosaError
from furiosa_ir.latency import Latency
from furiosa_ir.tools.furiosa import main
from tests.cache.test_compilation import float_network
from tests.conftest import DIGITS

NETWORK = DIGITS / "digits_qdq_int8.onnx"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC_CACHE_ENABLED", "1")
    monkeypatch.setenv("FC_CACHE_STORE_URL", f"file://{tmp_path}/cache")


@pytest.fixture
def compiles(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The batch sizes of the compiles that were made."""
    made: list[object] = []
    compile_source = driver.compile_source

    def counted(*arguments: Any, **options: Any) -> driver.CompileResult:
        made.append(options["batch_size"])
        return compile_source(*arguments, **options)

    monkeypatch.setattr(driver, "compile_source", counted)
    return made


def compiled(output: Path, *arguments: object, source: Path = NETWORK) -> Result:
    command = ["compile", str(source), "-o", str(output), *map(str, arguments)]
    return CliRunner().invoke(main, command)


def rows_of(summary: dict[str, Any]) -> list[BatchFigures]:
    parts = ("npu_latency_us", "host_latency_us", "link_latency_us", "setup_latency_us")
    return [
        BatchFigures(
            row["batch_size"],
            Latency(**{part: row[part] for part in parts}),
            row["sram_peak_bytes"],
            row["dram_traffic_bytes"],
        )
        for row in summary["batches"]
    ]


def test_the_best_batch_and_the_cache(tmp_path: Path, compiles: list[object]):
    program = tmp_path / "a.enf"
    result = compiled(program, "--auto-batch-size", "--json")
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    rows, chosen = rows_of(summary), summary["batch_size"]
    sizes = [row.batch_size for row in rows]
    assert sizes == [1 << n for n in range(len(rows))]
    assert not is_worth_more(rows)
    assert chosen == best_batch(rows)
    assert compiles == sizes  # and the best one is not compiled again
    row = rows[sizes.index(chosen)]
    assert summary["total_latency_us"] == row.latency.total_latency_us
    assert f"Batch size {chosen}: " in result.stderr
    table = [line for line in result.stderr.splitlines() if "images/s" in line or "MiB" in line]
    assert table

    again = compiled(tmp_path / "b.enf", "--auto-batch-size", "--json")
    assert compiles == sizes  # nothing was compiled
    assert (tmp_path / "b.enf").read_bytes() == program.read_bytes()
    known = json.loads(again.stdout)
    assert known["from_cache"] is True
    assert (known["batches"], known["batch_size"]) == (summary["batches"], chosen)
    assert [line for line in table if line not in again.stderr] == []

    # The same program as of that batch, under another key.
    given = compiled(tmp_path / "c.enf", "-b", chosen, "--json")
    assert (tmp_path / "c.enf").read_bytes() == program.read_bytes()
    assert json.loads(given.stdout)["from_cache"] is False
    assert "batches" not in json.loads(given.stdout)


@pytest.mark.slow
def test_python_finds_the_same(tmp_path: Path, compiles: list[object]):
    result = compiled(tmp_path / "a.enf", "--auto-batch-size", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    made = len(compiles)
    program = compile_network(NETWORK, batch_size="auto")
    assert len(compiles) == made  # what the command line has stored
    assert bytes(program) == (tmp_path / "a.enf").read_bytes()
    fresh = compile_network(NETWORK, batch_size="auto", use_cache=False)
    assert fresh == program
    assert len(compiles) == 2 * made


def test_what_cannot_be_larger_stays_at_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = CacheSettings(tmp_path / "other")
    compared = batch_search.compared_batches

    def only_one(compile_: Any, report: Any = None) -> Any:
        def refused(size: int) -> Any:
            if size > 1:
                raise FuriosaError("cannot change the batch size: it mixes samples")
            return compile_(size)

        return compared(refused, report)

    monkeypatch.setattr(batch_search, "compared_batches", only_one)
    result = compiled(tmp_path / "a.enf", "--auto-batch-size", "--no-cache")
    assert result.exit_code == 0, result.stderr
    assert "batch 2 cannot be compiled: cannot change the batch size: it mixes" in result.stderr
    assert "Batch size 1: " in result.stderr
    stored = compile_program(NETWORK, target=None, batch_size="auto", settings=settings)
    assert stored.metadata.batch_size == 1
    assert [row.batch_size for row in stored.metadata.batches] == [1]


def test_verify_ir_and_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def only_one(rows: Sequence[BatchFigures]) -> bool:
        return not rows

    monkeypatch.setattr(batch_search, "is_worth_more", only_one)
    result = compiled(tmp_path / "a.enf", "--auto-batch-size", "--verify")
    assert result.exit_code == 0, result.stderr
    assert "layer by layer" in result.stderr
    text = tmp_path / "a.mlir"
    result = compiled(text, "--auto-batch-size", "--target-ir", "graph")
    assert result.exit_code == 0, result.stderr
    result = compiled(tmp_path / "b.enf", "--auto-batch-size", source=text)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("ERROR: ")
    result = compiled(tmp_path / "b.enf", "--auto-batch-size", "-b", "2")
    assert result.exit_code == 1
    assert "give one of them" in result.stderr
    assert not (tmp_path / "b.enf").exists()


def test_warnings_are_heard_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    network = float_network(tmp_path / "float.onnx")
    for output, more in (("a.enf", ()), ("a.mlir", ("--target-ir", "warboy"))):
        heard: list[list[str]] = []
        for option in ("--auto-batch-size", "-b1"):
            assert compiled(tmp_path / output, option, *more, source=network).exit_code == 0
            heard.append(caplog.messages.copy())
            caplog.clear()
        assert heard[0] == heard[1]
        assert heard[0] or more  # what it recommends is of programs


def test_sizes_are_checked():
    size: Any = "many"
    with pytest.raises(FuriosaError, match="batch size 'many' is not a positive integer"):
        compile_model(NETWORK, batch_size=size, cache=NO_CACHE)
