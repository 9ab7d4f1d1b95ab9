"""`--verify`: each way to be wrong is found, at its own layer, whatever the source is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from furiosa_ir.arrays import write_arrays
from furiosa_ir.backends.warboy.enf.records import Command, Dot, NpuSegment
from furiosa_ir.comparison import Disagreement
from furiosa_ir.compiler import compile_source
from furiosa_ir.program import Program
from furiosa_ir.tools.furiosa import main
from furiosa_ir.verification import CompileTrace, verify_compile
from furiosa_ir.verification.inputs import drawn_inputs, network_inputs
from tests.conftest import DIGITS
from tests.oracle.streaming import NETWORKS

TFLITE, ONNX = DIGITS / "digits_int8.tflite", DIGITS / "digits_qdq_int8.onnx"

SPOIL = '''
from dataclasses import dataclass
from furiosa_ir.dialects.ftensor.arithmetic import RescaleOp
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.attribute_values import as_attribute

@dataclass(frozen=True)
class Spoil(Pass):
    """The first rescale's zero point is off by one."""
    name = "spoil"
    def apply(self, ctx, op):
        for inner in op.walk():
            if isinstance(inner, RescaleOp) and inner.output_zp.value.data != 1:
                zero_point = inner.output_zp.value.data + 1
                inner.properties["output_zp"] = as_attribute(zero_point)
                return
'''

PASSES = (
    "graph-fold-quantization,graph-compose-movement,graph-fuse-tables,graph-fold-constants,"
    "graph-partition,lower-to-ftensor,{},ftensor-fold-clamps,ftensor-fuse-tables,fuse-kernels,{},"
    "assign-views,plan-tiles,allocate,schedule"
)


def furiosa(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    return result.exit_code, result.stderr


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "spoil.py"
    path.write_text(SPOIL)
    return path


@pytest.mark.parametrize("source", [TFLITE, ONNX])
@pytest.mark.parametrize("place", [0, 1])
def test_a_zero_point_off_by_one_is_named(source: Path, place: int, plugin: Path, tmp_path: Path):
    chosen = [""] * 2
    chosen[place] = "spoil"
    passes = ",".join(p for p in PASSES.format(*chosen).split(",") if p)
    output = tmp_path / "x.enf"
    arguments = ["--load", plugin, "--pass-pipeline", passes, "--verify", "-o", output]
    code, text = furiosa("compile", source, *arguments)
    assert code == 1
    error = text.splitlines()[-1]
    assert error.startswith(f"ERROR: {source}: layer '")
    assert "the result does not agree: element [" in error
    assert " instead of " in error
    assert "(level warboy; " in error
    assert not output.exists()


def test_the_first_wrong_layer_is_named(plugin: Path, tmp_path: Path):
    passes = PASSES.replace("{},", "").replace("lower-to-ftensor,", "lower-to-ftensor,spoil,")
    output = tmp_path / "x.enf"
    _, text = furiosa(
        "compile", TFLITE, "--load", plugin, "--pass-pipeline", passes, "--verify", "-o", output
    )
    first = compile_source(TFLITE, target_ir="graph").module
    from furiosa_ir.dialects.graph.convolution import ConvOp
    from furiosa_ir.ir.location import layer_name

    conv = next(op for op in first.walk() if isinstance(op, ConvOp))
    assert f"layer '{layer_name(conv)}'" in text.splitlines()[-1]


def compiled(source: Path) -> tuple[CompileTrace, Program]:
    trace = CompileTrace()
    with trace.recording():
        result = compile_source(source, instrumentation=(trace,))
    trace.finish(result.module)
    assert result.program is not None
    return trace, result.program


def with_command(program: Program, number: int, command: Command) -> Program:
    segments = list(program.segments)
    index = next(i for i, s in enumerate(segments) if isinstance(s, NpuSegment))
    segment = segments[index]
    assert isinstance(segment, NpuSegment)
    commands = list(segment.commands)
    commands[number] = command
    segments[index] = replace(segment, commands=tuple(commands))
    return replace(program, segments=tuple(segments))


@pytest.mark.parametrize("source", [TFLITE, ONNX])
def test_a_wrong_command_is_found(source: Path):
    trace, program = compiled(source)
    report = verify_compile(trace, source, program)
    assert report.coverage.commands
    assert all(a.equal == 1 for a in report.outputs if a.required)
    commands = next(s for s in program.segments if isinstance(s, NpuSegment)).commands
    number, dot = next((i, c) for i, c in enumerate(commands) if isinstance(c, Dot))
    wrong = with_command(program, number, replace(dot, x_zp=dot.x_zp + (1 if dot.x_zp < 0 else -1)))
    with pytest.raises(Disagreement, match=r"element \[.*\]: .* instead of .* \(level enf"):
        verify_compile(trace, source, wrong)


def test_missing_commands_are_found():
    trace, program = compiled(TFLITE)
    segment = program.segments[0]
    assert isinstance(segment, NpuSegment)
    short = replace(segment, commands=segment.commands[:-1])
    with pytest.raises(Disagreement, match="they differ from number"):
        verify_compile(trace, TFLITE, replace(program, segments=(short,)))


@pytest.mark.parametrize("source", [TFLITE, ONNX])
@pytest.mark.parametrize("level", ["graph", "ftensor", "warboy"])
def test_text_of_every_level_is_a_source(source: Path, level: str, tmp_path: Path):
    text = tmp_path / "x.mlir"
    assert furiosa("compile", source, "--target-ir", level, "--verify", "-o", text)[0] == 0
    code, messages = furiosa("compile", text, "--verify", "-o", tmp_path / "x.enf")
    assert code == 0
    assert "commands of the program" in messages


def test_a_program_of_the_cache_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FC_CACHE_ENABLED", "1")
    monkeypatch.setenv("FC_CACHE_STORE_URL", f"file://{tmp_path}/cache")
    assert furiosa("compile", TFLITE, "-o", tmp_path / "x.enf")[0] == 0
    code, messages = furiosa("compile", TFLITE, "--verify", "-o", tmp_path / "y.enf")
    assert code == 0
    assert "Found in the cache" in messages
    assert "commands of the program" in messages


LATE = '''
from dataclasses import dataclass
import numpy as np
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.passes import Pass

