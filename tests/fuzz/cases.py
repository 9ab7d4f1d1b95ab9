"""One case: a network, mutated, through the compiler's Python entry; and what came of it.

As a program, answers cases from stdin (`NETWORK SEED RUN` a line) with one JSON object a line. Its
parent (`tests.fuzz.workers`) sees what Python cannot report: crashes and hangs.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import random
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import OpResolverType

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import (
    CompilationFailure,
    ExecutionFailure,
    FormatFailure,
    FuriosaError,
    ImportFailure,
)
from furiosa_ir.onnxruntime_session import onnx_session, run_session
from furiosa_ir.runtime.session import Session
from furiosa_ir.runtime.tensor import TensorDesc
from tests.fuzz.onnx_mutations import mutate_onnx
from tests.fuzz.tflite_mutations import mutate_tflite
from tests.oracle.litert import run_reference

ROOT = Path(__file__).parents[2]
TRAINED = ROOT.parent / "shared" / "models" / "trained"

LARGEST_RSS = 1 << 30
"""Bytes of memory that a compile may take."""

_ADDRESS_SPACE = 6 << 30
_REFUSALS = (ImportFailure, CompilationFailure)


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        network: the file's name.
        seed: of the mutations.
        kind: "program", "ran", the class of the `FuriosaError`, or what must not happen: an
            "exception", "hang", "crash", "memory" beyond the limit, a refusal that is no sentence
            ("message"), a Python "warning", a program that its reader refuses ("unreadable") or
            that does not run ("run"; "nonsense" where the framework does not run the network,
            either).
        detail: the refusal, or what helps to find the reason.
        seconds: CPU time of the compile.
    """

    network: str
    seed: int
    kind: str
    detail: str = ""
    seconds: float = 0.0

    @property
    def is_finding(self) -> bool:
        """Whether it must not happen."""
        return self.kind not in ("program", "ran", "nonsense", *(c.__name__ for c in _REFUSALS))


@cache
def content(network: str) -> bytes:
    """The bytes of a network: the corpus's, else a bundled one's."""
    path = TRAINED / network
    return (path if path.exists() else ROOT / "examples" / "digits" / network).read_bytes()


def mutated(network: str, seed: int) -> tuple[bytes, list[str]]:
    """The network's bytes after the mutations of a seed, and these; the same for good."""
    rng = random.Random(f"{network}:{seed}")
    mutate = mutate_tflite if network.endswith(".tflite") else mutate_onnx
    return mutate(content(network), rng)


def attempt(network: str, seed: int, *, run: bool = False) -> Outcome:
    """Compiles one case; `run`: reads the program back and runs it once, too."""
    data, _ = mutated(network, seed)
    started = time.process_time()
    noise: list[warnings.WarningMessage]
    with warnings.catch_warnings(record=True) as noise:
        warnings.simplefilter("always")
        kind, detail, program = _compiled(data)
    seconds = round(time.process_time() - started, 4)
    if noise and kind in ("program", *(c.__name__ for c in _REFUSALS)):
        first = noise[0]
        kind, detail = "warning", f"{first.filename}:{first.lineno}: {first.message}"
    if kind == "program" and run:
        kind, detail = _ran(program, data, random.Random(seed))
    return Outcome(network, seed, kind, detail, seconds)


def _compiled(data: bytes) -> tuple[str, str, bytes]:
    try:
        return "program", "", compile_model(data)
    except FuriosaError as error:
        text = str(error)
        if not text.isprintable() or len(text) > 2000:
            return "message", repr(text)[:2000], b""
        kinds = [c for c in _REFUSALS if isinstance(error, c)] or [type(error)]
        return kinds[0].__name__, text, b""
    except Exception:  # noqa: BLE001  # that is what we are looking for
        return "exception", traceback.format_exc(limit=-8), b""


def _ran(enf: bytes, source: bytes, rng: random.Random) -> tuple[str, str]:
    try:
        program = read_program(enf)
    except FormatFailure as error:
        return "unreadable", str(error)
    inputs: list[Any] = []
    try:
        with Session(program) as session:
            inputs = [_input(desc, rng) for desc in session.inputs()]
            session.run(inputs)
    except Exception as error:  # noqa: BLE001  # that is what we are looking for
        reason = _framework_failure(source, inputs) if _is_of_the_host(error) else ""
        # The file says of an operator that only the framework knows what it does not make.
        is_contradiction = isinstance(error, ExecutionFailure) and "is declared with" in str(error)
        kind = "nonsense" if reason or is_contradiction else "run"
        return kind, f"{reason}\n{traceback.format_exc(limit=-6)}"
    return "ran", ""


def _is_of_the_host(error: Exception) -> bool:
    text = str(error)
    return isinstance(error, ExecutionFailure) and ("LiteRT" in text or "onnxruntime" in text)


def _framework_failure(source: bytes, inputs: Sequence[Any]) -> str:
    """Why the network's own framework does not run it, either; empty if it does."""
    try:
        if source[4:8] == b"TFL3":
            run_reference(source, inputs, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
        else:
            run_session(onnx_session(source), inputs)
    except Exception as error:  # noqa: BLE001  # onnxruntime's share no other base
        return f"{type(error).__name__}: {error}"
    return ""


def _input(desc: TensorDesc, rng: random.Random) -> Any:
    shape = [1 if n < 0 else n for n in desc.shape]
    generator = np.random.default_rng(rng.randrange(1 << 32))
    dtype = np.dtype(desc.numpy_dtype)
    if dtype.kind in "iub":
        # What indexes, counts or divides is mostly small; int8 has its whole range.
        high = 127 if dtype.itemsize == 1 and dtype.kind != "b" else 2
        return generator.integers(1, high, shape, np.int64).astype(dtype)
    return generator.standard_normal(shape).astype(dtype)


def _peak_rss() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


def main() -> None:
    """Answers cases until stdin ends."""
    faulthandler.enable()
    logging.disable(logging.WARNING)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    # Native code may write to stdout.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        network, seed, run = line.split()
        Path("/proc/self/clear_refs").write_text("5")
        outcome = attempt(network, int(seed), run=run == "1")
        peak = _peak_rss()
        if peak > LARGEST_RSS and not outcome.is_finding:
            detail = f"{peak >> 20} MiB, {outcome.kind}: {outcome.detail}"
            outcome = Outcome(network, int(seed), "memory", detail, outcome.seconds)
        answers.write(json.dumps(asdict(outcome)) + "\n")


if __name__ == "__main__":
    main()
