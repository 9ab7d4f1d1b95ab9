"""Text edited between two passes of the machine: refused, or compiled."""

from __future__ import annotations

import random
import re
from contextlib import suppress

import pytest

from furiosa_ir.compiler import compile_source
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.constants import ConstantTable
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.pipeline import Pipeline, run_pipeline
from furiosa_ir.ir.text import large_constants, parse_module, print_module
from tests.conftest import DIGITS

PASSES = ("assign-views", "plan-tiles", "allocate", "schedule")
TOKEN = re.compile(r'-?\b\d+\b|"[A-Z]{3,4}"|\b(?:true|false|none)\b|%\w+')
NUMBERS = ("0", "-1", "1", "65535", str(1 << 31), str((1 << 63) - 1))

Stage = tuple[str, ConstantTable, tuple[str, ...]]
"""Text, its constants, and the passes that are left."""


@pytest.fixture(scope="module")
def stages() -> list[Stage]:
    module = compile_source(DIGITS / "digits_int8.tflite", target_ir="ftensor").module
    made: list[Stage] = []
    for number, done in enumerate(("assign-target{npu=warboy},fuse-kernels", *PASSES[:-1])):
        run_pipeline(make_context(), module, Pipeline.of_text(done))
        table = ConstantTable()
        for constant in large_constants(module):
            table.add(constant)
        made.append((print_module(module), table, PASSES[number:]))
    return made


def edited(text: str, rng: random.Random) -> str:
    for _ in range(rng.choice((1, 1, 2))):
        tokens = list(TOKEN.finditer(text))
        old = rng.choice(tokens)
        alike = [t[0] for t in tokens if t[0][0] == old[0][0]]
        is_number = old[0].lstrip("-").isdigit()
        new = rng.choice((*NUMBERS, str(int(old[0]) + 1)) if is_number else alike)
        text = text[: old.start()] + new + text[old.end() :]
    return text


def check(stages: list[Stage], seed: int) -> None:
    rng = random.Random(seed)
    text, table, passes = rng.choice(stages)
    with suppress(FuriosaError):
        module = parse_module(edited(text, rng), table)
        run_pipeline(make_context(), module, Pipeline.of_text(",".join(passes)))


@pytest.mark.parametrize("seed", range(8))
def test_an_edit(stages: list[Stage], seed: int) -> None:
    check(stages, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 260, 40))
def test_many_edits(stages: list[Stage], seed: int) -> None:
    for number in range(40):
        check(stages, seed + number)
