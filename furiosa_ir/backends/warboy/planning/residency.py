"""What lies in SRAM when: a sweep over the kernels that keeps buffers resident while they fit.

A kernel's operands and result lie whole in SRAM if there is room: its parameters then come in
blocks of channels. If there is none, buffers that the kernel does not need make way, the one whose
next use is furthest first (it is stored, if DRAM has not got it). What still does not fit stays in
DRAM and passes through SRAM by tiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.storage import Storage
from furiosa_ir.backends.warboy.planning.tiles import Cut, Task, make_cut, tile_candidates
from furiosa_ir.dialects.warboy.plan import CopyPlan, KernelPlan, Port, Residence
from furiosa_ir.errors import CompilationFailure

NEVER = 1 << 30
"""The next use of a buffer that is not used again."""

MAX_CHANNEL_BLOCKS = 8
"""Blocks of parameters that a kernel may take before other buffers make way for it."""


@dataclass(frozen=True, slots=True)
class Program:
    """The planner's input: tasks and copies in order, and the buffers they use.

    Attributes:
        tasks: kernel number -> task.
        copies: kernel number -> copy in DRAM.
        storages: all buffers.
        slice_bytes: bytes of every slice that each buffer takes in its layout.
    """

    tasks: dict[int, Task]
    copies: dict[int, CopyPlan]
    storages: Sequence[Storage]
    slice_bytes: Sequence[int]


@dataclass(frozen=True, slots=True)
class Residency:
    """The planner's result."""

    plans: dict[int, KernelPlan]
    residences: tuple[Residence, ...]


class _Retry(Exception):  # noqa: N818 - no error: the sweep begins anew
    """A buffer that is written in parts has to stay in DRAM from the start."""

    def __init__(self, buffer: int) -> None:
        super().__init__()
        self.buffer = buffer


@dataclass
class _Stay:
    first: int
    filled: bool


@dataclass
class _Sweep:
    program: Program
    machine: Machine
    capacity: int
    in_dram: frozenset[int]
    resident: dict[int, _Stay] = field(default_factory=dict[int, _Stay])
    valid: set[int] = field(default_factory=set[int])
    """Buffers whose home holds their elements."""
    residences: list[Residence] = field(default_factory=list[Residence])
    used: dict[int, int] = field(default_factory=dict[int, int])
    plans: dict[int, KernelPlan] = field(default_factory=dict[int, KernelPlan])


def plan_residency(program: Program, machine: Machine, capacity: int) -> Residency:
    """Decides residences and tiles.

    Args:
        program: kernels and buffers.
        machine: the target.
        capacity: bytes of every slice to plan with (less than there are, if addresses turned out
            not to fit).

    Raises:
        CompilationFailure: a kernel does not fit even in the smallest steps.
    """
    in_dram: frozenset[int] = frozenset()
    while True:
        sweep = _Sweep(program, machine, capacity, in_dram)
        try:
            return _run(sweep)
        except _Retry as retry:
            in_dram |= {retry.buffer}


def _run(sweep: _Sweep) -> Residency:
    program = sweep.program
    sweep.valid = {b for b, s in enumerate(program.storages) if not s.made}
    previous = -1
    for k in sorted({*program.tasks, *program.copies}):
        if k in program.copies:
            continue
        task = program.tasks[k]
        _release(sweep, k)
        _place(sweep, task, previous)
        previous = k
    _release(sweep, NEVER)
    return Residency(sweep.plans, tuple(sweep.residences))


def _last_use(storage: Storage) -> int:
    return max((*storage.readers, *storage.writers), default=-1)


def _next_use(storage: Storage, after: int) -> int:
    return min((k for k in (*storage.readers, *storage.writers) if k >= after), default=NEVER)


def _release(sweep: _Sweep, k: int) -> None:
    """Ends the residences of buffers that nothing reads any more."""
    for buffer in [b for b in sweep.resident if _last_use(sweep.program.storages[b]) < k]:
        _end(sweep, buffer, k, spilled=False)


def _end(sweep: _Sweep, buffer: int, k: int, *, spilled: bool) -> None:
    stay = sweep.resident.pop(buffer)
    storage = sweep.program.storages[buffer]
    last = max(u for u in (stay.first, *storage.readers, *storage.writers) if u < k)
    sweep.residences.append(Residence(buffer, stay.first, last, stay.filled, spilled))


