"""Generated tests of rules find what a rule may do wrong."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor.arithmetic import ClampOp, LookupOp, RescaleOp, SubOp
from furiosa_ir.dialects.ftensor.movement import ReshapeOp
from furiosa_ir.ir.passes import PASSES, RewritePass
from furiosa_ir.ir.rewriting import Rewrite, RewriteDriver, rule
from furiosa_ir.ir.rules import Rule
from furiosa_ir.ir.shaped_operation import element_of
from furiosa_ir.passes.ftensor_fold_clamps import FoldClamps
from tests.conftest import ROOT
from tests.passes.generated.judge import Fault, feeds_of, judge, limit
from tests.passes.generated.modules import drawn_module
from tests.passes.generated.pattern import Hint, wanted_of
from tests.passes.generated.rules import RuleUse, all_rules, draws_of, fired_of, require_fired


def _use(made: Rule, what: RewritePass | None = None) -> RuleUse:
    return RuleUse(made, what or FoldClamps(), ("onnx",))


@rule
def outer_range_alone(op: ClampOp, x: ClampOp, rw: Rewrite) -> SSAValue | None:
    """clamp(clamp(x)) = clamp(x). Wrong: with the outer range."""
    element = element_of(op.result)
    return rw.emit(ClampOp, [x.x], [element], minimum=op.minimum, maximum=op.maximum)


@rule
def same_again(op: ClampOp, rw: Rewrite) -> SSAValue | None:
    """clamp(x) = clamp(x), for ever."""
    element = element_of(op.result)
    return rw.emit(ClampOp, [op.x], [element], minimum=op.minimum, maximum=op.maximum)


@rule
def clamp_in_front(op: LookupOp, rw: Rewrite) -> SSAValue | None:
    """lookup(x) = lookup(clamp(x)), once, for nothing."""
    if isinstance(op.x.owner, ClampOp):
        return None
    clamped = rw.emit(ClampOp, [op.x], [element_of(op.x)], minimum=-128, maximum=127)
    return rw.emit(LookupOp, [clamped, op.table], [element_of(op.result)])


@rule
def other_type(op: ClampOp, x: RescaleOp, rw: Rewrite) -> SSAValue | None:
    """clamp(rescale(x)) = x, which is of another type."""
    return x.multiplier


@rule
def raises(op: ClampOp, x: RescaleOp, rw: Rewrite) -> SSAValue | None:
    """A rule with a mistake."""
    raise ZeroDivisionError


@rule
def never(op: ClampOp, x: RescaleOp, rw: Rewrite) -> SSAValue | None:
    """A rule that asks for what its pattern does not say."""
    return op.x if op.minimum.value.data == 12345 else None


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (outer_range_alone, "instead of"),
        (same_again, "did not come to an end"),
        (clamp_in_front, "operations become"),
        (other_type, "replaces a value"),
        (raises, "ZeroDivisionError"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_wrong_rule_is_found(wrong: Rule, what: str) -> None:
    with pytest.raises(Fault, match=wrong.name) as found:
        fired_of(_use(wrong), "onnx", 10, 60)
    assert what in str(found.value)


def test_a_rule_that_never_fires_is_found() -> None:
    with pytest.raises(Fault, match=r"never fired .* say in HINTS"):
        require_fired(_use(never), 1, 40)


@rule
def clamp_below(op: ClampOp, x: ReshapeOp, rw: Rewrite) -> SSAValue | None:
    """clamp(reshape(x)) = reshape(clamp(x))."""
    if not x.result.has_one_use():
        return None
    element = element_of(op.result)
    made = rw.emit(ClampOp, [x.x], [element], minimum=op.minimum, maximum=op.maximum)
    return rw.emit(ReshapeOp, [made], [element], shape=x.shape)


@rule
def clamp_above(op: ReshapeOp, x: ClampOp, rw: Rewrite) -> SSAValue | None:
    """reshape(clamp(x)) = clamp(reshape(x)), which undoes the other."""
    if not x.result.has_one_use():
        return None
    element = element_of(op.result)
    made = rw.emit(ReshapeOp, [x.x], [element], shape=op.shape)
    return rw.emit(ClampOp, [made], [element], minimum=x.minimum, maximum=x.maximum)


def test_two_rules_that_undo_each_other_are_found() -> None:
    assert fired_of(_use(clamp_below), "onnx", 3, 60) == 3
    assert fired_of(_use(clamp_above), "onnx", 3, 60) == 3
    drawn = drawn_module(wanted_of(clamp_below), "onnx", "both")

    def both(module: object) -> int:
        RewriteDriver([clamp_below, clamp_above], limit=limit(drawn.module)).run(drawn.module)
        return 1

    with pytest.raises(Fault, match=r"'clamp_(above|below)' and 'clamp_"):
        judge(drawn, both, "both")


def test_the_rule_of_the_example_is_right() -> None:
    """It lost a rounding of transposes that requantise."""
    _, what = _loaded(ROOT / "examples" / "custom_pass" / "drop_double_transpose.py")
    require_fired(_use(what.rules[0], what), 80, 200)


def _loaded(path: Path) -> tuple[str, RewritePass]:
    """The pass that a file declares, which other tests do not see."""
    spec = importlib.util.spec_from_file_location(f"generated_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    known = dict(PASSES)
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        (name,) = PASSES.keys() - known.keys()
        what = PASSES[name]()
        assert isinstance(what, RewritePass)
        return name, what
    finally:
        PASSES.clear()
        PASSES.update(known)


WRONG = sorted((ROOT / "examples" / "wrong_passes").glob("*.py"))

WRONG_HINTS: Mapping[str, Sequence[Hint]] = {
    "wide_summand": (Hint(kind="i32"),),
    "lookup_of_distance": (Hint({"x.x": (SubOp,)}, {"x": {"output_zp": 127}}),),
}


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_the_wrong_passes_of_the_examples_are_found(path: Path) -> None:
    """Without any network: a wrong rule shows on what is drawn of its pattern."""
    name, what = _loaded(path)
    (wrong,) = what.rules[:1]
    with pytest.raises(Fault, match=name):
        fired_of(_use(wrong, what), "onnx", 200, 200, WRONG_HINTS)


def test_rules_on_single_elements_see_all_8_bit_values() -> None:
    """Those are found by what they match; each place of an argument has each value."""
    seen: set[str] = set()
    for use in all_rules():
        for drawn in draws_of(use, use.sources[0], 12):
            if use.rule.name in seen or not drawn.whole:
                break
            for array in feeds_of(drawn, drawn.module, 1)[0].values():
                if array.dtype.itemsize == 1 and array.shape[:1] == (256,):
                    places = array.reshape(256, -1)
                    assert (np.diff(np.sort(places, 0).astype(int), axis=0) == 1).all()
                    seen.add(use.rule.name)
    assert seen >= {
        *("clamp_of_clamp", "clamp_of_rescale", "function_of_one_byte", "chain"),
        *("clip_that_does_not_bind", "quantize_of_clip", "quantize_of_expression"),
        *("quantize_of_dequantize", "cast_of_cast", "quantize_of_affine", "quantize_of_extremum"),
    }
