"""The process that libFuzzer runs in: `python -m tests.fuzz.child NAME FOLDER SECONDS [flags]`.

A Python exception that is no refusal is written to the folder, once for each place that raises it,
and fuzzing goes on; crashes of native code, hangs and memory end the process, and libFuzzer writes
their input.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import pkgutil
import random
import resource
import signal
import sys
import time
import traceback
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import atheris

LONGEST_SENTENCE = 1200
STRUCTURAL = 0.6
"""How often a file's parts are changed rather than its bytes."""
FROM_SEEDS = 0.4
"""How often it is a sound file's parts that are changed."""
BROKEN = 99
"""Exit code of a mutator that failed."""
ADDRESS_SPACE = 6 << 30
"""Bytes a harness may map: what asks for more by mistake fails, instead of being lucky."""


@dataclass
class Counts:
    """What became of the inputs of a process."""

    executions: int = 0
    accepted: int = 0
    refused: int = 0
    bugs: int = 0


def instrument() -> None:
    """Imports the whole package under atheris's hook, so that its edges count and no others."""
    with atheris.instrument_imports(include=["furiosa_ir"]):
        package = importlib.import_module("furiosa_ir")
        for module in pkgutil.walk_packages(package.__path__, "furiosa_ir."):
            # The kernels of the simulator lie among them, a library and no module.
            if not module.name.endswith(("__main__", ".kernels")):
                importlib.import_module(module.name)


def check_sentence(error: Exception) -> None:
    """A refusal is one line of readable text, of a length that people read."""
    text = str(error)
    assert text.strip(), "an empty refusal"
    assert text.isprintable(), f"a refusal of several lines or with control characters: {text!r}"
    assert "Traceback" not in text, text
    assert len(text) <= LONGEST_SENTENCE, f"a refusal of {len(text)} characters: {text[:200]}"


def place_of(error: BaseException) -> str:
    """Where an exception was raised: its type and the innermost line of this package."""
    if isinstance(error, AssertionError) and error.__context__ is not None:
        error = error.__context__  # the refusal that is not fit to be read
    place = "outside"
    step: TracebackType | None = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if "furiosa_ir" in code.co_filename or place == "outside":
            place = f"{Path(code.co_filename).name}:{step.tb_lineno}"
        step = step.tb_next
    return f"{type(error).__name__} at {place}"


def main() -> None:
    """Fuzzes until the time is over."""
    name, folder, seconds, *flags = sys.argv[1:]
    limit, home = float(seconds), Path(folder)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    stderr = os.dup(2)
    instrument()
    os.dup2(stderr, 2)
    from furiosa_ir.errors import FuriosaError
    from tests.fuzz.harnesses import HARNESSES

    harness, counts, seen = HARNESSES[name], Counts(), set[str]()
    seeds = [path.read_bytes() for path in sorted((home / "seeds").iterdir())]
    bugs, status = home / "bugs", home / "status.json"
    bugs.mkdir(parents=True, exist_ok=True)

    def write_status() -> None:
        status.write_text(json.dumps({**asdict(counts), "seconds": time.process_time()}))

    def record(error: Exception, data: bytes) -> None:
        counts.bugs += 1
        place = place_of(error)
        if place in seen:
            return
        seen.add(place)
        stem = bugs / hashlib.sha256(place.encode()).hexdigest()[:12]
        if not stem.exists():
            stem.write_bytes(data)
            stem.with_suffix(".txt").write_text(
                f"{place}\n{''.join(traceback.format_exception(error))}"
            )
            print(f"BUG {place}: {error}"[:500], file=sys.stderr)

    def one_input(data: bytes) -> None:
        counts.executions += 1
        try:
            try:
                harness.run(data)
                counts.accepted += 1
            except FuriosaError as error:
                counts.refused += 1
                check_sentence(error)
        except Exception as error:  # noqa: BLE001  # a bug, whatever it is
            record(error, data)
        if counts.executions % 64 == 1:
            write_status()
            if time.process_time() > limit:
                os.kill(os.getpid(), signal.SIGUSR1)

    def mutator(data: bytes, size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        try:
            changed = None
            if rng.random() < STRUCTURAL:
                # libFuzzer's corpus fills with refused files, whose changes are refused as well.
                sound = rng.random() < FROM_SEEDS
                changed = harness.mutate(rng.choice(seeds) if sound else data, rng)
        except Exception:  # noqa: BLE001  # a bug of the fuzzer, not of what it tests
            traceback.print_exc()
            os._exit(BROKEN)
        if changed is None or len(changed) > size:
            changed = atheris.Mutate(data, size)
            if harness.repair is not None:
                changed = harness.repair(changed)[:size]
        return changed

    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    atheris.Setup([sys.argv[0], *flags], one_input, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
