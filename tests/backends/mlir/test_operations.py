"""Native code of each operation against the operation's own definition."""

from __future__ import annotations

from itertools import product

import pytest
from xdsl.dialects.builtin import i8, i32

from furiosa_ir.backends.mlir.dialect import OptimizationBarrierOp
from furiosa_ir.backends.mlir.lowering import rescale
from furiosa_ir.backends.mlir.lowering.registry import LOWERINGS
from furiosa_ir.backends.mlir.text_safety import OPERATIONS as OPERATIONS_OF_TEXT
from furiosa_ir.dialects.ftensor import OPERATIONS, ConstantOp, i48
from furiosa_ir.numerics.fixed_point import ROUNDINGS
from tests.backends.mlir.lowering_cases import differing_forms
from tests.backends.mlir.segments_of_one import DRAWS, Case, Cases, Draw, rescale_case
from tests.conformance.conformance import forms as conformance_forms
from tests.draws import draws

pytest.importorskip("iree.compiler", reason="the extra `iree` is not installed")


def differing(cases: list[Case]) -> list[Case]:
    together = Cases()
    together.add(cases)
    return together.differing()


def test_every_operation_has_a_lowering_and_is_drawn() -> None:
    wanted = {kind for kind in OPERATIONS if kind is not ConstantOp}
    assert LOWERINGS.keys() == wanted
    assert DRAWS.keys() == wanted


def test_what_may_be_compiled_of_a_file_is_what_lowerings_make() -> None:
    together = Cases()
    draw = Draw(0)
    together.add([draw.case(kind) for kind in DRAWS for _ in range(30)])
    # Of a single operation nothing is made before something else.
    assert {OptimizationBarrierOp, *map(type, together.module.walk())} == OPERATIONS_OF_TEXT


def test_each_operation() -> None:
    draw = Draw(0)
    assert differing([draw.case(kind) for kind in DRAWS for _ in range(2)]) == []


@pytest.mark.slow
@pytest.mark.weekly
def test_many_of_each_operation() -> None:
    draw = Draw(1)
    assert differing([draw.case(kind) for kind in DRAWS for _ in range(draws(12))]) == []


def sweep(seed: int, shape: tuple[int, ...], rounding: str | None = None) -> list[Case]:
    """Rescales of every element type in every rounding, by constants and by data."""
    draw = Draw(seed)
    kinds = product(ROUNDINGS if rounding is None else [rounding], [i8, i32, i48], [0, 1])
    return [rescale_case(draw, shape, element, how, data) for how, element, data in kinds]


def test_rescales_with_ties_and_extremes() -> None:
    cases = [c for seed in range(draws(4) // 2) for c in sweep(seed, (3, 40, 50))]
    assert differing(cases) == []


@pytest.mark.slow
def test_what_operators_become() -> None:
    """One in eight of the forms; `lowering_cases.py` has all of them."""
    forms = {f.name: f for f in list(conformance_forms().values())[::8]}
    different, functions, elements = differing_forms(forms, 1)
    assert different == []
    assert functions >= len(forms) // 2
    assert elements > 500


WRONG = {
    "floor": rescale._up,
    "up": rescale._floor,
    "away": rescale._up,
    "even": rescale._away,
    "near_even": rescale._up,
    "double": None,
}
"""Another rounding in the place of each, which agrees but for ties, or signs."""


@pytest.mark.slow
def test_a_wrong_rounding_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    together, kept = Cases(), []
    for rounding, wrong in WRONG.items():
        with monkeypatch.context() as patch:
            if wrong is None:
                # Its second rounding with ties up instead of away.
                patch.setattr(rescale, "_away", rescale._up)
            else:
                patch.setitem(rescale._SINGLE, rounding, wrong)
            cases = [c for seed in range(2) for c in sweep(seed, (40, 50), rounding)]
            together.add(cases)
            kept += cases
    caught = {case.properties["rounding"] for case in together.differing()}
    assert caught == set(ROUNDINGS)
