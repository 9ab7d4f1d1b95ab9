"""The whole of `furiosa compile --verify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from furiosa_ir.backends.warboy.enf.records import HostSegment, Program
from furiosa_ir.compiler import level_of
from furiosa_ir.errors import FuriosaError
from furiosa_ir.runtime.host import is_stateful
from furiosa_ir.runtime.session import Session
from furiosa_ir.verification.commands import check_same_commands, has_commands, program_of
from furiosa_ir.verification.comparison import Coverage
from furiosa_ir.verification.end_to_end import (
    LEAST_EXACT_SHARE,
    Agreement,
    agreement,
    worst,
)
from furiosa_ir.verification.inputs import drawn_inputs, given_inputs, network_inputs
from furiosa_ir.verification.levels import LevelCheck
from furiosa_ir.verification.litert import LiteRTReference
from furiosa_ir.verification.reference import InterpretedReference, Reference
from furiosa_ir.verification.trace import CompileTrace


@dataclass(frozen=True)
class Report:
    """What `--verify` compared.

    Attributes:
        reference: what the source's values were computed by.
        inputs: how many inputs were run.
        source_values: how many values the source has.
        compared_values: how many of them were compared; the others are fused away.
        coverage: how much was compared, over all inputs.
        outputs: outputs end to end, beside each reference.
    """

    reference: str
    inputs: int
    source_values: int
    compared_values: int
    coverage: Coverage
    outputs: list[Agreement]


def verify_compile(
    trace: CompileTrace,
    source: Path,
    program: Program | None,
    *,
    inputs: Path | None = None,
) -> Report:
    """Compares every tensor of a compiled network with its source's, layer by layer.

    Args:
        trace: a compile of the source with the same options, recorded.
        source: the file: an ONNX or TFLite network, or IR text.
        program: the program as it was written; None if a level of IR was asked for.
        inputs: a file of inputs; by default they are drawn.

    Raises:
        Disagreement: a value is another than the source's.
        FuriosaError: the reference cannot run the source, or the inputs do not fit.
    """
    assert trace.source is not None
    assert trace.final is not None
    data = source.read_bytes()
    _refuse_state(data, program)
    if program is None and has_commands(trace.final.module):
        program = program_of(trace.final.module)
    if program is not None and has_commands(trace.source):
        coverage = Coverage()
        check_same_commands(program, program_of(trace.source), coverage)
        return Report("the source's commands", 0, 0, 0, coverage, [])
    entries = network_inputs(trace.source)
    feeds = drawn_inputs(entries) if inputs is None else given_inputs(inputs, entries)
    snapshot = trace.kernels or trace.final
    level = LevelCheck.of(trace, snapshot, level_name(trace), program)
    wanted = frozenset(n for names in snapshot.names.values() for n in names)
    reference = _reference(data, trace, wanted)
    session = None if program is None else Session(program)
    agreements: list[Agreement] = []
    compared: set[int] = set()
    for feed in feeds:
        want = reference.values(feed)
        compared.update(want.values)
        results = level.compare(feed, want.values)
        names = list(results)
        if session is not None:
            results = dict(
                zip(names, (t.numpy() for t in session.run(list(feed.values()))), strict=True)
            )
        exact = reference.name != "exact arithmetic"
        required = 1.0 if exact else LEAST_EXACT_SHARE
        agreements += [
            agreement(name, reference.name, required, got, wanted_output)
            for (name, got), wanted_output in zip(results.items(), want.outputs, strict=True)
        ]
    return Report(
        reference.name,
        len(feeds),
        len(trace.values),
        len(compared),
        level.coverage,
        worst(agreements),
    )


def level_name(trace: CompileTrace) -> str:
    """The level that is compared with the source."""
    if trace.kernels is not None:
        return "warboy"
    assert trace.final is not None
    return level_of(trace.final.module) or "graph"


def _reference(data: bytes, trace: CompileTrace, wanted: frozenset[int]) -> Reference:
    if data[4:8] == b"TFL3":
        assert trace.source is not None
        optimized = "graph.kernels" in trace.source.attributes
        return LiteRTReference(data, trace, wanted, optimized=optimized)
    return InterpretedReference(trace, wanted)


def _refuse_state(data: bytes, program: Program | None) -> None:
    """What a network with variables computes hangs on the runs before."""
    segments = [s for s in (program.segments if program else ()) if isinstance(s, HostSegment)]
    if data[4:8] == b"TFL3":
        segments.append(HostSegment("source", "tflite", (), (), data, ()))
    if any(is_stateful(segment) for segment in segments):
        raise FuriosaError(
            "--verify: the network keeps state from run to run, so there is no one result to "
            "compare with"
        )
