"""What `--verify` keeps of a compile: the module as it was read, its last IR, what became what."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from furiosa_ir.backends.target import backend_of
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Instrumentation
from furiosa_ir.ir.segments import is_npu
from furiosa_ir.ir.value_tracking import ValueTracker, tracking
from furiosa_ir.passes.lower_to_ftensor import LowerToFTensor


@dataclass(frozen=True)
class Snapshot:
    """A module as it was at some moment.

    Attributes:
        module: a copy, with its locations.
        names: value of the copy -> the numbers of the source's values that it stands for.
    """

    module: ModuleOp
    names: dict[SSAValue, tuple[int, ...]]


@dataclass(frozen=True)
class SourceValue:
    """A value of the module as it was read.

    Attributes:
        value: in the copy of that module.
        layer: the layer that makes it.
        tensor: the tensor of the model file that it is; None if it is none.
    """

    value: SSAValue
    layer: str
    tensor: str | int | None


@dataclass
class CompileTrace(Instrumentation):
    """Watches one compile (`compile_source(..., instrumentation=[trace])` within `recording`).

    Attributes:
        source: the module as it was read.
        values: its values, by number; then those of `lowered`, from `source_count` on.
        source_count: how many are the source's.
        lowered: the module behind `lower-to-ftensor`: the first in integers; None if that pass did
            not run.
        kernels: the module in front of the backend's pass that replaces kernels by commands
            (`Verification.commands_by`), of a backend that says none: of the first of its `stages`;
            None if none did.
        final: the module as the last pass left it.
    """

    source: ModuleOp | None = None
    values: list[SourceValue] = field(default_factory=list[SourceValue])
    source_count: int = 0
    lowered: Snapshot | None = None
    kernels: Snapshot | None = None
    final: Snapshot | None = None
    _tracker: ValueTracker = field(default_factory=ValueTracker)

    @contextmanager
    def recording(self) -> Generator[CompileTrace]:
        """What is compiled within it is what the trace is of."""
        with tracking(self._tracker):
            yield self

    @override
    def before_pipeline(self, module: ModuleOp) -> None:
        mapping: dict[SSAValue, SSAValue] = {}
        self.source = copy_module(module, mapping)
        tracker = self._tracker
        tracker.names.clear()
        for op in module.walk():
            if isinstance(op, ConstantOp):
                continue
            for result in op.results:
                tracker.names[result] = (len(self.values),)
                tensor = tracker.tensors.get(result)
                self.values.append(SourceValue(mapping[result], layer_name(op), tensor))
        self.source_count = len(self.values)

    @override
    def after_pass(self, what: Pass, module: ModuleOp, seconds: float) -> None:
        if isinstance(what, LowerToFTensor) and self.lowered is None:
            mapping: dict[SSAValue, SSAValue] = {}
            self.lowered = self._snapshot(module, mapping)
            for function in module.ops:
                if isinstance(function, FuncOp) and is_npu(function):
                    self._number(function, mapping)

    def _number(self, function: FuncOp, mapping: dict[SSAValue, SSAValue]) -> None:
        """Numbers for what the lowered operations make, results of layers or not."""
        names = self._tracker.names
        for op in function.body.block.ops:
            if not op.operands:
                continue
            for result in op.results:
                names[result] = (*names.get(result, ()), len(self.values))
                self.values.append(SourceValue(mapping[result], layer_name(op), None))

    @override
    def before_pass(self, what: Pass, module: ModuleOp) -> None:
        backend = backend_of(module)
        # Behind the first stage of its own there may be what the interpreter gives no meaning.
        first = backend.stages[0] if backend.stages else None
        last = first if backend.verification is None else backend.verification().commands_by
        if what.name == last:
            self.kernels = self._snapshot(module)

    @property
    def last(self) -> Snapshot:
        """The last moment at which the module had operations or kernels, not commands."""
        snapshot = self.kernels or self.final
        assert snapshot is not None, "the compile has ended"
        return snapshot

    def finish(self, module: ModuleOp) -> None:
        """The compile has ended with this module."""
        self.final = self._snapshot(module)

    def _snapshot(
        self, module: ModuleOp, mapping: dict[SSAValue, SSAValue] | None = None
    ) -> Snapshot:
        mapping = {} if mapping is None else mapping
        copy = copy_module(module, mapping)
        known = self._tracker.names
        names = {mine: known[live] for live, mine in mapping.items() if live in known}
        return Snapshot(copy, names)


def copy_module(module: ModuleOp, mapping: dict[SSAValue, SSAValue]) -> ModuleOp:
    """A copy with the locations, which cloning drops; `mapping` becomes value -> its copy."""
    copy = module.clone(mapping)
    originals: list[Operation] = list(module.walk())
    for original, made in zip(originals, copy.walk(), strict=True):
        made.location = original.location
    return copy
