"""`--statistics`: operations before and after each pass, and how often each rule fired."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Instrumentation, Phase
from furiosa_ir.ir.rewrite_watch import Application


@dataclass
class RuleCount:
    """What a rule did within a pass.

    Attributes:
        tried: how often it looked at an operation that it matches.
        fired: how often it applied.
        made: operations that it made.
    """

    tried: int = 0
    fired: int = 0
    made: int = 0


@dataclass
class PassStatistics:
    """What a pass did.

    Attributes:
        phase: the phase it ran in.
        name: the pass, with its options.
        before: operations in the module before it, by name.
        after: those behind it.
        rules: by name, in order of their first attempt.
    """

    phase: str
    name: str
    before: dict[str, int]
    after: dict[str, int] = field(default_factory=dict[str, int])
    rules: dict[str, RuleCount] = field(default_factory=dict[str, RuleCount])

    @property
    def fired(self) -> int:
        """How often its rules fired."""
        return sum(count.fired for count in self.rules.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "phase": self.phase,
            "pass": self.name,
            "operations": {"before": sum(self.before.values()), "after": sum(self.after.values())},
            "by_name": {"before": self.before, "after": self.after},
            "rules": {
                name: {"tried": c.tried, "fired": c.fired, "made": c.made}
                for name, c in self.rules.items()
            },
        }


@dataclass
class Statistics(Instrumentation):
    """Counts.

    Attributes:
        passes: in order; one that failed has nothing `after` it.
    """

    passes: list[PassStatistics] = field(default_factory=list[PassStatistics])
    _phase: str = ""

    @override
    def before_phase(self, phase: Phase, module: ModuleOp) -> None:
        self._phase = phase.name

    @override
    def before_pass(self, what: Pass, module: ModuleOp) -> None:
        # Nothing changes between passes of a compile, but a tool may run one on another module.
        self.passes.append(PassStatistics(self._phase, str(what.spec()), _operations(module)))

    @override
    def after_pass(self, what: Pass, module: ModuleOp, seconds: float) -> None:
        self.passes[-1].after = _operations(module)

    @override
    def before_rule(self, rule: str, root: Operation) -> None:
        self.passes[-1].rules.setdefault(rule, RuleCount()).tried += 1

    @override
    def after_rule(self, rule: str, application: Application | None) -> None:
        if application is not None:
            count = self.passes[-1].rules[rule]
            count.fired += 1
            count.made += len(application.made)

    def lines(self) -> Iterator[str]:
        """A table: each pass, below it each of its rules that was tried."""
        yield f"{'before':>7} {'after':>7} {'fired':>6} {'tried':>6}  pass, rule"
        for each in self.passes:
            before, after = sum(each.before.values()), sum(each.after.values())
            fired = str(each.fired) if each.rules else ""
            tried = str(sum(c.tried for c in each.rules.values())) if each.rules else ""
            yield f"{before:7} {after:7} {fired:>6} {tried:>6}  {each.name}"
            for name, count in each.rules.items():
                yield f"{'':15} {count.fired:6} {count.tried:6}    {name}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"passes": [each.as_dict() for each in self.passes]}


def _operations(module: ModuleOp) -> dict[str, int]:
    counts: dict[str, int] = {}
    for op in module.walk():
        counts[op.name] = counts.get(op.name, 0) + 1
    return dict(sorted(counts.items()))
