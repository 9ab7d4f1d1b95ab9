"""`furiosa diff`: two compiles side by side, in values, time, memory and placement.

A side is a program, a network or IR text. What can be compiled is compiled; of what can be
interpreted each layer's values are compared, of programs the tensors between segments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.backends import read_program
from furiosa_ir.comparison import as_stored, differences
from furiosa_ir.debugging.bisect import History
from furiosa_ir.debugging.execution import Memory, run
from furiosa_ir.debugging.inputs import (
    DEFAULT_COUNT,
    DebuggingInput,
    NumberedInput,
    debugging_inputs,
    inputs_of,
)
from furiosa_ir.debugging.program_inputs import inputs_of_program
from furiosa_ir.debugging.tensors import tensors_of_module, tensors_of_program
from furiosa_ir.driver import compile_source
from furiosa_ir.errors import FuriosaError
from furiosa_ir.formats import Format, head_of, recognise
from furiosa_ir.importers import load
from furiosa_ir.ir.pipeline_text import parse_elements
from furiosa_ir.ir.value_tracking import tracking
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.numerics.array import Array
from furiosa_ir.pipeline_request import PipelineRequest
from furiosa_ir.plugin_source import Plugin
from furiosa_ir.program import Program
from furiosa_ir.reports.inspect import inspection
from furiosa_ir.reports.profiling import profile_program
from furiosa_ir.verification.commands import has_commands

FIGURES = {
    "cycles": "count",
    "npu_latency_us": "latency",
    "host_latency_us": "latency",
    "link_latency_us": "latency",
    "setup_latency_us": "latency",
    "total_latency_us": "latency",
    "sram_peak_bytes": "bytes",
    "dram_bytes": "bytes",
    "weight_bytes": "bytes",
    "macs": "count",
    "npu_mac_share": "share",
}
"""Of a program's summary, and what each is counted in (`reports.units`)."""


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        name: what people call it.
        program: what it becomes; None where it cannot.
        module: the last module of it that can be interpreted; None of a program's file.
        why: why there is no program.
    """

    name: str
    program: Program | None
    module: ModuleOp | None
    why: str = ""


@dataclass
class TensorError:
    """How far one tensor of the two sides is apart, over all inputs.

    Attributes:
        name: a layer's, a tensor's or an output's.
        is_output: whether it leaves the network.
        greatest: of the absolute differences.
        total: of these.
        differing: elements that differ.
        elements: all.
        note: why they cannot be compared.
    """

    name: str
    is_output: bool
    greatest: float = 0.0
    total: float = 0.0
    differing: int = 0
    elements: int = 0
    note: str = ""

    def add(self, one: Array, other: Array) -> None:
        """Compares the two sides on one more input."""
        if one.shape != other.shape or one.dtype.kind not in "biuf":
            self.note = f"{one.dtype}{list(one.shape)} and {other.dtype}{list(other.shape)}"
            return
        self.elements += one.size
        wrong = differences(one, other)
        if wrong is None:
            return
        self.differing += int(wrong.sum())
        with np.errstate(invalid="ignore"):
            apart = np.abs(as_stored(one).astype(np.float64) - as_stored(other).astype(np.float64))
        self.greatest = max(self.greatest, float(np.nanmax(apart)))
        self.total += float(np.nansum(apart))

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "output": self.is_output,
            "max_error": self.greatest,
            "mean_error": self.total / self.elements if self.elements else 0.0,
            "differing": self.differing,
            "elements": self.elements,
            "note": self.note,
        }


@dataclass(frozen=True)
class Difference:
    """What two sides differ in.

    Attributes:
        sides: their names.
        notes: why a side has no program.
        inputs: how many were run.
        tensors: in order of execution, outputs last.
        alone: how many layers, or tensors between segments, only one side has.
        figures: name -> of both sides; None where it is not known.
        placement: layer -> where it runs on each side, where that differs.
        durations: layer -> cycles on each side, where they differ.
        compilers: that made the programs; None where there is none.
        passes: that ran on one side alone, of each.
    """

    sides: tuple[str, str]
    notes: tuple[str, ...]
    inputs: int
    tensors: tuple[TensorError, ...]
    alone: tuple[int, int]
    figures: dict[str, tuple[Any, Any]]
    placement: dict[str, tuple[str, str]]
    durations: dict[str, tuple[int | None, int | None]]
    compilers: tuple[str | None, str | None]
    passes: tuple[tuple[str, ...], tuple[str, ...]]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "a": self.sides[0],
            "b": self.sides[1],
            "notes": list(self.notes),
            "compilers": {"a": self.compilers[0], "b": self.compilers[1]},
            "passes_alone": {"a": list(self.passes[0]), "b": list(self.passes[1])},
            "inputs": self.inputs,
            "tensors": [tensor.as_json() for tensor in self.tensors],
            "tensors_alone": {"a": self.alone[0], "b": self.alone[1]},
            "figures": {name: {"a": a, "b": b} for name, (a, b) in self.figures.items()},
            "placement": {name: {"a": a, "b": b} for name, (a, b) in self.placement.items()},
            "duration_cycles": {name: {"a": a, "b": b} for name, (a, b) in self.durations.items()},
        }


def side_of(
    file: Path,
    *,
    name: str = "",
    passes: PipelineRequest | None = None,
    target: str | None = None,
    batch_size: int | None = None,
    part: Part = WHOLE,
    plugins: Sequence[Plugin] = (),
) -> Side:
    """A side, compiled where it can be.

    Args:
        file: a program, a network or IR text.
        name: what to call it; default: the file.
        passes: as of `driver.compile_source`.
        target: as of `driver.compile_source`.
        batch_size: as of `driver.compile_source`.
        part: as of `driver.compile_source`.
        plugins: as of `driver.compile_source`.

    Raises:
        FuriosaError: it cannot be read.
    """
    name = name or str(file)
    if recognise(head_of(file), plugins) is Format.PROGRAM:
        return Side(name, read_program(file), None)
    history = History()
    program, why = None, ""
    with tracking(history.tracker):
        try:
            program = compile_source(
                file,
                passes=passes,
                target=target,
                batch_size=batch_size,
                part=part,
                plugins=plugins,
                instrumentation=[history],
            ).program
        except FuriosaError as error:
            if passes is not None and (passes.text is not None or passes.edits):
                raise
            why = error.message
    if program is None:  # what a pass has left in the middle of a compile need not be sound
        return Side(name, None, load(file, batch_size, part), why)
    modules = [moment.state.module for moment in history.moments]
    runnable = [module for module in modules if not has_commands(module)]
    return Side(name, program, runnable[-1] if runnable else None, why)


def compare(one: Side, other: Side, count: int = DEFAULT_COUNT) -> Difference:
    """What two sides differ in.

    Args:
        one, other: they; both take the same inputs.
        count: how many inputs to run.

    Raises:
        FuriosaError: they take other inputs, or one cannot be run.
    """
    entries = _inputs(one)
    theirs = _inputs(other)
    if [(i.name, i.shape, i.dtype) for i in entries] != [
        (i.name, i.shape, i.dtype) for i in theirs
    ]:
        mine, others = (
            ", ".join(f"{i.name} {i.dtype}{list(i.shape)}" for i in each)
            for each in (entries, theirs)
        )
        raise FuriosaError(f"the two take other inputs: {mine} and {others}")
    drawn = debugging_inputs(entries, count)
    tensors, alone = _tensors(one, other, drawn)
    rows = [_inspected(side) for side in (one, other)]
    layers = [{row["name"]: row for row in each.get("layers", ())} for each in rows]
    shared = [name for name in layers[0] if name in layers[1]]
    where = {n: (layers[0][n]["placement"], layers[1][n]["placement"]) for n in shared}
    time = {n: tuple(rows[n]["duration_cycles"] for rows in layers) for n in shared}
    summaries = [each.get("summary", {}) for each in rows]
    return Difference(
        (one.name, other.name),
        tuple(f"{s.name}: no program: {s.why}" for s in (one, other) if s.why),
        len(drawn),
        tuple(tensors),
        alone,
        {name: (summaries[0].get(name), summaries[1].get(name)) for name in FIGURES},
        {name: pair for name, pair in where.items() if pair[0] != pair[1]},
        {name: (a, b) for name, (a, b) in time.items() if a != b},
        (_compiler(one), _compiler(other)),
        (_passes_alone(one, other), _passes_alone(other, one)),
    )


def _compiler(side: Side) -> str | None:
    return None if side.program is None else side.program.compiler or None


def _passes_alone(side: Side, other: Side) -> tuple[str, ...]:
    """The passes that made a side's program, and not the other's."""
    if side.program is None or other.program is None:
        return ()
    mine, theirs = (
        [element.text for element in parse_elements(each.program.pipeline)]
        for each in (side, other)
        if each.program is not None
    )
    return tuple(what for what in mine if what not in theirs)


def _inputs(side: Side) -> list[DebuggingInput]:
    if side.module is not None:
        return inputs_of(side.module)
    assert side.program is not None
    return inputs_of_program(side.program)


def _inspected(side: Side) -> dict[str, Any]:
    return {} if side.program is None else inspection(profile_program(side.program))


def _tensors(
    one: Side, other: Side, inputs: Sequence[NumberedInput]
) -> tuple[list[TensorError], tuple[int, int]]:
    found: dict[tuple[str, bool], TensorError] = {}
    alone = 0, 0
    by_layer = one.module is not None and other.module is not None
    memory = Memory()
    for on in inputs:
        sides = [_run(side, on, memory, by_layer=by_layer) for side in (one, other)]
        (layers, outputs), (other_layers, other_outputs) = sides
        shared = [n for n in layers if n in other_layers]
        alone = len(layers) - len(shared), len(other_layers) - len(shared)
        for name in shared:
            error = found.setdefault((name, False), TensorError(name, is_output=False))
            error.add(layers[name], other_layers[name])
        for name, mine, their in _paired(outputs, other_outputs):
            error = found.setdefault((name, True), TensorError(name, is_output=True))
            if mine is None or their is None:
                error.note = f"only {'A' if their is None else 'B'} has it"
            else:
                error.add(mine, their)
    return sorted(found.values(), key=lambda e: e.is_output), alone


def _paired(
    mine: Mapping[str, Array], theirs: Mapping[str, Array]
) -> Iterator[tuple[str, Array | None, Array | None]]:
    """(name, of A, of B) of each output: those of one name, and of the others those of one place.

    A pipeline may call an output otherwise, and a file may have them in another order.
    """
    others = [name for name in theirs if name not in mine]
    renamed = dict(zip((name for name in mine if name not in theirs), others, strict=False))
    for name, array in mine.items():
        yield name, array, theirs.get(renamed.get(name, name))
    for name in others[len(renamed) :]:
        yield name, None, theirs[name]


def _run(
    side: Side, on: NumberedInput, memory: Memory, *, by_layer: bool
) -> tuple[dict[str, Array], dict[str, Array]]:
    """What is between, by layer or tensor, and the outputs: the program's, if there is one."""
    if by_layer:
        assert side.module is not None
        between = tensors_of_module(side.module, on.feeds, memory=memory)
        if side.program is None:
            return between, run(side.module, on.feeds, memory=memory)
    else:
        between = {}
    if side.program is None:
        assert side.module is not None
        return between, run(side.module, on.feeds, memory=memory)
    tensors = tensors_of_program(side.program, list(on.feeds.values()))
    outputs = {tensor.name: tensors[tensor.name] for tensor in side.program.output_tensors}
    ends = {side.program.tensors[i].name for i in (*side.program.inputs, *side.program.outputs)}
    if not by_layer:
        between = {n: a for n, a in tensors.items() if n not in ends and n not in outputs}
    return between, outputs
