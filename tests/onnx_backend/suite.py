"""ONNX's backend tests on furiosa-ir, and on onnxruntime to compare with; prints a table.

    python -m tests.onnx_backend.suite [--onnxruntime] [--constant] [--data DIR] [-k PATTERN] [-j N]

With --constant the inputs are constants of the model: what the compiler computes itself is tested.
Without --onnxruntime only the cases that do not pass here run there.

Exits with 1 if a case that onnxruntime passes fails here and docs/onnx-backend.md does not list it.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.backend.test.runner import Runner

import furiosa_ir.onnx_backend
from furiosa_ir.errors import ExecutionFailure, FuriosaError
from furiosa_ir.onnxruntime_session import run_session
from tests import without_cache  # noqa: F401  # each compile is one
from tests.onnx_backend.cases import Array, Case, cases_of_directory, cases_of_onnx

PASSED, FAILED, UNSUPPORTED, CRASHED = "passed", "failed", "not supported", "crashed"
OUTCOMES = (PASSED, FAILED, UNSUPPORTED, CRASHED)

EXCEPTIONS = Path(__file__).parents[2] / "docs" / "onnx-backend.md"

Prepare = Callable[[onnx.ModelProto], Callable[[list[Array]], Sequence[Any]]]


@dataclass(frozen=True)
class Result:
    """What became of a case.

    Attributes:
        category, name: the case.
        outcome: one of `OUTCOMES`.
        reason: why it did not pass, one line.
        seconds: to compile and run.
        reference: onnxruntime's outcome; None if it was not asked.
    """

    category: str
    name: str
    outcome: str
    reason: str
    seconds: float
    reference: str | None = None


def on_furiosa(model: onnx.ModelProto) -> Callable[[list[Array]], Sequence[Any]]:
    """A model on our backend."""
    return furiosa_ir.onnx_backend.prepare(model).run


def constant_model(model: onnx.ModelProto, inputs: Sequence[Array]) -> onnx.ModelProto:
    """The model with its inputs as initialisers."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    names = [value.name for value in model.graph.input]
    del fixed.graph.input[:]
    own = {tensor.name for tensor in model.graph.initializer}
    fixed.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(array), name)
        for name, array in zip(names, inputs, strict=False)
        if name not in own
    )
    return fixed


def on_constants(model: onnx.ModelProto) -> Callable[[list[Array]], Sequence[Any]]:
    """A model on our backend, which knows the inputs when it compiles."""
    return lambda inputs: furiosa_ir.onnx_backend.run_model(constant_model(model, inputs), [])


def on_onnxruntime(model: onnx.ModelProto) -> Callable[[list[Array]], Sequence[Any]]:
    """A model on onnxruntime as it comes; what it raises counts as not supported.

    Raises:
        FuriosaError: onnxruntime refuses the model.
    """
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise FuriosaError(_line(error)) from error

    def run(inputs: list[Array]) -> Sequence[Any]:
        try:
            return run_session(session, inputs)
        except Exception as error:
            raise ExecutionFailure(_line(error)) from error

    return run


