"""Text of every phase boundary of every small network, in both forms, is the same IR again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.backends.warboy.pipeline import PIPELINE
from furiosa_ir.importers import load
from furiosa_ir.ir.constants import ConstantTable
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.equivalence import difference
from furiosa_ir.ir.pipeline import Pipeline, run_pipeline
from furiosa_ir.ir.text import large_constants, parse_module, print_module
from furiosa_ir.ir.verifier import verify_module
from furiosa_ir.passes.assign_target import with_target
from tests.conftest import DIGITS, SHARED
from tests.draws import mostly_slow

SMALL = 2 << 20
TRAINED = sorted(p for p in (SHARED / "models" / "trained").glob("*.*") if p.stat().st_size < SMALL)
SMALLEST = (
    "ad_fc_ae_int8.tflite",
    "kws_dscnn_int8.tflite",
    "kws_dscnn_qdq_i8.onnx",
    "ic_resnet8_qdq_i8.onnx",
    "sww_streaming_int8.tflite",
)
DIGITS_FILES = [DIGITS / "digits_int8.tflite", DIGITS / "digits_qdq_int8.onnx"]


def check(module: ModuleOp) -> None:
    table = ConstantTable()
    for constant in large_constants(module):
        table.add(constant)
    text = print_module(module)
    again = parse_module(text, table)
    assert difference(module, again) is None
    assert print_module(again) == text
    # But for what a network calls its layers, no line of the body is long.
    body = [line for line in text.split("\n") if not line.startswith("#")]
    assert max(len(re.sub(r'"[^"]*"', "", line)) for line in body) <= 200
    generic = parse_module(print_module(module, generic=True), table)
    assert difference(module, generic) is None


def check_phases(path: Path, target: str) -> None:
    module = load(path)
    verify_module(module)
    check(module)
    for phase in with_target(PIPELINE.phases, module, target):
        step = Pipeline(phase.name, (phase,))
        run_pipeline(make_context(), module, step, verify_each=True)
        check(module)


@pytest.mark.parametrize("path", DIGITS_FILES, ids=lambda p: p.name)
@pytest.mark.parametrize("target", ["warboy", "warboy-2pe"])
def test_digits(path: Path, target: str):
    check_phases(path, target)


@pytest.mark.corpus
@pytest.mark.filterwarnings("ignore:.*quantised dimension")
@pytest.mark.parametrize("path", mostly_slow(TRAINED, *SMALLEST), ids=lambda p: p.name)
def test_trained(path: Path):
    check_phases(path, "warboy-2pe")
