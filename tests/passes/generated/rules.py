"""The rules there are, where each holds, and what it may do to a program's size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import ModuleOp, StringAttr

from furiosa_ir.ir.passes import Pass, RewritePass, all_passes
from furiosa_ir.ir.rewriting import RewriteDriver
from furiosa_ir.ir.rules import Rule
from furiosa_ir.plugins import is_ours
from tests.passes.generated.judge import Fault, NotRunnable, Verdict, judge, limit
from tests.passes.generated.modules import Drawn, drawn_module
from tests.passes.generated.pattern import HINTS, Hint, wanted_of

SOURCES = ("onnx", "tflite")


OPTIONS: Mapping[str, Mapping[str, Any]] = {"graph-hoist-row-functions": {"least_part": 1}}
"""Pass -> options under which small modules are worth it."""


@dataclass(frozen=True)
class RuleUse:
    """A rule as a pass applies it.

    Attributes:
        rule: the rule.
        what: the pass, which holds the options.
        sources: the formats of whose networks it holds.
    """

    rule: Rule
    what: RewritePass
    sources: tuple[str, ...]

    @property
    def name(self) -> str:
        """For messages: "graph-fold-clips: clip_of_clip"."""
        return f"{self.what.name}: {self.rule.name}"


def rewrite_passes() -> list[RewritePass]:
    """The passes of rules that the project has."""
    found: list[Pass] = [
        c(**OPTIONS.get(c.name, {})) for c in all_passes().values() if c.rule_list() and is_ours(c)
    ]
    return [p for p in found if isinstance(p, RewritePass)]


def uses_of(what: RewritePass) -> list[RuleUse]:
    """A pass's rules, each with the formats that it holds for."""
    sources: dict[str, list[str]] = {}
    rules: dict[str, Rule] = {}
    for source in SOURCES:
        module = ModuleOp([], {"graph.source": StringAttr(source)})
        for rule in what.rules_for(module):
            rules[rule.name] = rule
            sources.setdefault(rule.name, []).append(source)
    return [RuleUse(rule, what, tuple(sources[name])) for name, rule in rules.items()]


def all_rules() -> list[RuleUse]:
    """Every rule once, by the first pass that has it."""
    found: dict[int, RuleUse] = {}
    for what in rewrite_passes():
        for use in uses_of(what):
            found.setdefault(id(use.rule), use)
    return list(found.values())


@dataclass(frozen=True)
class Growth:
    """How many operations a rule may add each time that it is applied.

    Attributes:
        operations: how many; of generated modules, whose variadic operands and results are few.
        reason: why that ends.
    """

    operations: int
    reason: str


_SHARED = "where something else reads what the rule moves behind, that stays for it"
_EACH = "one for each of two or three operands, or results"

_QUANTIZED = "a quantisation for each operand, in front of what makes it: no rule brings it back"
_OPERANDS = "what stands for nothing in other operands, constants above all, which are folded then"

GROWTH: Mapping[str, Growth] = {
    "add_of_mat_mul": Growth(2, "reshapes to a matrix and back, of which the sum has none again"),
    "affine_of_transpose": Growth(1, _SHARED),
    "cast_of_move": Growth(2, _EACH),
    "concat_of_cast": Growth(1, _SHARED),
    "concat_of_dequantize": Growth(1, _SHARED),
    "concat_of_transposes": Growth(3, _OPERANDS),
    "function_of_concat": Growth(2, _EACH),
    "function_of_move": Growth(1, _SHARED),
    "function_of_movement": Growth(1, "what is moved may be a result as well, made from the same"),
    "function_of_reshapes": Growth(1, _SHARED),
    "function_of_transposes": Growth(5, _OPERANDS),
    "move_of_cast": Growth(2, _EACH),
    "pad_of_transpose": Growth(1, _SHARED),
    "rows_of_concat": Growth(2, _EACH),
    "rows_of_filters": Growth(44, "a convolution and its softmax for each of 8 rows at most"),
    "product_of_flattened": Growth(2, "a transpose, and a reshape, of which a window has none"),
    "quantize_of_concat": Growth(2, _QUANTIZED),
    "quantize_of_extremum": Growth(1, _QUANTIZED),
    "quantize_of_select": Growth(1, _SHARED),
    "quantize_of_split": Growth(2, _SHARED),
    "quantize_of_where": Growth(1, _QUANTIZED),
    "select_of_dequantize": Growth(1, _SHARED),
    "split_of_dequantize": Growth(2, _EACH),
    "window_of_strided_slice": Growth(1, "a slice of what the windows begin and end with"),
    "transpose_of_channels": Growth(1, _SHARED),
}
"""Rules that may add operations, by the most that one application adds; no other may add any."""


def draws_of(
    use: RuleUse, source: str, count: int, hints: Mapping[str, Sequence[Hint]] = HINTS
) -> Iterator[Drawn]:
    """Modules that a rule may apply to, hints taking turns."""
    for number in range(count):
        wanted = wanted_of(use.rule, number, hints)
        yield drawn_module(wanted, source, f"{use.rule.name} {number}")


def judge_rule(use: RuleUse, drawn: Drawn) -> Verdict | None:
    """Applies a rule alone, until it fits nowhere, and looks at what it has done.

    Returns:
        None where the module has no meaning to compare.

    Raises:
        Fault: the rule changes a value, does not end, or lets the program grow.
    """

    def rewrite(module: ModuleOp) -> int:
        driver = RewriteDriver([use.rule], use.what, limit=limit(module))
        driver.run(module)
        return sum(driver.applied.values())

    try:
        verdict = judge(drawn, rewrite, use.name)
    except NotRunnable:
        return None
    known = GROWTH.get(use.rule.name)
    most = 0 if known is None else known.operations
    if verdict.after - verdict.before > most * verdict.applied:
        raise Fault(
            f"{use.name}: {verdict.before} operations become {verdict.after} by "
            f"{verdict.applied} applications (drawn with '{drawn.seed}')"
        )
    return verdict


def fired_of(
    use: RuleUse,
    source: str,
    enough: int,
    most: int,
    hints: Mapping[str, Sequence[Hint]] = HINTS,
) -> int:
    """How often a rule fired, and was right, within so many draws; `enough` ends it.

    Raises:
        Fault: as `judge_rule`.
    """
    fired = 0
    for drawn in draws_of(use, source, most, hints):
        verdict = judge_rule(use, drawn)
        fired += verdict is not None and verdict.applied > 0
        if fired == enough:
            break
    return fired


def require_fired(use: RuleUse, enough: int, most: int) -> None:
    """Checks that a rule fires, and is right, in draws for each format that it holds for.

    Raises:
        Fault: as `judge_rule`, or it never fired.
    """
    if not sum(fired_of(use, source, enough, most) for source in use.sources):
        raise Fault(
            f"{use.name} never fired in {most} draws of {use.rule.pattern}: say in HINTS "
            "(tests/passes/generated/pattern.py) what it asks for beyond that"
        )