def _place(sweep: _Sweep, task: Task, previous: int) -> None:
    """Finds a way to carry out the kernel, and takes it."""
    program, k = sweep.program, task.number
    involved = task.reads | {task.result.buffer}
    evictable = [b for b in sweep.resident if k > max(program.storages[b].writers, default=-1)]
    # Furthest next use first; what the kernel itself reads comes last of all.
    evictable.sort(key=lambda b: (b in involved, -_next_use(program.storages[b], k)))
    for evicted, fill, result_stays, cut in _ways(sweep, task, evictable):
        for buffer in evicted:
            used_again = _next_use(program.storages[buffer], k) < NEVER
            store = used_again and buffer not in sweep.valid
            _end(sweep, buffer, k, spilled=store)
            sweep.valid.add(buffer)
        for buffer in fill:
            sweep.resident[buffer] = _Stay(k, filled=True)
        if result_stays and task.result.buffer not in sweep.resident:
            sweep.resident[task.result.buffer] = _Stay(k, filled=False)
        _commit(sweep, task, cut, previous)
        return
    partial = [b for b in sweep.resident if b not in evictable and b not in sweep.in_dram]
    if partial:
        raise _Retry(max(partial, key=lambda b: program.slice_bytes[b]))
    raise CompilationFailure(
        f"it does not fit into the {sweep.capacity} bytes of a slice even in its smallest steps",
        layer=task.layer or None,
    )


def _ways(
    sweep: _Sweep, task: Task, evictable: Sequence[int]
) -> Iterator[tuple[Sequence[int], frozenset[int], bool, Cut]]:
    """(evicted, filled, result stays, cut), the cheapest first, each fitting."""
    program, result = sweep.program, task.result.buffer
    outside = [b for b in evictable if b not in task.reads and b != result]
    whole_result = _may_stay(sweep, task)
    tiles = list(tile_candidates(task.geometry))
    blocks = [t for t in tiles if t[:3] == task.geometry.result[:3]][:MAX_CHANNEL_BLOCKS.bit_length()]
    if whole_result:
        for count in range(len(outside) + 1):
            fill = _fillable(sweep, task, frozenset(outside[:count]))
            if fill is None:
                break
            for tile in blocks:
                cut = _try(sweep, task, outside[:count], fill, True, tile, 2)
                if cut is not None:
                    yield outside[:count], fill, True, cut
    for slots in (2, 1):
        for count in range(len(evictable) + 1):
            evicted = evictable[:count]
            gone = frozenset(evicted)
            fill = _fillable(sweep, task, gone & task.reads) or frozenset[int]()
            choices = [(fill, False), (frozenset[int](), whole_result), (frozenset[int](), False)]
            if result in gone:
                choices = [(f, False) for f, _ in choices]
            for chosen, stays in dict.fromkeys(choices):
                for tile in tiles:
                    cut = _try(sweep, task, evicted, chosen, stays, tile, slots)
                    if cut is not None:
                        yield evicted, chosen, stays, cut
    del program


def _may_stay(sweep: _Sweep, task: Task) -> bool:
    """Whether the result's buffer may lie in SRAM: it does already, or this is its first part."""
    buffer = task.result.buffer
    if buffer in sweep.resident:
        return True
    first = min(sweep.program.storages[buffer].writers)
    return first == task.number and buffer not in sweep.in_dram


def _fillable(sweep: _Sweep, task: Task, gone: frozenset[int]) -> frozenset[int] | None:
    """The operands that would have to be loaded whole; None if one is still incomplete."""
    missing = frozenset(b for b in task.reads if b not in sweep.resident or b in gone)
    for buffer in missing:
        writers = sweep.program.storages[buffer].writers
        if writers and max(writers) >= task.number:
            return None
    return missing - gone


def _try(
    sweep: _Sweep,
    task: Task,
    evicted: Sequence[int],
    fill: frozenset[int],
    stays: bool,
    tile: tuple[int, int, int, int],
    slots: int,
) -> Cut | None:
    """The cut with this tile, if everything then fits."""
    bytes_of = sweep.program.slice_bytes
    resident = (frozenset(sweep.resident) - frozenset(evicted)) | fill
    result = task.result.buffer
    if stays:
        resident |= {result}
    elif result in resident:
        return None
    base = sum(bytes_of[b] for b in resident)
    if base > sweep.capacity:
        return None
    cut = make_cut(task, tile, resident, sweep.machine, slots=slots)
    return cut if base + cut.parameter_bytes + cut.stage_bytes <= sweep.capacity else None


def _commit(sweep: _Sweep, task: Task, cut: Cut, previous: int) -> None:
    k, program = task.number, sweep.program
    *operand_stages, result_stage = cut.stages
    ports = tuple(
        None if port is None else _with_stage(port, stage)
        for port, stage in zip(task.operands, operand_stages, strict=True)
    )
    result = _with_stage(task.result, result_stage)
    store = result_stage is not None or program.storages[result.buffer].stored
    if store:
        sweep.valid.add(result.buffer)
    used = sum(program.slice_bytes[b] for b in sweep.resident)
    sweep.used[k] = used + cut.parameter_bytes + cut.stage_bytes
    prefetch = (
        previous == k - 1
        and previous >= 0
        and sweep.used[previous] + cut.parameter_bytes <= sweep.capacity
    )
    if prefetch:
        sweep.used[previous] += cut.parameter_bytes
    sweep.plans[k] = KernelPlan(ports, result, cut.tile, store, prefetch)


def _with_stage(port: Port, stage: object) -> Port:
    return Port(port.view, port.buffer, port.offset, port.extent, stage)  # pyright: ignore[reportArgumentType]
