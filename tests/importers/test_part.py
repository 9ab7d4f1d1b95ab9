"""Parts of networks, of given extents: what is between is what frameworks make of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import onnx.utils
import onnxruntime
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper

from furiosa.runtime import create_runner, sync
from furiosa.runtime.session import create_async
from furiosa_ir.cache.key import Inputs, compile_key
from furiosa_ir.compiler import compile_model, compile_source
from furiosa_ir.errors import FuriosaError, ImportFailure
from furiosa_ir.importers import load
from furiosa_ir.importers.tflite.part import content_of_part
from furiosa_ir.importers.way_out import with_way_around_foreign
from furiosa_ir.interpreter import run_module
from furiosa_ir.ir.text import print_module, write_module
from furiosa_ir.network_part import WHOLE, Part, part_of, part_of_options
from furiosa_ir.quantization.onnx import OnnxSource
from furiosa_ir.runtime import Session, session
from tests.importers.onnx.networks import network
from tests.importers.tflite.single import options
from tests.open_networks.tflite_networks import (
    convolution,
    opened,
    selfie_segmentation,
    wake_word,
)
from tests.oracle import streaming
from tests.oracle.litert import Operator, Stream, Tensor, build_model, run_reference

node = helper.make_node


# The options.


@pytest.mark.parametrize(
    "text",
    ["x=1,3,12,10", "x:1,3,12,10", "x=1x3x12x10", "x:1x3x12x10", "x=1, 3, 12, 10", "x=[1,3,12,10]"],
)
def test_spellings_of_a_shape(text: str):
    assert part_of_options([text]) == part_of(input_shapes={"x": [1, 3, 12, 10]})


@pytest.mark.parametrize("name", ["serving_default_x:0", "a=b", "input.1", "x:1x2", "Call/x;y"])
def test_a_name_may_hold_separators(name: str):
    assert part_of_options([f"{name}=4,5"]).input_shapes == ((name, (4, 5)),)
    assert part_of_options([f"{name}:4x5"]).input_shapes == ((name, (4, 5)),)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"input_shape": ["1,3,4,4"]},
            "'1,3,4,4' makes no sense (--input-shape NAME=",
        ),
        ({"input_shape": ["x=1,?,4"]}, "--input-shape 'x=1,?,4' makes no sense"),
        ({"input_shape": ["x=1,-1"]}, "--input-shape 'x=1,-1' makes no sense"),
        ({"input_shape": ["x=1x3,4"]}, "--input-shape 'x=1x3,4' makes no sense"),
        ({"input_shape": ["x=0,3"]}, "the extent of the input 'x' 0 is not a positive integer"),
        ({"input_shape": [f"x={'9' * 5000}"]}, "are too large"),
        ({"input_shape": ["x=1,2", "x=1,3"]}, "--input-shape gives 'x' twice, and not the same"),
        ({"dim": ["h"]}, "--dim 'h' makes no sense (--dim NAME=320)"),
        ({"outputs": ["a,b", "a"]}, "outputs names 'a' twice"),
        ({"outputs": [","]}, "outputs holds no names of values"),
    ],
)
def test_options_that_make_no_sense(arguments: dict[str, list[str]], message: str):
    with pytest.raises(ImportFailure) as caught:
        part_of_options(**arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"input_shapes": [1, 2]},
        {"input_shapes": {"x": 3}},
        {"input_shapes": {"x": "1,2"}},
        {"input_shapes": {"x": (1, 2.5)}},
        {"dims": {"h": True}},
        {"outputs": 3},
        {"inputs": [None]},
    ],
)
def test_arguments_of_wrong_types_are_refused(arguments: Any):
    with pytest.raises(ImportFailure):
        compile_model(b"", **arguments)


def test_a_part_is_in_the_key_of_the_cache():
    parts = [
        WHOLE,
        part_of(input_shapes={"x": (1, 2)}),
        part_of(input_shapes={"x": (2, 1)}),
        part_of(dims={"x": 2}),
        part_of(inputs=["x"]),
        part_of(outputs=["x"]),
    ]
    keys = {compile_key(Inputs(b"model", None, part=part)) for part in parts}
    assert None not in keys
    assert len(keys) == len(parts)
    # The order in which shapes are given says nothing.
    pairs = [{"a": [1], "b": [2]}, {"b": [2], "a": [1]}]
    assert len({part_of(input_shapes=p) for p in pairs}) == 1


# ONNX.


def two_inputs() -> bytes:
    """x [N, 3, H, W] and mask [N, 1, H, W], which shares their symbols."""
    nodes = [
        node("Mul", ["x", "mask"], ["m"]),
        node("Shape", ["m"], ["s"]),
        node("ReduceMean", ["m"], ["r"], axes=[2, 3]),
        node("Expand", ["r", "s"], ["e"]),
        node("Sub", ["m", "e"], ["y"]),
    ]
    shapes = {"x": ["N", 3, "H", "W"], "mask": ["N", 1, "H", "W"]}
    return network(nodes, shapes, {"y": ["N", 3, "H", "W"]}).SerializeToString()


@pytest.mark.parametrize(
    "part",
    [
        part_of(input_shapes={"x": (1, 3, 4, 5), "mask": (1, 1, 4, 5)}),
        part_of(input_shapes={"x": (1, 3, 4, 5)}),  # the symbols tell the other one's
        part_of(dims={"H": 4, "W": 5}),
        part_of(dims={"H": 4}, input_shapes={"mask": (1, 1, 4, 5)}),
        part_of(dims={"H": 4, "W": 5, "N": 1}),
    ],
)
def test_open_extents_of_onnx(part: Part):
    module = load(two_inputs(), part=part)
    rng = np.random.default_rng(0)
    feeds = {
        n: rng.standard_normal((1, c, 4, 5)).astype(np.float32) for n, c in (("x", 3), ("mask", 1))
    }
    (got,) = run_module(module, feeds).values()
    (want,) = onnxruntime.InferenceSession(two_inputs()).run(None, feeds)
    np.testing.assert_allclose(got, want, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"input_shapes": {"x": (1, 3, 4)}},
            "'x' has 4 dimensions, the shape [1, 3, 4] given to it 3",
        ),
        (
            {"input_shapes": {"x": (1, 4, 4, 4)}},
            "of the input 'x' is 3 in the file, not 4",
        ),
        (
            {"input_shapes": {"X": (1, 3, 4, 4)}},
            "no input 'X' (the network has 'x', 'mask')",
        ),
        ({"dims": {"height": 4}}, "there is no symbolic dimension 'height'"),
        (
            {"dims": {"H": 4}, "input_shapes": {"x": (1, 3, 5, 5)}},
            "the dimension 'H' is given as 4, and as 5 in the shape",
        ),
        (
            {"dims": {"H": 4}},
            "dimension 3 of the input 'x' is 'W'; only the batch size may be (--input-shape x=",
        ),
        ({"outputs": ["mm"]}, "there is no value 'mm' (did you mean 'm'?)"),
        ({"inputs": ["m"], "outputs": ["m"]}, "dimension 2 of the input 'm' is 'H'"),
        (
            {"inputs": ["mask"]},
            "the outputs need the input 'x', which is not among",
        ),
    ],
)
def test_parts_that_an_onnx_network_does_not_have(arguments: Any, message: str):
    with pytest.raises(ImportFailure) as caught:
        compile_model(two_inputs(), **arguments)
    assert message in str(caught.value)


def drawn_network(seed: int) -> tuple[onnx.ModelProto, list[str]]:
    """A network of random operators of two operands, of several results, and with a subgraph."""
    rng = np.random.default_rng(seed)
    values = ["a", "b"]
    nodes: list[onnx.NodeProto] = []
    for i in range(10):
        left, right = rng.choice(values, 2)
        match rng.integers(4):
            case 0:
                nodes.append(node("Split", [left], [f"v{i}", f"w{i}"], axis=1))
                joined = node("Concat", [f"w{i}", f"v{i}"], [f"c{i}"], axis=1)
                nodes.append(joined)
                values.append(f"c{i}")
            case 1:
                branch = helper.make_graph(
                    [node("Neg", [left], ["n"])],
                    "g",
                    [],
                    [helper.make_tensor_value_info("n", TensorProto.FLOAT, None)],
                )
                nodes.append(node("If", ["yes"], [f"v{i}"], then_branch=branch, else_branch=branch))
                values.append(f"v{i}")
            case _:
                nodes.append(node(rng.choice(["Add", "Sub", "Max"]), [left, right], [f"v{i}"]))
                values.append(f"v{i}")
    ends = [v for v in values[2:] if not any(v in n.input for n in nodes)][:3]
    shapes = {"a": [2, 4], "b": [2, 4]}
    model = network(nodes, shapes, {end: [2, 4] for end in ends}, {"yes": np.array(True)}, opset=13)
    return model, values[2:]


def evaluated(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The values of a drawn network, where those that are given stay what they are."""
    values = dict(feeds)
    for one in model.graph.node:
        if one.op_type == "If":  # both branches are the same
            results = [-values[one.attribute[0].g.node[0].input[0]]]
        elif one.op_type == "Split":
            results = np.split(values[one.input[0]], 2, 1)
        elif one.op_type == "Concat":
            results = [np.concatenate([values[i] for i in one.input], 1)]
        else:
            function = {"Add": np.add, "Sub": np.subtract, "Max": np.maximum}[one.op_type]
            results = [function(*(values[i] for i in one.input))]
        for name, value in zip(one.output, results, strict=True):
            values.setdefault(name, value)
    return values


