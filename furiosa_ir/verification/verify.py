"""The whole of `furiosa compile --verify`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from furiosa_ir.backends.target import backend_of
from furiosa_ir.comparison import Coverage, Where, check_equal
from furiosa_ir.dialects.graph.variables import variables_of
from furiosa_ir.formats import Format, recognise
from furiosa_ir.importers import load
from furiosa_ir.importers.tflite.part import content_of_part
from furiosa_ir.interpreter import run_module
from furiosa_ir.ir.segments import main_function
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import Program
from furiosa_ir.runtime.isolation import SharedProcessEngine
from furiosa_ir.runtime.session import Session, usable_processors
from furiosa_ir.stages import level_of
from furiosa_ir.verification.commands import check_same_commands, has_commands, program_of
from furiosa_ir.verification.end_to_end import (
    LEAST_EXACT_SHARE,
    Agreement,
    Run,
    agreement,
    sample_by_sample,
    worst,
)
from furiosa_ir.verification.inputs import drawn_inputs, given_inputs, network_inputs
from furiosa_ir.verification.levels import LevelCheck
from furiosa_ir.verification.litert import LiteRTReference
from furiosa_ir.verification.onnx_file import OnnxFileCheck
from furiosa_ir.verification.reference import InterpretedReference, Reference, is_of_plugin
from furiosa_ir.verification.trace import CompileTrace


@dataclass(frozen=True)
class Report:
    """What `--verify` compared.

    Attributes:
        reference: what the source's values were computed by.
        inputs: how many inputs were run.
        source_values: how many values the source has.
        compared_values: how many of them were compared; the others are fused away.
        file_values: how many values of an ONNX file were compared with onnxruntime's.
        notes: what could not be compared, and why.
        coverage: how much was compared, over all inputs.
        outputs: outputs end to end, beside each reference.
    """

    reference: str
    inputs: int
    source_values: int
    compared_values: int
    coverage: Coverage
    outputs: list[Agreement]
    file_values: int = 0
    notes: tuple[str, ...] = ()


def verify_compile(
    trace: CompileTrace,
    source: Path,
    program: Program | None,
    *,
    inputs: Path | None = None,
    part: Part = WHOLE,
) -> Report:
    """Compares every tensor of a compiled network with its source's, layer by layer.

    Args:
        trace: a compile of the source with the same options, recorded.
        source: the file: an ONNX or TFLite network, or IR text.
        program: the program as it was written; None if a level of IR was asked for.
        inputs: a file of inputs; by default they are drawn.
        part: which part of the network was compiled, of which extents.

    Raises:
        Disagreement: a value is another than the source's.
        FuriosaError: the reference cannot run the source, or the inputs do not fit.
    """
    assert trace.source is not None
    assert trace.final is not None
    data = source.read_bytes()
    is_tflite = recognise(data) is Format.TFLITE
    if is_tflite:
        data = content_of_part(data, part)
    if program is None and has_commands(trace.final.module):
        program = program_of(trace.final.module)
    if program is not None and has_commands(trace.source):
        coverage = Coverage()
        check_same_commands(program, program_of(trace.source), coverage)
        return Report("the source's commands", 0, 0, 0, coverage, [])
    entries = network_inputs(trace.source)
    feeds = drawn_inputs(entries) if inputs is None else given_inputs(inputs, entries)
    level = level_check(trace, program)
    single = None if is_other_than_onnx(data) else _single_sample(source, trace, part)
    own = trace if single is None else single.trace  # of the file's own batch
    witness = None if is_other_than_onnx(data) else OnnxFileCheck(source, own, part)
    numbers = frozenset[int]() if witness is None or single is not None else witness.numbers
    reference = reference_of(data, trace, numbers)
    comparison = _Comparison(
        level=level,
        reference=reference,
        session=None if program is None else Session(program, make_engine=SharedProcessEngine),
        single=None if single is None else single.run,
    )
    # What the importer makes of a file hangs on no input: one is enough.
    witnesses = [None if single else witness, *([None] * (len(feeds) - 1))]
    # What a network with state makes of an input hangs on those before.
    workers = 1 if variables_of(trace.source) else usable_processors()
    compared = _side_by_side(comparison.compare, feeds, witnesses, workers)
    if single is not None and witness is not None:
        single.compare(witness, feeds[0])
    agreements = [a for one in compared for a in one.agreements]
    notes: list[str] = []
    if is_tflite and isinstance(reference, InterpretedReference):
        notes.append(
            "LiteRT does not know the plug-in's operators: they are compared with `evaluate`, to "
            "one step, and the others with their lowerings"
        )
    if witness is not None and witness.failure:
        notes.append(f"onnxruntime does not run the file: {witness.failure}")
    return Report(
        reference.name,
        len(feeds),
        trace.source_count,
        len(wanted_numbers(trace)),
        sum((one.coverage for one in compared), Coverage()),
        worst(agreements),
        len(witness.numbers) if witness is not None and not witness.failure else 0,
        tuple(notes),
    )


def _side_by_side(
    compare: Callable[[Mapping[str, Array], OnnxFileCheck | None], _Compared],
    feeds: Sequence[Mapping[str, Array]],
    witnesses: Sequence[OnnxFileCheck | None],
    count: int,
) -> list[_Compared]:
    """Compares inputs, in order, so many at once.

    Most of the time goes into arrays, for which Python's lock is not held, and into waiting for
    other processes.

    Raises:
        FuriosaError: of the first input that has one.
    """
    workers = ThreadPoolExecutor(count, "furiosa-verify")
    try:
        return list(workers.map(compare, feeds, witnesses))
    finally:  # Ctrl-C waits for none of them
        workers.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class _Compared:
    """What was compared on one input."""

    agreements: list[Agreement]
    coverage: Coverage


@dataclass(frozen=True)
class _Comparison:
    """What an input is run by; threads share it.

    Attributes:
        level: the last level of IR, and the program beside it.
        reference: the source.
        session: of the program, if one was made.
        single: the source's own batch for one sample after another, if it has another batch.
    """

    level: LevelCheck
    reference: Reference
    session: Session | None
    single: Run | None

    def compare(self, feed: Mapping[str, Array], witness: OnnxFileCheck | None) -> _Compared:
        """Compares everything on one input.

        Args:
            feed: the input by name.
            witness: compares the file itself with the source's values.

        Raises:
            Disagreement: a value is another than the source's.
        """
        coverage = Coverage()
        reference = self.reference
        want = reference.values(feed, with_margins=witness is not None)
        results = self.level.compare(feed, want.values, coverage)
        for (name, got), right in zip(results.items(), want.outputs, strict=True):
            # Whatever passes did to values on the way, outputs are found by their place.
            check_equal(got, right, Where(f"output {name}", self.level.level))
        if self.session is not None:
            written = [tensor.numpy() for tensor in self.session.run(list(feed.values()))]
            results = dict(zip(results, written, strict=True))
        exact = reference.name != "exact arithmetic"
        required = 1.0 if exact else LEAST_EXACT_SHARE
        agreements = [
            agreement(name, reference.name, required, got, right)
            for (name, got), right in zip(results.items(), want.outputs, strict=True)
        ]
        if self.single is not None:
            for name, got, alone in zip(results, want.outputs, self.single(feed), strict=True):
                check_equal(got, alone, Where(f"output {name}", "graph", "one sample at a time"))
        whole = None if witness is None else witness.compare(feed, want)
        if whole is not None:
            agreements += [
                agreement(name, "onnxruntime", 0.0, got, np.asarray(theirs))
                for (name, got), theirs in zip(results.items(), whole, strict=True)
            ]
        return _Compared(agreements, coverage)


def is_other_than_onnx(data: bytes) -> bool:
    """Whether a source is a TFLite network or text."""
    return recognise(data) is not Format.ONNX


@dataclass(frozen=True)
class _Single:
    """The file's network as it was read, with the file's own batch.

    Attributes:
        trace: its values.
        shapes: of its inputs.
    """

    trace: CompileTrace
    shapes: Sequence[Sequence[int]]

    @property
    def run(self) -> Run:
        """Runs it for one sample after another."""
        module = self.trace.source
        assert module is not None
        return sample_by_sample(lambda feeds: list(run_module(module, feeds).values()), self.shapes)

    def compare(self, witness: OnnxFileCheck, feed: Mapping[str, Array]) -> None:
        """Compares the first sample of an input, layer by layer, with what the file makes of it.

        Raises:
            Disagreement: the imported network means something else than the file.
        """
        sample = {
            name: array[tuple(slice(n) for n in shape)]
            for (name, array), shape in zip(feed.items(), self.shapes, strict=True)
        }
        reference = InterpretedReference(self.trace, witness.numbers)
        witness.compare(sample, reference.values(sample, with_margins=True))


def _single_sample(source: Path, trace: CompileTrace, part: Part) -> _Single | None:
    """The file's network for one sample after another; None if the batch is the file's own."""
    assert trace.source is not None
    compiled = [shape_of(a) for a in main_function(trace.source).body.block.args]
    # Most files: importing takes half a second.
    if part.is_whole and _declared_shapes(source) == compiled:
        return None
    own = CompileTrace()
    with own.recording():
        alone = load(source, part=part)
    own.before_pipeline(alone)
    shapes = [shape_of(a) for a in main_function(alone).body.block.args]
    if shapes == compiled:
        return None
    return _Single(own, shapes)


def _declared_shapes(source: Path) -> list[tuple[int, ...]]:
    """The shapes of an ONNX file's inputs as it declares them; open extents are 0."""
    import onnx  # noqa: PLC0415  # the importer has it already

    graph: Any = onnx.load(source, load_external_data=False).graph
    given = {str(tensor.name) for tensor in graph.initializer}
    return [
        tuple(int(d.dim_value) for d in value.type.tensor_type.shape.dim)
        for value in graph.input
        if str(value.name) not in given
    ]


