"""The time that rules take within their passes."""

from __future__ import annotations

from dataclasses import dataclass, field

from typing_extensions import override
from xdsl.ir import Operation

from furiosa_ir.instrumentation.timing import Timing
from furiosa_ir.ir.pipeline import Instrumentation
from furiosa_ir.ir.rewrite_watch import Application


@dataclass
class RuleTiming(Instrumentation):
    """Gives each rule that is tried a span.

    Attributes:
        timing: what records them.
    """

    timing: Timing
    _marks: list[int] = field(default_factory=list[int])

    @override
    def before_rule(self, rule: str, root: Operation) -> None:
        self._marks.append(self.timing.begin(f"rule {rule}", memory=False))

    @override
    def after_rule(self, rule: str, application: Application | None) -> None:
        self.timing.end(self._marks.pop())
