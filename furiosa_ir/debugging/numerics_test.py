"""Whether passes still change a value of a module: what `furiosa reduce --numerics` asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.debugging.finding import Finding
from furiosa_ir.debugging.numerics import Numerics, NumericsFailure
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Phase, Pipeline, run_pipeline
from furiosa_ir.verification.trace import copy_module


@dataclass(frozen=True)
class NumericsTest:
    """A module is interesting if a pass changes a value of it.

    Attributes:
        passes: they run in this order.
        wrong: which of them is to change a value; None: any.
        count: how many inputs to run.
        sort: of the change (`Change.sort`); "": an element is another.
    """

    passes: tuple[Pass, ...]
    wrong: str | None = None
    count: int = 4
    sort: str = ""

    def finding(self, module: ModuleOp, *, locates: bool = True) -> Finding | None:
        """What changes a value of a module, which stays as it is.

        Args:
            module: any.
            locates: whether to look for the application of a rule.
        """
        numerics = Numerics(self.count, locates=locates)
        pipeline = Pipeline("test", (Phase("", "", self.passes),))
        copy = copy_module(module, {})
        numerics.before_pipeline(copy)
        try:
            with numerics.recording():
                run_pipeline(make_context(), copy, pipeline, instrumentation=[numerics])
        except NumericsFailure:
            return numerics.finding
        except Exception:  # noqa: BLE001  # what the passes cannot do with is something else
            return None
        return None

    def __call__(self, modules: Sequence[ModuleOp]) -> list[bool]:
        """Which of some modules are interesting."""
        found = [self.finding(module, locates=False) for module in modules]
        return [
            f is not None and f.change.sort == self.sort and self.wrong in (None, f.what.name)
            for f in found
        ]
