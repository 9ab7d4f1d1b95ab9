"""ONNX's backend tests on furiosa-ir, and on onnxruntime to compare with; prints a table.

    python -m tests.onnx_backend.suite [--onnxruntime] [--data DIR] [-k PATTERN] [-j N]

Exits with 1 if a case that onnxruntime passes fails here and docs/onnx-backend.md does not list it.
"""

from __future__ import annotations

import argparse
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

import onnx
import onnxruntime
from onnx.backend.test.runner import Runner

import furiosa_ir.onnx_backend
from furiosa_ir.errors import ExecutionFailure, FuriosaError
from furiosa_ir.runtime.ort_values import run_session
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
        except Exception as error:
            return CRASHED, f"{type(error).__name__}: {_line(error)}"
    return PASSED, ""


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines[:3]) if lines else type(error).__name__


def examine(case: Case, compare: bool) -> Result:
    """Runs a case here and, to compare, on onnxruntime."""
    started = time.perf_counter()
    outcome, reason = run_case(case, on_furiosa)
    seconds = time.perf_counter() - started
    reference = run_case(case, on_onnxruntime)[0] if compare else None
    return Result(case.category, case.name, outcome, reason, seconds, reference)


def documented_exceptions() -> set[str]:
    """The cases that docs/onnx-backend.md lists: the code at the start of each table row."""
    if not EXCEPTIONS.is_file():
        return set()
    return set(re.findall(r"^\| `(test_\w+)` \|", EXCEPTIONS.read_text(), re.MULTILINE))


def undocumented(results: Iterable[Result]) -> list[Result]:
    """What onnxruntime passes (or was not asked), fails here and is documented nowhere."""
    known = documented_exceptions()
    return [
        r
        for r in results
        if r.name not in known
        and (r.outcome == CRASHED or (r.outcome != PASSED and r.reference in (PASSED, None)))
    ]


def _part(part: tuple[int, int], selection: argparse.Namespace) -> list[Result]:
    """Every n-th case: workers load the cases themselves, which do not pickle."""
    onnxruntime.set_default_logger_severity(4)
    first, step = part
    chosen = list(select(selection.data, selection.k))[first::step]
    return [examine(case, selection.onnxruntime) for case in chosen]


def select(directory: Path | None = None, pattern: str | None = None) -> Iterator[Case]:
    """The cases of tensors whose names match."""
    for case in cases_of_onnx() if directory is None else cases_of_directory(directory):
        if (pattern is None or re.search(pattern, case.name)) and case.of_tensors:
            yield case


def table(results: Sequence[Result]) -> str:
    """Outcomes by category."""
    compared = any(r.reference is not None for r in results)
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
    print(table(results))
    mean = sum(r.seconds for r in results) / len(results)
    print(f"\n{mean * 1e3:.0f} ms a case here; {time.perf_counter() - started:.0f} s in all")
    if options.v:
        print("\nnot passed here nor, if asked, by onnxruntime:")
        for r in results:
            if r.outcome != PASSED and r.reference != PASSED:
                print(f"  {r.outcome:13} {r.name}: {r.reason[:300]}")
    wrong = undocumented(results)
    title = "onnxruntime passes and we do not" if options.onnxruntime else "not passed"
    print(f"\n{title}, beyond docs/onnx-backend.md: {len(wrong)}")
    for r in wrong:
        print(f"  {r.outcome:13} {r.name}: {r.reason[:300]}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
