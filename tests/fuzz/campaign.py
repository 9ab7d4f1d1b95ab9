"""Runs a harness for a given processor time and says what came of it."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from tests.fuzz.harnesses import HARNESSES, Harness

ROOT = Path(__file__).parents[2]
BROKEN = 99
"""Exit code of a process whose mutator failed."""
TIMEOUT = 10
"""Seconds of processor time after which an input is a hang."""
MEMORY = 1024
"""MiB that a harness may occupy."""
_PROGRESS = re.compile(r"#\d+\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/")
_CHATTER = re.compile(r"INFO: (Instrumenting|signal received)|\tREDUCE ")
_PEAK = re.compile(r"stat::peak_rss_mb:\s+(\d+)")
_RSS = re.compile(r"rss: (\d+)Mb")


@dataclass
class Outcome:
    """What a campaign did.

    Attributes:
        harness: its name.
        seconds: processor time, of all its processes.
        executions: inputs tried.
        accepted: inputs that are sound files.
        refused: inputs refused with one sentence.
        edges: edges of furiosa_ir's code that were reached.
        features: libFuzzer's finer measure: edges with how often each was taken.
        corpus: inputs kept, each for something that no other reaches.
        peak_mib: the most memory that a process occupied.
        bugs: files of inputs that are neither accepted nor refused, and of hangs and crashes.
    """

    harness: str
    seconds: float = 0.0
    executions: int = 0
    accepted: int = 0
    refused: int = 0
    edges: int = 0
    features: int = 0
    corpus: int = 0
    peak_mib: int = 0
    bugs: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    def to_markdown(self) -> str:
        """The row of the table in `docs/security.md`."""
        return (
            f"| {self.harness} | {self.seconds / 60:.1f} | {self.executions:,} "
            f"| {self.accepted:,} | {self.refused:,} | {self.edges:,} | {self.features:,} "
            f"| {self.corpus:,} | {self.peak_mib} | {len(self.bugs)} |"
        )


def write_seeds(harness: Harness, folder: Path, most: int | None = None) -> int:
    """Writes the seed corpus, or its first files, without those longer than the harness takes.

    Returns:
        How many files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, data in islice(harness.seeds(), most):
        if len(data) <= harness.max_bytes:
            (folder / re.sub(r"[^\w.-]", "_", name)).write_bytes(data)
            count += 1
    return count


def run_campaign(
    name: str, home: Path, *, seconds: float, runs: int = -1, seed: int | None = None
) -> Outcome:
    """Fuzzes a harness; a process that a crash, a hang or memory ended is followed by another.

    Args:
        name: of the harness.
        home: where seeds, the corpus that grows and the bugs found lie; what an earlier campaign
            left there is used again.
        seconds: of processor time.
        runs: inputs at most; -1 for no bound.
        seed: of libFuzzer's random numbers; None for another one each time.
    """
    harness, outcome = HARNESSES[name], Outcome(name)
    if not (home / "seeds").is_dir():
        write_seeds(harness, home / "seeds")
    for folder in ("corpus", "bugs"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    while outcome.seconds < seconds and (runs < 0 or outcome.executions < runs):
        (home / "status.json").unlink(missing_ok=True)
        left = -1 if runs < 0 else runs - outcome.executions
        before = outcome.executions
        clean = _run_process(name, home, outcome, seconds - outcome.seconds, left, seed)
        if clean or outcome.executions == before:
            break
    for hang in (home / "bugs").glob("timeout-*"):
        if not _hangs(name, hang):
            hang.unlink()
    known = (p for p in (home / "bugs").iterdir() if p.suffix != ".txt")
    outcome.bugs = sorted(str(p) for p in known)
    return outcome


def _hangs(name: str, path: Path) -> bool:
    """Whether an input takes too much processor time: libFuzzer looks at the clock on the wall.

    On a machine that does other things, or stops the process for them, any input can take long.
    """
    command = [sys.executable, "-W", "ignore", "-m", "tests.fuzz", name, "--replay", str(path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            check=False,
            timeout=60 * TIMEOUT,
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime > TIMEOUT


def _run_process(
    name: str, home: Path, outcome: Outcome, seconds: float, runs: int, seed: int | None
) -> bool:
    """One process; whether it ended because its time was over."""
    flags = [
        f"-timeout={TIMEOUT}",
        f"-rss_limit_mb={MEMORY}",
        f"-max_len={HARNESSES[name].max_bytes}",
        f"-runs={runs}",
        f"-artifact_prefix={home / 'bugs'}/",
        "-print_final_stats=1",
        "-reload=0",
    ]
    if seed is not None:
        flags.append(f"-seed={seed}")
    command = [sys.executable, "-m", "tests.fuzz.child", name, str(home), str(seconds)]
    environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
    log = home / "log.txt"
    last: deque[str] = deque(maxlen=30)
    with log.open("a", encoding="utf-8", buffering=1) as file:
        with subprocess.Popen(
            # A process inherits the greatest memory of the one that starts it, which counts here:
            # a shell between them starts small.
            [
                *("sh", "-c", '"$@"; exit $?', "sh", *command, *flags),
                *(str(home / "corpus"), str(home / "seeds")),
            ],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                _read_progress(line, outcome)
                if not _CHATTER.search(line):
                    file.write(line)
                    last.append(line)
        code = process.returncode
        if code == BROKEN:
            raise RuntimeError(f"the mutator of '{name}' failed:\n{''.join(last)}")
        file.write(f"exit code {code} at {time.strftime('%H:%M:%S')}\n")
    try:
        status = json.loads((home / "status.json").read_text())
    except (OSError, ValueError):
        raise RuntimeError(f"the harness '{name}' did not start:\n{''.join(last)}") from None
    outcome.seconds += status["seconds"]
    for key in ("executions", "accepted", "refused"):
        setattr(outcome, key, getattr(outcome, key) + status[key])
    return code == 0


def _read_progress(line: str, outcome: Outcome) -> None:
    if found := _PROGRESS.search(line):
        outcome.edges, outcome.features, outcome.corpus = (int(n) for n in found.groups())
    if found := _RSS.search(line) or _PEAK.search(line):
        outcome.peak_mib = max(outcome.peak_mib, int(found[1]))
