"""A compiled program as people look at it: one record a layer, the whole, and what would help.

Tables, pages, traces and graphs show what stands here; `profiling.py` makes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from furiosa_ir.costs import Costs
from furiosa_ir.execution import Execution
from furiosa_ir.latency import Latency
from furiosa_ir.program import Program
from furiosa_ir.reports.critical_path import Step


@dataclass(frozen=True, slots=True)
class LayerProfile:
    """One layer. What is None is not known, or does not apply on the host.

    Attributes:
        name, short: the framework's name, and one that fits a column.
        operator: the framework's operator, or several that became one kernel.
        placement: "npu" or "host".
        segment: index of its segment.
        hint, reason: why it runs on the host.
        tiles: steps that compute something.
        macs: multiply-accumulates.
        utilisation: of the multipliers while the layer's steps run (0 to 1).
        start, end: cycles: its first command's start, its last one's end.
        duration: cycles in which at least one of its commands runs; those of two layers overlap.
        added: cycles that it adds to the program's time; they sum to the program's.
        share: `added` of the whole (0 to 1).
        bound: what decides how long it takes: a name of `Execution.bounds`.
        critical: cycles of the critical path that are its commands'; they too sum to the program's.
        load_cycles, operate_cycles, store_cycles: for how long its commands keep the units busy.
        weight_bytes: its parameters; None on the host, where they are the sub-model's.
        dram_read, dram_written, sram_read, sram_written: bytes moved.
        sram_used: most bytes of on-chip memory in use while it runs, its neighbours' included.
    """

    index: int
    name: str
    short: str
    operator: str
    placement: str
    segment: int
    hint: int | None
    reason: str
    macs: int
    weight_bytes: int | None
    tiles: int | None = None
    utilisation: float | None = None
    start: int | None = None
    end: int | None = None
    duration: int | None = None
    added: int | None = None
    share: float | None = None
    bound: str | None = None
    critical: int | None = None
    load_cycles: int | None = None
    operate_cycles: int | None = None
    store_cycles: int | None = None
    dram_read: int | None = None
    dram_written: int | None = None
    sram_read: int | None = None
    sram_written: int | None = None
    sram_used: int | None = None


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """On-chip memory over time.

    Attributes:
        live: (cycles, bytes in use from then on), in the units of `Execution.memory_bytes`.
        least: the most of these at one time: nothing can do with less at these times.
        used: the highest address in use.
    """

    live: tuple[tuple[int, int], ...]
    least: int
    used: int


@dataclass(frozen=True, slots=True)
class Advice:
    """What would make the program faster, or why it is not.

    Attributes:
        text: a sentence.
        layer: the layer it is about; None if it is about the whole.
    """

    text: str
    layer: int | None = None


@dataclass(frozen=True, slots=True)
class PassProfile:
    """One pass of a compile.

    Attributes:
        phase: the phase it stands in.
        name: as `furiosa-opt -p` takes it.
        seconds: how long it ran.
        before, after: operations in the module.
        text: the IR that it left; None if nobody asked for it.
    """

    phase: str
    name: str
    seconds: float | None = None
    before: int | None = None
    after: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A program.

    Attributes:
        program: it.
        title: what people call it, such as its file.
        costs: what its backend counts.
        npu_mac_share: of the multiply-accumulates, those on the NPU (0 to 1).
        layers: one record a layer, in the program's order.
        latency: of a run, by its parts.
        host_is_measured: whether the host's part was measured; otherwise the backend's model tells.
        execution: how it runs; None where its backend does not say.
        critical: the critical path.
        memory: on-chip memory over time; None where it is not known.
        utilisation: of the multipliers over the NPU's time (0 to 1); None where it is not known.
        advice: what would help most, the most first.
        passes: the compile, pass by pass.
        source_text: the IR before the first pass, if asked for.
        facts: what else is known of it, name to text, such as its accuracy.
    """

    program: Program
    title: str
    costs: Costs
    npu_mac_share: float
    layers: tuple[LayerProfile, ...]
    latency: Latency
    host_is_measured: bool
    execution: Execution | None
    critical: tuple[Step, ...]
    memory: MemoryUse | None
    utilisation: float | None
    advice: tuple[Advice, ...] = ()
    passes: tuple[PassProfile, ...] = ()
    source_text: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def clock_hz(self) -> float:
        """Cycles a second; 0 if nothing runs on the NPU."""
        if self.execution is not None:
            return self.execution.clock_hz
        microseconds = self.costs.latency.npu_latency_us
        return self.costs.cycles / microseconds * 1e6 if microseconds else 0.0

    def bound_title(self, layer: LayerProfile) -> str:
        """What people call what the layer is bound by; "" if that is not known."""
        if layer.bound is None or self.execution is None:
            return ""
        return self.execution.bounds[layer.bound].title