@pytest.mark.parametrize("seed", range(20))
def test_cuts_anywhere_mean_what_stands_between(seed: int):
    """`onnx.utils.extract_model` means the same, but forgets what subgraphs capture."""
    model, values = drawn_network(seed)
    rng = np.random.default_rng(seed)
    outputs = [str(v) for v in rng.choice(values, 2, replace=False)]
    inputs = [*map(str, rng.choice(values, 2, replace=False)), "a", "b"]
    feeds = {n: rng.integers(-9, 10, (2, 4)).astype(np.float32) for n in inputs}
    module = load(model.SerializeToString(), part=part_of(inputs=inputs, outputs=outputs))
    got, want = run_module(module, feeds), evaluated(model, feeds)
    assert list(got) == outputs
    for name, array in got.items():
        np.testing.assert_array_equal(array, want[name])


def test_cuts_are_those_of_onnx(tmp_path: Path):
    nodes = [node("Relu", ["a"], ["f"]), node("Neg", ["f"], ["g"]), node("Sub", ["g", "b"], ["y"])]
    model = network(nodes, {"a": [2, 4], "b": [2, 4]}, {"y": [2, 4]})
    onnx.save(model, tmp_path / "n.onnx")
    onnx.utils.extract_model(tmp_path / "n.onnx", tmp_path / "part.onnx", ["f", "b"], ["y", "g"])
    theirs = load(tmp_path / "part.onnx")
    mine = load(tmp_path / "n.onnx", part=part_of(inputs=["f", "b"], outputs=["y", "g"]))
    texts = [print_module(m).partition("func.func")[2].partition("// ")[0] for m in (theirs, mine)]
    assert texts[0] == texts[1]