def run_case(case: Case, prepare: Prepare) -> tuple[str, str]:
    """The outcome of a case on a backend, and the reason where it does not pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            run = prepare(case.model)
            for inputs, expected in case.data_sets:
                Runner.assert_similar_outputs(
                    expected, list(run(inputs)), rtol=case.rtol, atol=case.atol
                )
        except AssertionError as error:
            return FAILED, _line(error)
        except FuriosaError as error:
            return UNSUPPORTED, str(error)
        except Exception as error:  # noqa: BLE001  # a crash, whatever it is
            return CRASHED, f"{type(error).__name__}: {_line(error)}"
    return PASSED, ""


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines[:3]) if lines else type(error).__name__


def examine(case: Case, compare: bool = False, constant: bool = False) -> Result:
    """Runs a case here and, to compare or if it does not pass, on onnxruntime."""
    started = time.perf_counter()
    outcome, reason = run_case(case, on_constants if constant else on_furiosa)
    seconds = time.perf_counter() - started
    reference = None
    if compare or outcome != PASSED:
        reference = run_case(case, on_onnxruntime)[0]
    return Result(case.category, case.name, outcome, reason, seconds, reference)


def documented_exceptions() -> set[str]:
    """The cases that docs/onnx-backend.md lists: the code at the start of each table row."""
    if not EXCEPTIONS.is_file():
        return set()
    return set(re.findall(r"^\| `(test_\w+)` \|", EXCEPTIONS.read_text(), re.MULTILINE))


def undocumented(results: Iterable[Result]) -> list[Result]:
    """What crashes here, or onnxruntime passes and we do not, and is documented nowhere."""
    known = documented_exceptions()
    return [
        r
        for r in results
        if r.name not in known
        and (r.outcome == CRASHED or (r.outcome != PASSED and r.reference == PASSED))
    ]


def _part(part: tuple[int, int], selection: argparse.Namespace) -> list[Result]:
    """Every n-th case: workers load the cases themselves, which do not pickle."""
    onnxruntime.set_default_logger_severity(4)
    logging.getLogger("furiosa_ir").setLevel(logging.ERROR)  # float networks are meant to be here
    first, step = part
    chosen = list(select(selection.data, selection.k))[first::step]
    return [examine(case, selection.onnxruntime, selection.constant) for case in chosen]


def select(directory: Path | None = None, pattern: str | None = None) -> Iterator[Case]:
    """The cases of tensors whose names match."""
    for case in cases_of_onnx() if directory is None else cases_of_directory(directory):
        if (pattern is None or re.search(pattern, case.name)) and case.of_tensors:
            yield case


def table(results: Sequence[Result], compared: bool) -> str:
    """Outcomes by category; with onnxruntime's, if it ran all of them."""
    heads = ["category", "cases", *OUTCOMES, *(["onnxruntime passes"] if compared else [])]
    rows: list[list[str]] = []
    categories = list(dict.fromkeys(r.category for r in results))
    for category in [*categories, "total"]:
        of = [r for r in results if category in (r.category, "total")]
        counts = Counter(r.outcome for r in of)
        row = [category, str(len(of)), *(str(counts[o]) for o in OUTCOMES)]
        if compared:
            row.append(str(sum(r.reference == PASSED for r in of)))
        rows.append(row)
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = ["  ".join(c.rjust(w) for c, w in zip(r, widths, strict=True)) for r in [heads, *rows]]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the cases and prints what became of them."""
    parser = argparse.ArgumentParser(description="ONNX's backend tests on furiosa-ir")
    parser.add_argument("--onnxruntime", action="store_true", help="run them on onnxruntime too")
    parser.add_argument("--constant", action="store_true", help="inputs as constants")
    parser.add_argument("--data", type=Path, help="a directory of cases, of another onnx")
    parser.add_argument("-k", metavar="PATTERN", help="only cases whose name has this in it")
    parser.add_argument("-j", type=int, default=1, metavar="N", help="processes")
    parser.add_argument("-v", action="store_true", help="also list what neither passes")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    parts = [(i, options.j) for i in range(options.j)]
    if options.j == 1:
        results = _part(parts[0], options)
    else:
        with get_context("spawn").Pool(options.j) as pool:
            chunks = pool.map(partial(_part, selection=options), parts)
        results = [r for chunk in chunks for r in chunk]
    results.sort(key=lambda r: r.name)
    if not results:
        print("no case matches")
        return 1
    print(table(results, options.onnxruntime))
    mean = sum(r.seconds for r in results) / len(results)
    print(f"\n{mean * 1e3:.0f} ms a case here; {time.perf_counter() - started:.0f} s in all")
    if options.v:
        print("\npassed neither here nor by onnxruntime:")
        for r in results:
            if PASSED not in (r.outcome, r.reference):
                print(f"  {r.outcome:13} {r.name}: {r.reason[:300]}")
    wrong = undocumented(results)
    print(f"\nonnxruntime passes and we do not, beyond docs/onnx-backend.md: {len(wrong)}")
    for r in wrong:
        print(f"  {r.outcome:13} {r.name}: {r.reason[:300]}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
