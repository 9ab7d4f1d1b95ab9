"""Programs that somebody else wrote: small ones stay small, and what passes the reader runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from furiosa_ir.backends.warboy.checker import check_program
from furiosa_ir.backends.warboy.enf.disassembler import disassemble
from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.compiler import compile_source
from furiosa_ir.errors import FormatFailure, FuriosaError, VerificationFailure
from furiosa_ir.program import HostSegment, Program, Tensor
from furiosa_ir.reports.inspect import summary
from furiosa_ir.runtime import Session
from tests import bounded
from tests.conftest import DIGITS
from tests.fuzz.hostile_enf import PROGRAMS
from tests.runtime.programs import copy_then_host, onnx_model


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_small_program_stays_small(name: str, tmp_path: Path) -> None:
    path, data = tmp_path / "p.enf", PROGRAMS[name]()
    path.write_bytes(data)
    assert len(data) < 1 << 20
    assert str(path) in bounded.refusal("inspect", path)
    with pytest.raises(FormatFailure):
        read_program(data)


def chained(dtype: str = "int8") -> Program:
    """NPU segment, host segment, host segment: x -> copied -> negated -> y."""
    model = onnx_model(np.dtype(dtype).type, (1, 2, 3, 4))
    program = copy_then_host(dtype, model, "onnx", Tensor("negated", dtype, (1, 2, 3, 4)))
    npu, host = program.segments
    assert isinstance(host, HostSegment)
    second = replace(host, name="host_2", inputs=(2,), outputs=(3,))
    return replace(
        program,
        tensors=(*program.tensors, Tensor("y", dtype, (1, 2, 3, 4))),
        outputs=(3, 1),
        segments=(npu, host, second),
    )


def test_the_chain_runs() -> None:
    data = np.arange(24, dtype=np.int8).reshape(1, 2, 3, 4)
    with Session(read_program(write_program(chained()))) as session:
        y, copied = session.run([data]).numpy()
    np.testing.assert_array_equal(y, data)
    np.testing.assert_array_equal(copied, data)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda p: replace(p, segments=p.segments[::-1]), "which no segment before has made"),
        (lambda p: replace(p, segments=p.segments[1:]), "which no segment before has made"),
        (lambda p: replace(p, segments=p.segments[:1]), "network returns tensor 'y'"),
        (lambda p: replace(p, inputs=()), "segment 'npu_0' reads tensor 'x'"),
        (lambda p: replace(p, inputs=(0, 0)), "'x' is bound by the network's inputs, twice"),
        (lambda p: replace(p, inputs=(0, 1)), "'copied' is bound by the network's inputs and"),
        (
            lambda p: replace(p, segments=(*p.segments, p.segments[2])),
            "'y' is bound by segment 'host_2', twice",
        ),
        (
            lambda p: replace(
                p, segments=(p.segments[0], replace(p.segments[1], inputs=(3,)), p.segments[2])
            ),
            "segment 'host_1' reads tensor 'y', which no segment before has made",
        ),
    ],
)
def test_segments_out_of_order_missing_or_cyclic(
    edit: Callable[[Program], Program], message: str
) -> None:
    program = edit(chained())
    layers = tuple(replace(row, segment=0) for row in program.layers)
    program = replace(program, layers=layers)
    with pytest.raises(FormatFailure, match=message):
        read_program(write_program(program))


@st.composite
def changed_programs(draw: st.DrawFn) -> Program:
    """The chain with segments, bindings and tensors rearranged."""
    program = chained()
    tensor = st.integers(0, len(program.tensors) - 1)
    segments = list(draw(st.permutations(program.segments)))
    count = draw(st.sampled_from([3, 3, 3, 2, 4]))
    segments = [*segments, draw(st.sampled_from(segments))][:count]
    for i, segment in enumerate(segments):
        if draw(st.booleans()):
            continue
        if isinstance(segment, HostSegment):
            inputs = draw(st.lists(tensor, min_size=0, max_size=2))
            outputs = draw(st.lists(tensor, min_size=0, max_size=2))
            segments[i] = replace(segment, inputs=tuple(inputs), outputs=tuple(outputs))
        else:
            bound = [replace(b, tensor=draw(tensor)) for b in (*segment.inputs, *segment.outputs)]
            segments[i] = replace(segment, inputs=tuple(bound[:1]), outputs=tuple(bound[1:]))
    tensors = list(program.tensors)
    if draw(st.booleans()):
        i = draw(tensor)
        tensors[i] = replace(
            tensors[i],
            dtype=draw(st.sampled_from(["int8", "uint8", "int32", "float32", "string", "bool"])),
            shape=draw(st.sampled_from([(), (0,), (1, 2, 3, 4), (1, -1), (24,), (1, 2, 3, 5)])),
        )
    indices = st.lists(tensor, max_size=3).map(tuple)
    return replace(
        program,
        tensors=tuple(tensors),
        inputs=draw(st.one_of(st.just(program.inputs), indices)),
        outputs=draw(st.one_of(st.just(program.outputs), indices)),
        segments=tuple(segments),
        layers=tuple(replace(row, segment=0) for row in program.layers),
    )


@given(changed_programs())
def test_a_program_is_refused_in_one_sentence_or_runs(program: Program) -> None:
    try:
        read = read_program(write_program(program))
        with Session(read) as session:
            shapes = [[max(n, 1) for n in desc.shape] for desc in session.inputs()]
            dtypes = [desc.numpy_dtype for desc in session.inputs()]
            session.run([np.zeros(s, d) for s, d in zip(shapes, dtypes, strict=True)])
    except FuriosaError:
        return
    assert summary(read)["segments"]
    assert list(disassemble(read))


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), -1.0])
def test_a_scale_is_a_number(scale: float) -> None:
    program = chained()
    tensors = (replace(program.tensors[0], scale=scale), *program.tensors[1:])
    data = write_program(replace(program, tensors=tensors))
    with pytest.raises(FormatFailure, match="has the scale"):
        read_program(data)


def test_figures_are_what_the_program_bears_out() -> None:
    """A header may say that a network of two layers has 2^64 products."""
    program = compile_source(DIGITS / "digits_int8.tflite").program
    assert program is not None
    honest = summary(program)
    most = (1 << 64) - 1
    lie = tuple(replace(row, macs=most, weight_bytes=most) for row in program.layers)
    told = summary(read_program(write_program(replace(program, layers=lie))))
    assert [row["macs"] for row in told["layers"]] == [row["macs"] for row in honest["layers"]]
    for key in ("macs", "npu_mac_share"):
        assert told["summary"][key] == honest["summary"][key]
    constants = sum(len(s.constants) for s in program.segments if isinstance(s, NpuSegment))
    assert told["summary"]["weight_bytes"] <= constants * len(program.layers)
    assert json.dumps(told, allow_nan=False)
    negative = tuple(replace(row, macs=-5) for row in program.layers)
    with pytest.raises(VerificationFailure, match="impossible figures"):
        check_program(replace(program, layers=negative))
