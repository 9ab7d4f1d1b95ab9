"""ONNX's own backend tests, each on our backend: none that onnxruntime passes may fail.

The cases run in groups, so that they are loaded (seven seconds) once a worker.
"""

from __future__ import annotations

from functools import cache

import onnxruntime
import pytest

from tests.onnx_backend.cases import Case
from tests.onnx_backend.suite import (
    CRASHED,
    PASSED,
    documented_exceptions,
    examine,
    select,
    undocumented,
)

GROUPS = 16
QUANTIZED = "qlinear|quantizelinear|convinteger|matmulinteger"

onnxruntime.set_default_logger_severity(4)


@cache
def cases() -> list[Case]:
    return list(select())


@pytest.mark.parametrize(
    "group", [g if g % 8 == 0 else pytest.param(g, marks=pytest.mark.slow) for g in range(GROUPS)]
)
def test_what_onnxruntime_passes(group: int):
    results = [examine(case) for case in cases()[group::GROUPS]]
    assert undocumented(results) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "group", [g if g % 4 == 0 else pytest.param(g, marks=pytest.mark.weekly) for g in range(GROUPS)]
)
def test_with_constant_inputs(group: int):
    """The compiler computes what it knows: by `evaluate`, or by onnxruntime."""
    results = [examine(case, constant=True) for case in cases()[group::GROUPS]]
    assert undocumented(results) == []


def test_quantized_operators():
    results = [examine(case) for case in select(pattern=QUANTIZED)]
    assert len(results) > 40
    assert undocumented(results) == []
    assert [r.name for r in results if r.outcome == CRASHED] == []


def test_exceptions_are_needed():
    """What docs/onnx-backend.md lists fails, with inputs as they are or as constants."""
    listed = [case for case in cases() if case.name in documented_exceptions()]
    assert len(listed) == len(documented_exceptions())
    for case in listed:
        outcomes = {examine(case).outcome, examine(case, constant=True).outcome}
        assert outcomes != {PASSED}, case.name