def level_check(trace: CompileTrace, program: Program | None) -> LevelCheck:
    """What compares a compile, and the program that was made, with the source's values.

    Raises:
        Disagreement: the program has other segments or commands than the compile makes.
    """
    assert trace.final is not None
    module = trace.final.module
    level = backend_of(module).levels[-1] if trace.kernels else level_of(module) or "graph"
    return LevelCheck.of(trace, trace.last, level, program)


def wanted_numbers(trace: CompileTrace) -> frozenset[int]:
    """Numbers of the source's values that live on in the last level."""
    count = trace.source_count
    return frozenset(n for names in trace.last.names.values() for n in names if n < count)


def reference_of(data: bytes, trace: CompileTrace, also: frozenset[int] = frozenset()) -> Reference:
    """What computes the source's values, of a file's content.

    Args:
        data: the content.
        trace: the compile.
        also: numbers of values to keep beside those that live on.

    Raises:
        FuriosaError: a TFLite network needs LiteRT, or it does not run there.
    """
    wanted = wanted_numbers(trace) | also
    if recognise(data) is Format.TFLITE:
        assert trace.source is not None
        optimized = "graph.kernels" in trace.source.attributes
        if not any(is_of_plugin(op) for op in trace.source.walk()):
            return LiteRTReference(data, trace, wanted, optimized=optimized)
    return InterpretedReference(trace, wanted)
