"""A short run of each harness, the bugs that longer ones found, and the fuzzer's own parts."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from furiosa_ir.errors import FuriosaError
from tests.draws import ALL, draws
from tests.fuzz.campaign import ROOT, Outcome, run_campaign, write_seeds
from tests.fuzz.harnesses import HARNESSES
from tests.fuzz.mutators import mutate_mlirz

LEAST_EDGES = {"cache": 40, "reproducer": 40}
"""Of the code that a run goes through; the reader of cache entries is one small module."""
RUNS = 300
"""Inputs of a short run beside the seeds, which come first."""
SEEDS = None if ALL else 60
"""Making them all takes ten seconds."""
ENOUGH = draws(20)
"""Mutated files that are read, and others that are refused."""
SECONDS = 60
"""Of processor time at most."""
REGRESSIONS = {
    folder.name: sorted(p for p in folder.iterdir() if p.is_file())
    for folder in sorted((Path(__file__).parent / "regressions").iterdir())
    if folder.is_dir()
}


@pytest.fixture(scope="session")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a harness's seeds, written once: programs have to be compiled."""

    @cache
    def folder(name: str) -> Path:
        made = tmp_path_factory.mktemp(name)
        assert write_seeds(HARNESSES[name], made, SEEDS) >= 50
        return made

    return folder


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir())]


@pytest.mark.fuzz
@pytest.mark.slow
@pytest.mark.weekly
@pytest.mark.timeout(900)  # `SECONDS` are of a processor that three others may share
@pytest.mark.parametrize("name", HARNESSES)
def test_a_short_run_finds_nothing(name: str, tmp_path: Path, seeds: Callable[[str], Path]) -> None:
    """The same random numbers each time: a red run means a change."""
    (tmp_path / "seeds").symlink_to(seeds(name))
    runs = len(list(seeds(name).iterdir())) + RUNS
    outcome = run_campaign(name, tmp_path, seconds=SECONDS, runs=runs, seed=1)
    texts = [p.read_text() for p in (tmp_path / "bugs").glob("*.txt")]
    assert not outcome.bugs, "\n".join(texts)
    assert outcome.accepted + outcome.refused == outcome.executions
    assert outcome.executions >= runs // 3
    assert min(outcome.accepted, outcome.refused) > 50
    assert outcome.edges > LEAST_EDGES.get(name, 200)
    assert 0 < outcome.peak_mib < 1024


@pytest.mark.parametrize("name", REGRESSIONS)
def test_bugs_that_fuzzing_found_stay_fixed(name: str) -> None:
    """In a process of their own: some of them crashed or hung in native code."""
    code = (
        "import sys; from pathlib import Path; from tests.fuzz.harnesses import HARNESSES;"
        "from furiosa_ir.errors import FuriosaError\n"
        "for path in sys.argv[2:]:\n"
        "    print('file', path, flush=True)\n"
        "    try: HARNESSES[sys.argv[1]].run(Path(path).read_bytes())\n"
        "    except FuriosaError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, name, *REGRESSIONS[name]],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    said = done.stdout.removeprefix("file ").split("\nfile ")
    assert len(said) == len(REGRESSIONS[name])
    for each in said:
        assert len(each.splitlines()) <= 2, each
        assert each.replace("\n", "").isprintable(), each


@pytest.mark.draws
@pytest.mark.parametrize("name", HARNESSES)
def test_structural_mutations_keep_many_files_sound(
    name: str, seeds: Callable[[str], Path]
) -> None:
    """Files that break at once reach nothing; so many of the mutated ones have to be read."""
    harness, files = HARNESSES[name], contents(seeds(name))
    rng, outcomes = random.Random(0), {"same": 0, "accepted": 0, "refused": 0}
    for _ in range(1000):
        if min(outcomes["accepted"], outcomes["refused"]) >= ENOUGH:
            break
        data = rng.choice(files)
        changed = harness.mutate(data, rng)
        if changed is None or changed == data:
            outcomes["same"] += 1
            continue
        try:
            harness.run(changed)
            outcomes["accepted"] += 1
        except FuriosaError:
            outcomes["refused"] += 1
    assert outcomes["accepted"] >= ENOUGH, outcomes
    assert outcomes["refused"] >= ENOUGH, outcomes


@pytest.mark.parametrize("name", HARNESSES)
def test_mutations_follow_from_the_seed_alone(name: str, seeds: Callable[[str], Path]) -> None:
    harness, files = HARNESSES[name], contents(seeds(name))[:20]
    runs = [[harness.mutate(f, random.Random(i)) for i, f in enumerate(files)] for _ in range(2)]
    assert runs[0] == runs[1]


def test_an_archive_without_a_program_is_changed_as_well() -> None:
    """libFuzzer keeps those, too; the mutator must not end its process."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("head.json", '["mlir", ""]')
    changed = [mutate_mlirz(made.getvalue(), random.Random(seed)) for seed in range(50)]
    assert len(set(changed)) > 10


def test_an_outcome_is_a_row_of_the_table() -> None:
    outcome = Outcome("x", 90.0, 1000, 400, 600, 50, 200, 30, 150, ["bugs/a"])
    assert outcome.to_markdown() == "| x | 1.5 | 1,000 | 400 | 600 | 50 | 200 | 30 | 150 | 1 |"
    assert '"executions": 1000' in outcome.to_json()