@dataclass(frozen=True)
class SpoilLate(Pass):
    """Host segments keep their operators to the end: a threshold is another."""
    name = "spoil-late"
    def apply(self, ctx, op):
        for inner in op.walk():
            if inner.name == "graph.constant":
                inner.properties["value"] = BlobAttr.of(np.asarray(inner.value.array + 0.01, "f4"))
'''


def test_a_few_decisions_of_a_host_segment_that_a_late_pass_turns_are_found(tmp_path: Path):
    nodes = [
        helper.make_node("Greater", ["x", "threshold"], ["above"], name="above"),
        helper.make_node("Cast", ["above"], ["y"], name="cast", to=TensorProto.INT32),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1000])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [1, 1000])],
        [helper.make_tensor("threshold", TensorProto.FLOAT, [], [0.0])],
    )
    source, plugin, inputs = (tmp_path / n for n in ("x.onnx", "late.py", "x.npz"))
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), source)
    plugin.write_text(LATE)
    write_arrays([("x", np.linspace(-1, 1, 1000, dtype=np.float32)[None])], inputs)
    passes = (
        "graph-partition,lower-to-ftensor,fuse-kernels,assign-views,plan-tiles,allocate,schedule"
    )
    for late, code in ((passes, 0), (f"{passes},spoil-late", 1)):
        arguments = ["--pass-pipeline", late, "--load", plugin, "-o", tmp_path / "x.enf"]
        got, text = furiosa("compile", source, "--verify", "--verify-inputs", inputs, *arguments)
        assert got == code, text
    assert "layer 'cast': the result does not agree: element [0, 500]: 0 instead of 1" in text
    assert "0.5 % of the elements differ" in text


def test_inputs_of_a_file(tmp_path: Path):
    samples = tmp_path / "samples.npz"
    trace, _ = compiled(TFLITE)
    assert trace.source is not None
    (entry,) = network_inputs(trace.source)
    drawn = drawn_inputs([entry])
    write_arrays([(entry.name, np.concatenate([d[entry.name] for d in drawn[:2]]))], samples)
    code, messages = furiosa(
        "compile", TFLITE, "--verify", "--inputs", samples, "-o", tmp_path / "x"
    )
    assert code == 0
    assert "on 2 inputs" in messages
    assert "inputs for --verify are --verify-inputs" in messages  # the option's name of old
    write_arrays([(entry.name, np.zeros((3, 3), np.int8))], samples)
    code, messages = furiosa(
        "compile", TFLITE, "--verify", "--verify-inputs", samples, "-o", tmp_path / "y"
    )
    assert code == 1
    assert "samples lie along the first axis" in messages
    assert not (tmp_path / "y").exists()
    code, messages = furiosa("compile", TFLITE, "--verify-inputs", samples, "-o", tmp_path / "y")
    assert code == 1
    assert "give --verify, too" in messages


def test_drawn_inputs_are_smooth_and_within_the_range():
    trace, _ = compiled(TFLITE)
    assert trace.source is not None
    (entry,) = network_inputs(trace.source)
    smooth, wide, noise = drawn_inputs([entry])[:3]
    spread = [
        float(np.abs(np.diff(x[entry.name].astype(int), axis=1)).mean()) for x in (smooth, noise)
    ]
    assert spread[0] < spread[1] / 2
    assert smooth[entry.name].dtype == entry.dtype
    assert all(
        np.array_equal(a[entry.name], b[entry.name])
        for a, b in zip(drawn_inputs([entry]), (smooth, wide, noise), strict=False)
    )


@pytest.mark.parametrize("name", ["wake_word", "keyword_svdf"])
def test_a_network_with_state_is_compared_run_by_run(name: str, plugin: Path, tmp_path: Path):
    """Each input finds the state that those before it have left, here and in LiteRT."""
    source = tmp_path / f"{name}.tflite"
    source.write_bytes(NETWORKS[name]())
    code, messages = furiosa("compile", source, "--verify", "-o", tmp_path / "x.enf")
    assert code == 0, messages
    assert "all" in messages
    assert "elements equal to LiteRT's reference kernels" in messages
    text = tmp_path / "x.mlir"
    assert furiosa("compile", source, "--target-ir", "graph", "-o", text)[0] == 0
    code, messages = furiosa("compile", text, "--verify", "-o", tmp_path / "y.enf")
    assert code == 0, messages
    assert "elements equal to LiteRT's arithmetic" in messages