def test_a_result_next_to_a_new_input_stays(tmp_path: Path):
    """Of a Split, one part is an input now, the other one is still computed."""
    nodes = [node("Split", ["x"], ["l", "r"], axis=1), node("Sub", ["l", "r"], ["y"])]
    model = network(nodes, {"x": [1, 4]}, {"y": [1, 2]}, opset=13).SerializeToString()
    part = load(model, part=part_of(inputs=["r", "x"]))
    x, r = np.arange(4, dtype=np.float32)[None], np.array([[10, 20]], np.float32)
    (got,) = run_module(part, {"r": r, "x": x}).values()
    np.testing.assert_array_equal(got, [[-10, -19]])


def with_custom(front: bool = False) -> bytes:
    """Two layers, and an operator of nobody's behind or in front of them."""
    foreign = {"domain": "com.acme"}
    if front:
        nodes = [
            node("Decode", ["x"], ["image"], **foreign),
            node("Relu", ["image"], ["f"]),
            node("Neg", ["f"], ["y"]),
        ]
    else:
        nodes = [
            node("Relu", ["x"], ["f"]),
            node("Neg", ["f"], ["g"]),
            node("Sigmoid", ["f"], ["score"]),
            node("Nms", ["f", "g"], ["boxes"], **foreign),
            node("Abs", ["boxes"], ["y"]),
        ]
    outputs = {"y": [1, 4]} if front else {"y": [1, 4], "score": [1, 4]}
    domains = {"com.acme": 1}
    return network(nodes, {"x": [1, 4]}, outputs, domains=domains).SerializeToString()


