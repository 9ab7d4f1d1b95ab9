"""When a program does what on its machine, and where its data lies: what reports show of it.

A backend whose model knows such things says them in these terms (`Backend.execution`); nothing here
is of one machine. Times are cycles from the program's first command on, host segments take none;
numbers of layers, segments and tensors are indices into the program.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Engine:
    """Something that works through its commands in order.

    Attributes:
        name: what events call it.
        title: what people call it.
        units: what works inside of it at the same time, in order: name -> title.
        depth: how many of its commands may have begun without having ended; 0: any number.
    """

    name: str
    title: str
    units: dict[str, str] = field(default_factory=dict[str, str])
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Bound:
    """Something that can decide how long a command takes.

    Attributes:
        title: after "bound by": "loading weights".
        advice: what would help, as a sentence's second half; "" if nothing general can be said.
        batch_helps: whether a batch of more samples has the work done once for all of them.
    """

    title: str
    advice: str = ""
    batch_helps: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """One command on its engine.

    Attributes:
        segment: the device segment.
        command: its number there, as the disassembly has it.
        kind: what it does, in a word: "load", "dot".
        engine: the engine's name.
        layer: for which layer.
        start: when it begins.
        free: when its engine takes the next command; between start and end.
        end: when what it makes is there.
        waits: indices of the events that must have ended before it starts, but for those in front
            of it on its engine.
        bound: which of `Execution.bounds` decides how long it takes.
        busy: unit -> for how many cycles of it that unit works.
        dram_read, dram_written: bytes moved from and to memory beside the chip.
        sram_read, sram_written: bytes read and written on the chip.
    """

    segment: int
    command: int
    kind: str
    engine: str
    layer: int
    start: int
    free: int
    end: int
    waits: tuple[int, ...]
    bound: str
    busy: dict[str, int]
    dram_read: int = 0
    dram_written: int = 0
    sram_read: int = 0
    sram_written: int = 0


@dataclass(frozen=True, slots=True)
class Buffer:
    """A rectangle of on-chip memory: a range of addresses, for as long as its content is needed.

    Attributes:
        what: its content, in a word: "weights", "input", "result".
        layer: the layer that brings or makes it.
        address, size: in bytes, within what `Execution.memory_bytes` counts.
        start: when its first byte is written.
        end: when its last byte has been read (or written, if nothing reads it).
    """

    what: str
    layer: int
    address: int
    size: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Execution:
    """How a program runs.

    Attributes:
        clock_hz: cycles a second.
        engines: in the order in which they are shown.
        events: in order of issue, segment by segment.
        bounds: what can decide how long a command takes, by the name that events call it by.
        buffers: what lies in on-chip memory, in order of `start`.
        memory_bytes: the on-chip memory that addresses of buffers are of (of one slice, where all
            slices hold the same).
        memory_title: what people call that memory.
        memory_bound: what of it is needed at once, so that no addresses take less; 0: not known.
        flow: from which layer's results which layer's work is made: (layer, layer).
        takes: (tensor, layer): a device segment's layer reads one of the program's tensors.
        makes: (layer, tensor): it makes one.
        macs_per_cycle: what the machine does at most; 0: not known.
        dram_bytes_per_cycle: what memory beside the chip gives at most; 0: not known.
        link_title: what people call the link.
    """

    clock_hz: int
    engines: tuple[Engine, ...]
    events: tuple[Event, ...]
    bounds: dict[str, Bound]
    buffers: tuple[Buffer, ...] = ()
    memory_bytes: int = 0
    memory_title: str = ""
    memory_bound: int = 0
    flow: tuple[tuple[int, int], ...] = ()
    takes: tuple[tuple[int, int], ...] = ()
    makes: tuple[tuple[int, int], ...] = ()
    macs_per_cycle: int = 0
    dram_bytes_per_cycle: int = 0
    link_title: str = ""
