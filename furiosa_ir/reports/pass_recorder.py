"""Watches a compile for its report: how long each pass took and what it left."""

from __future__ import annotations

from dataclasses import dataclass, field

from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.instrumentation.view import View
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Instrumentation, Phase
from furiosa_ir.reports.profile import PassProfile


@dataclass
class PassRecorder(Instrumentation):
    """Records passes.

    Attributes:
        with_text: whether to keep the IR that each pass left; without its history
            and large constants.
        passes: what has run, in order.
        source_text: the IR before the first pass, if texts are kept.
    """

    with_text: bool = False
    passes: list[PassProfile] = field(default_factory=list[PassProfile])
    source_text: str | None = None
    _phase: str = ""
    _operations: int = 0

    @override
    def before_phase(self, phase: Phase, module: ModuleOp) -> None:
        self._phase = phase.name

    @override
    def before_pass(self, what: Pass, module: ModuleOp) -> None:
        if not self.passes:
            self._operations = _count(module)
            self.source_text = self._text(module)

    @override
    def after_pass(self, what: Pass, module: ModuleOp, seconds: float) -> None:
        before, self._operations = self._operations, _count(module)
        record = PassProfile(
            phase=self._phase,
            name=str(what.spec()),
            seconds=seconds,
            before=before,
            after=self._operations,
            text=self._text(module),
        )
        self.passes.append(record)

    def _text(self, module: ModuleOp) -> str | None:
        return View().comparable(module, elide=True)[""] if self.with_text else None


def _count(module: ModuleOp) -> int:
    return sum(1 for _ in module.walk())