def test_the_refusal_of_an_unknown_operator_names_values_that_work():
    with pytest.raises(FuriosaError, match=r"'Nms'.*--outputs f,g,score ends the network"):
        compile_model(with_custom())
    with pytest.raises(FuriosaError, match=r"'boxes'.*--outputs f,g,score ends the network"):
        load(with_custom())  # as furiosa-opt does
    program = compile_model(with_custom(), outputs=["f", "g", "score"])
    with session.create(program) as running:
        assert [d.name for d in running.outputs()] == ["f", "g", "score"]
    with pytest.raises(FuriosaError, match=r"'Decode'.*--inputs image begins the network behind"):
        compile_model(with_custom(front=True))
    model = onnx.ModelProto.FromString(with_custom(front=True))
    model.graph.value_info.append(
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 4])
    )
    assert compile_model(model, inputs=["image"])
    with pytest.raises(ImportFailure, match="nothing tells the element type of 'image'"):
        compile_model(with_custom(front=True), inputs=["image"])


def test_what_a_framework_refuses_for_a_foreign_operator_names_values_too():
    """`furiosa quantize` runs networks on onnxruntime, which no plug-in helps."""
    refusal = FuriosaError("onnxruntime does not take the network")
    told = with_way_around_foreign(refusal, with_custom(), WHOLE)
    assert str(told).endswith("(--outputs f,g,score ends the network in front of it)")
    part = part_of(outputs=["f"])
    assert with_way_around_foreign(refusal, with_custom(), part) is refusal


def test_a_part_is_quantised_and_an_open_extent_of_minus_one_takes_any_sample(tmp_path: Path):
    model = onnx.ModelProto.FromString(with_custom())
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = -1  # as Paddle writes it
    onnx.save(model, tmp_path / "n.onnx")
    source = OnnxSource.read(tmp_path / "n.onnx", part_of(outputs=["f", "g"]))
    assert [i.shape for i in source.inputs] == [(1, None)]
    assert source.outputs == ("f", "g")
    assert [n.op_type for n in source.model.graph.node] == ["Relu", "Neg"]
    fixed = OnnxSource.read(tmp_path / "n.onnx", part_of(outputs=["f"], input_shapes={"x": (1, 9)}))
    assert [i.shape for i in fixed.inputs] == [(1, 9)]


def test_inputs_that_nothing_needs_are_left_out():
    nodes = [node("Relu", ["x"], ["f"]), node("Mul", ["f", "scale_factor"], ["y"])]
    shapes = {"x": [1, 4], "scale_factor": [1, 1]}
    model = network(nodes, shapes, {"y": [1, 4]}).SerializeToString()
    with session.create(model, outputs=["f"], compiler_hints=False) as running:
        assert [d.name for d in running.inputs()] == ["x"]


# TFLite.


def test_a_symbol_that_inference_makes_up_is_no_name():
    """`--dim unk__0=8` would be refused: the extent is open."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w"], ["c"], strides=[2, 2]),
        node("Concat", ["c", "c"], ["d"], axis=0),
        node("Relu", ["d"], ["y"]),
    ]
    x, y = ["N", 3, "H", "W"], ["M", 4, None, None]
    constants = {"w": np.ones((4, 3, 1, 1), np.float32)}
    data = network(nodes, {"x": x}, {"y": y}, constants).SerializeToString()
    with pytest.raises(ImportFailure, match="dimension 2 of the input 'c' is open"):
        compile_model(data, inputs=["c"])


def test_extents_of_tflite_are_set_as_litert_does():
    model = selfie_segmentation()
    shapes = {"serving_default_image:0": (1, 20, 28, 3)}
    content = content_of_part(model, part_of(input_shapes=shapes))
    x = np.random.default_rng(0).integers(-128, 128, (1, 20, 28, 3)).astype(np.int8)
    with session.create(model, compiler_hints=False, input_shapes=shapes) as running:
        np.testing.assert_array_equal(running.run(x).numpy()[0], run_reference(content, [x])[0])


def small_network() -> list[Operator]:
    """A convolution, halves of its channels, their sum, and another convolution."""
    rng = np.random.default_rng(1)
    x = Tensor("x", (1, 6, 6, 4), np.int8, 0.05, 3)
    first = convolution("first", x, 4, rng, size=(6, 6))
    axis = Tensor.constant("axis", np.array(3, np.int32))
    halves = [Tensor(n, (1, 6, 6, 2), np.int8, 0.05, 3) for n in ("left", "right")]
    inputs = [axis, first.outputs[0]]
    split = Operator("SPLIT", inputs, halves, options("Split", numSplits=2), version=2)
    total = Tensor("total", (1, 6, 6, 2), np.int8, 0.05, 3)
    add = Operator("ADD", halves, [total], options("Add"), version=2)
    return [first, split, add, convolution("second", total, 2, rng, size=(6, 6))]


@pytest.mark.parametrize(
    ("outputs", "inputs"),
    [
        (["first"], None),
        (["total", "left"], None),
        (["second"], ["total"]),
        (["second", "total"], ["left", "right"]),
        (["right", "second"], ["first"]),
    ],
)
def test_cuts_of_tflite_are_what_litert_makes_of_the_part(
    outputs: list[str], inputs: list[str] | None
):
    model = build_model(small_network())
    content = content_of_part(model, part_of(inputs=inputs, outputs=outputs))
    rng = np.random.default_rng(0)
    with session.create(model, compiler_hints=False, inputs=inputs, outputs=outputs) as running:
        x = [rng.integers(-128, 128, d.shape).astype(np.int8) for d in running.inputs()]
        got = running.run(x).numpy()
        assert [d.name for d in running.outputs()] == outputs
    for array, want in zip(got, run_reference(content, x), strict=True):
        np.testing.assert_array_equal(array, want)


def test_a_result_next_to_a_new_input_stays_in_tflite():
    model = build_model(small_network())
    given = {"inputs": ["x", "right"], "outputs": ["total"]}
    with session.create(model, compiler_hints=False, **given) as running:
        rng = np.random.default_rng(0)
        x = [rng.integers(-128, 128, d.shape).astype(np.int8) for d in running.inputs()]
        (got,) = running.run(x).numpy()
    with session.create(model, compiler_hints=False, outputs=["left"]) as running:
        (left,) = running.run(x[0]).numpy()
    with session.create(
        model, compiler_hints=False, inputs=["left", "right"], outputs=["total"]
    ) as running:
        np.testing.assert_array_equal(running.run([left, x[1]]).numpy()[0], got)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input_shapes": {"features": (1, 8, 16)}}, "has 4 dimensions, the shape [1, 8, 16]"),
        (
            {"input_shapes": {"features": (1, 8, 15, 1)}},
            "dimension 2 of the input 'features' is 16 in the file, not 15",
        ),
        (
            {"input_shapes": {"features": (2, 8, 16, 1)}},
            "is 1 in the file, not 2 (--batch-size changes a batch of 1)",
        ),
        ({"input_shapes": {"feature": (1, 8, 16, 1)}}, "there is no input 'feature' (did you"),
        ({"dims": {"h": 3}}, "a TFLite network has no names for its dimensions"),
        ({"outputs": ["conv/w"]}, "'conv/w' is a constant of the network"),
        ({"outputs": ["poled"]}, "there is no tensor 'poled' (did you mean 'pooled'?)"),
        ({"inputs": ["pooled"], "outputs": ["conv"]}, "the outputs need the input 'features'"),
    ],
)
def test_parts_that_a_tflite_network_does_not_have(given: Any, message: str):
    with pytest.raises(ImportFailure) as caught:
        compile_model(wake_word(), **given)
    assert message in str(caught.value)


def test_open_extents_of_tflite_are_told(caplog: pytest.LogCaptureFixture):
    load(wake_word())
    assert (
        "TFLite model: the file leaves dimensions of the input 'features' open; compiled for "
        "1 x 1 x 16 x 1 (--input-shape features=1,H,16,1 fixes it)" in caplog.text
    )
    caplog.clear()
    load(wake_word(), part=part_of(input_shapes={"features": (1, 8, 16, 1)}))
    load(opened(build_model(small_network()), {"x": (-1, 6, 6, 4)}))  # the batch alone
    assert not caplog.text


def test_a_state_is_assigned_in_a_part_that_reads_it():
    """ASSIGN_VARIABLE has no result that outputs could depend on."""
    resource = [Tensor(f"handle{i}", (1,), np.int32) for i in range(2)]
    x, old, new = (Tensor(n, (1, 4), np.float32) for n in ("x", "old", "new"))
    end = Tensor("end", (1, 4), np.float32)
    handle = options("VarHandle", container=b"", sharedName=b"v")
    operators = [
        Operator("VAR_HANDLE", [], [resource[0]], handle),
        Operator("READ_VARIABLE", [resource[0]], [old], options("ReadVariable")),
        Operator("ADD", [x, old], [new], options("Add")),
        Operator("VAR_HANDLE", [], [resource[1]], handle),
        Operator("ASSIGN_VARIABLE", [resource[1], new], [], options("AssignVariable")),
        Operator("NEG", [new], [end], options("Neg")),
    ]
    model: Any = schema.ModelT.InitFromPackedBuf(build_model(operators), 0)
    for tensor in model.subgraphs[0].tensors:
        if tensor.name.startswith(b"handle"):
            tensor.type = schema.TensorType.RESOURCE
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    content = content_of_part(bytes(builder.Output()), part_of(outputs=["old"]))
    part: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    kinds = [part.operatorCodes[op.opcodeIndex].builtinCode for op in part.subgraphs[0].operators]
    names = {v: k for k, v in vars(schema.BuiltinOperator).items()}
    assert [names[kind] for kind in kinds] == [op.builtin for op in operators[:5]]


def test_a_part_keeps_the_state_that_it_hangs_on_and_no_other():
    """Of five ring buffers those up to there; of a variable tensor whoever changes it."""
    model, part = streaming.wake_word(), part_of(outputs=["depthwise_22"])
    program = compile_source(model, part=part).program
    assert program is not None
    assert [v.name for v in program.variables] == ["stream/states", "stream_1/states"]
    stream = Stream(content_of_part(model, part))
    rng = np.random.default_rng(0)
    with Session(program) as running:
        for _ in range(6):
            x = rng.integers(-128, 128, (1, 3, 40)).astype(np.int8)
            np.testing.assert_array_equal(running.run(x)[0].numpy(), stream.run([x])[0])
    state = Tensor("state", (1, 4), np.float32, is_variable=True)
    x, y, z = (Tensor(n, (1, 4), np.float32) for n in "xyz")
    operators = [
        Operator("ADD", [x, state], [y], options("Add")),
        Operator("NEG", [y], [z], options("Neg")),
        Operator("RELU", [x], [state]),
    ]
    program = compile_source(build_model(operators), part=part_of(outputs=["y"])).program
    assert program is not None
    one = np.ones((1, 4), np.float32)
    with Session(program) as running:
        assert [running.run(one)[0].numpy()[0, 0] for _ in range(2)] == [1, 2]


# Everything that takes a network takes a part of it.


def test_every_kind_of_session_takes_a_part():
    model = two_inputs()
    given: Any = {"input_shapes": {"x": (1, 3, 4, 5)}, "outputs": ["m"]}
    x = [np.full((1, c, 4, 5), 2, np.float32) for c in (3, 1)]
    found: list[np.ndarray] = []
    with sync.create_runner(model, compiler_hints=False, **given) as runner:
        found += runner.run(x)

    async def run() -> None:
        async with create_runner(model, compiler_hints=False, **given) as runner:
            found.extend(await runner.run(x))

    asyncio.run(run())
    submitting, queue = create_async(model, compiler_hints=False, **given)
    submitting.submit(x, context=None)
    found += queue.recv()[1].numpy()
    submitting.close()
    queue.close()
    assert len(found) == 3
    for array in found:
        np.testing.assert_array_equal(array, np.full((1, 3, 4, 5), 4))


# What has no parts.


def test_programs_and_text_have_no_parts(tmp_path: Path):
    program, text = tmp_path / "p.enf", tmp_path / "n.mlir"
    model = two_inputs()
    program.write_bytes(compile_model(model, dims={"H": 4, "W": 5}))
    write_module(load(model, part=part_of(dims={"H": 4, "W": 5})), text)
    for source, what in ((program, "the shapes of a program"), (text, "the shapes of IR")):
        with pytest.raises(ImportFailure, match=what):
            session.create(source, input_shapes={"x": (1, 3, 4, 5)})
