"""Custom operators of both formats whose kernels are Python's."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from click.testing import CliRunner
from flatbuffers import flexbuffers
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import FuriosaError
from furiosa_ir.host_kernels import HostOperator, host_kernel
from furiosa_ir.program import HostSegment
from furiosa_ir.runtime import session
from furiosa_ir.runtime.engines import host_engine
from furiosa_ir.tools.furiosa import main
from tests.importers.onnx.networks import network
from tests.open_networks.tflite_networks import convolution
from tests.oracle.litert import Operator, Tensor, build_model

node = helper.make_node


def shrunk(x: np.ndarray, lambd: float) -> np.ndarray:
    return np.sign(x) * np.maximum(np.abs(x) - np.float32(lambd), 0)


KERNEL = """
import numpy as np
from furiosa_ir.host_kernels import host_kernel

@host_kernel("com.acme::SoftShrink")
def soft_shrink(x, *, lambd=0.5):
    return np.sign(x) * np.maximum(np.abs(x) - np.float32(lambd), 0)
"""


def onnx_network(**attributes: Any) -> onnx.ModelProto:
    """int8 layers in front of and behind an operator of nobody's; nothing tells its type."""
    rng = np.random.default_rng(0)
    constants = {
        "s": np.float32(1 / 16),
        "z": np.int8(0),
        "w": rng.integers(-31, 32, (4, 3, 3, 3)).astype(np.int8),
    }
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        node("DequantizeLinear", ["w", "s", "z"], ["wd"]),
        node("Conv", ["xd", "wd"], ["c"], pads=[1] * 4),
        node("QuantizeLinear", ["c", "s", "z"], ["cq"]),
        node("DequantizeLinear", ["cq", "s", "z"], ["cd"]),
        node("SoftShrink", ["cd"], ["shrunk"], "shrink", domain="com.acme", **attributes),
        node("QuantizeLinear", ["shrunk", "s", "z"], ["yq"]),
        node("DequantizeLinear", ["yq", "s", "z"], ["yd"]),
        node("Relu", ["yd"], ["r"]),
        node("QuantizeLinear", ["r", "s", "z"], ["rq"]),
        node("DequantizeLinear", ["rq", "s", "z"], ["y"]),
    ]
    domains = {"com.acme": 1}
    return network(
        nodes, {"x": [1, 3, 5, 5]}, {"y": [1, 4, 5, 5]}, constants, opset=13, domains=domains
    )


def expected(x: np.ndarray, lambd: float) -> np.ndarray:
    """By onnxruntime: the network in front, numpy, and what is behind."""
    front = onnx_network()
    with session.create(front, outputs=["cd"], compiler_hints=False) as running:
        (features,) = running.run(x).numpy()
    made = np.clip(np.rint(shrunk(features, lambd) * 16), -128, 127) / 16
    return np.maximum(made, 0).astype(np.float32)


def test_an_onnx_operator(tmp_path: Path):
    (tmp_path / "kernel.py").write_text(KERNEL)
    x = np.random.default_rng(1).uniform(-2, 2, (1, 3, 5, 5)).astype(np.float32)
    with session.create(
        onnx_network(lambd=1.5), plugins=[tmp_path / "kernel.py"], compiler_hints=False
    ) as running:
        kinds = [s.name.partition("_")[0] for s in running.program.segments]
        assert kinds.count("npu") == 2
        np.testing.assert_array_equal(running.run(x).numpy()[0], expected(x, 1.5))


def test_isolation_leaves_kernels_in_the_process_that_has_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FURIOSA_HOST_ISOLATION", "1")
    host_kernel("com.acme::SoftShrink")(shrunk)
    nodes = [node("SoftShrink", ["x"], ["y"], domain="com.acme", lambd=1.0)]
    model = network(nodes, {"x": [3]}, {"y": [3]}, domains={"com.acme": 1})
    with session.create(model, compiler_hints=False) as running:
        (got,) = running.run(np.array([-3, 0.5, 2], np.float32)).numpy()
    np.testing.assert_array_equal(got, [-2, 0, 1])


def test_a_program_needs_the_plug_in_and_verifies(tmp_path: Path):
    (tmp_path / "kernel.py").write_text(KERNEL)
    onnx.save(onnx_network(lambd=0.25), tmp_path / "n.onnx")
    np.savez(tmp_path / "x.npz", x=np.ones((1, 3, 5, 5), np.float32))
    load = ["--load", str(tmp_path / "kernel.py")]

    def furiosa(*words: str) -> str:
        result = CliRunner().invoke(main, [*words])
        return f"{result.exit_code} {result.output}"

    program = str(tmp_path / "n.enf")
    done = furiosa("compile", str(tmp_path / "n.onnx"), *load, "--verify", "-o", program)
    assert done.startswith("0 ")
    assert "equal to exact arithmetic" in done
    inputs = ["--inputs", str(tmp_path / "x.npz")]
    assert furiosa("run", program, *load, *inputs).startswith("0 ")


def test_without_the_plug_in_a_program_says_what_it_needs(tmp_path: Path):
    host_kernel("com.acme::SoftShrink")(shrunk)
    program = compile_model(onnx_network(lambd=0.5))
    from furiosa_ir import host_kernels

    host_kernels._KERNELS.clear()
    with (
        session.create(program) as running,
        pytest.raises(FuriosaError, match=r"'shrink'.*\(--load, or plugins= of a session"),
    ):
        running.run(np.ones((1, 3, 5, 5), np.float32))


def test_results_are_compared_with_what_was_compiled():
    """What the function makes of zeros need not be what it makes of data."""
    operator = node("Nonzero", ["x"], ["n"], domain="com.acme")
    nodes = [operator, node("Relu", ["n"], ["y"])]
    model = network(nodes, {"x": [8]}, {"y": ["n"]}, domains={"com.acme": 1})

    @host_kernel("com.acme::Nonzero")
    def guessed(x: np.ndarray) -> np.ndarray:
        return x[x != 0]

    x = np.array([1, 0, -2, 3, 0, 0, 4, 5], np.float32)
    with (
        session.create(model, compiler_hints=False) as running,
        pytest.raises(FuriosaError, match=r"declared with shape \[0\]"),
    ):
        running.run(x)

    def results(x: Any) -> list[Any]:
        assert (x.shape, x.dtype) == ((8,), np.float32)
        return [([None], x.dtype)]

    host_kernel("com.acme::Nonzero", results=results)(guessed)
    with session.create(model, compiler_hints=False) as running:
        np.testing.assert_array_equal(running.run(x).numpy()[0], [1, 0, 3, 4, 5])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return x[0] / 0 + None", "in the host kernel of 'com.acme::SoftShrink'"),
        ("return [x, x]", "returns 2 results, not 1"),
        ("return x > 0", "returns bool for 'shrink', not float32"),
        ("return None", "returns object for 'shrink', not float32"),
    ],
)
def test_a_kernel_that_is_wrong_is_named(tmp_path: Path, body: str, message: str):
    head = KERNEL.partition("    return")[0]
    text = f"{head}    if not x.any():\n        return x\n    {body}\n"
    (tmp_path / "kernel.py").write_text(text)
    with session.create(
        onnx_network(), plugins=[tmp_path / "kernel.py"], compiler_hints=False
    ) as running:
        with pytest.raises(FuriosaError) as caught:
            running.run(np.ones((1, 3, 5, 5), np.float32))
        assert message in str(caught.value)
        assert "layer 'shrink'" in str(caught.value)


def test_what_a_kernel_gets_stays_as_it_is():
    nodes = [node("Same", ["x", "w"], ["y"], domain="com.acme")]
    constants = {"w": np.ones(3, np.float32)}
    model = network(nodes, {"x": [3]}, {"y": [3]}, constants, domains={"com.acme": 1})

    @host_kernel("com.acme::Same")
    def same(x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return w if x[0] > 0 else x

    given = np.array([-1, 2, 3], np.float32)
    with session.create(model, compiler_hints=False) as running:
        for x, want in ((given, given), (-given, constants["w"]), (-given, constants["w"])):
            (got,) = running.run(x).numpy()
            np.testing.assert_array_equal(got, want)
            got += 1  # the caller's to change

    @host_kernel("com.acme::Same")
    def spoil(x: np.ndarray, w: np.ndarray) -> np.ndarray:
        w += x
        return w

    with (
        session.create(model, compiler_hints=False) as running,
        pytest.raises(FuriosaError, match=r"read-only, .*the host kernel of 'com.acme::Same'"),
    ):
        running.run(given)


def test_a_segment_whose_model_is_corrupt_is_refused():
    host_kernel("com.acme::SoftShrink")(shrunk)
    nodes = [node("SoftShrink", ["x"], ["y"], domain="com.acme", lambd=1.0)]
    model = network(nodes, {"x": [3]}, {"y": [3]}, domains={"com.acme": 1})
    (segment,) = read_program(compile_model(model)).segments
    assert isinstance(segment, HostSegment)
    other = network(nodes, {"z": [3]}, {"y": [3]}, domains={"com.acme": 1}).SerializeToString()
    rng = np.random.default_rng(0)
    spoilt = [b"", b"\xff" * 9, other, *(bytes(segment.model)[:n] for n in range(0, 90, 7))]
    for _ in range(40):
        content = bytearray(segment.model)
        content[rng.integers(len(content))] = rng.integers(256)
        spoilt.append(bytes(content))
    for framework in ("onnx", "tflite"):
        for content in spoilt:
            engine = host_engine(replace(segment, model=content, framework=framework))
            with suppress(FuriosaError):
                engine.run([np.ones(3, np.float32)])


def test_a_batch_runs_a_kernel_sample_by_sample():
    host_kernel("com.acme::SoftShrink")(shrunk)
    x = np.random.default_rng(1).uniform(-2, 2, (3, 3, 5, 5)).astype(np.float32)
    model = onnx_network(lambd=0.5)
    with (
        session.create(model, compiler_hints=False) as single,
        session.create(model, compiler_hints=False, batch_size=3) as batch,
    ):
        alone = [single.run(one[None]).numpy()[0] for one in x]
        np.testing.assert_array_equal(batch.run(x).numpy()[0], np.concatenate(alone))


def test_an_attribute_that_a_kernel_does_not_take_is_an_error():
    host_kernel("com.acme::SoftShrink")(lambda x: x)
    with pytest.raises(FuriosaError, match="unexpected keyword argument 'bias'"):
        compile_model(onnx_network(bias=1.0))


def test_inputs_left_out_constants_and_every_kind_of_attribute():
    seen: list[HostOperator] = []

    @host_kernel("com.acme::Many")
    def many(x: Any, nothing: Any, w: Any, *, operator: HostOperator, **given: Any) -> list[Any]:
        seen.append(operator)
        assert nothing is None
        assert given == dict(operator.attributes)
        return [x + w, (x * 2).astype(np.int64)]

    table = numpy_helper.from_array(np.arange(3), "t")
    operator = node(
        "Many",
        ["x", "", "w"],
        ["a", "b"],
        domain="com.acme",
        mode="fast",
        sizes=[1, 2],
        table=table,
    )
    constants = {"w": np.array([1, 2, 3], np.float32)}
    outputs = {"a": [2, 3], "b": ([2, 3], TensorProto.INT64)}
    model = network([operator], {"x": [2, 3]}, outputs, constants, domains={"com.acme": 1})
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    with session.create(model, compiler_hints=False) as running:
        a, b = running.run(x).numpy()
    np.testing.assert_array_equal(a, x + constants["w"])
    np.testing.assert_array_equal(b, (2 * x).astype(np.int64))
    assert seen[-1].name == "com.acme::Many"
    assert seen[-1].attributes["mode"] == "fast"
    assert seen[-1].attributes["sizes"] == [1, 2]
    np.testing.assert_array_equal(seen[-1].attributes["table"], [0, 1, 2])
    assert [o.dtype for o in seen[-1].outputs] == [np.float32, np.int64]


def tflite_network(shape: tuple[int, ...], options: dict[str, Any]) -> bytes:
    """An int8 convolution, and a custom operator behind it that makes floats of that shape."""
    rng = np.random.default_rng(1)
    x = Tensor("x", (1, 6, 6, 4), np.int8, 0.05, 3)
    first = convolution("features", x, 4, rng, size=(6, 6))
    boxes = Tensor("boxes", shape, np.float32)
    end = Tensor("end", (1, 6, 6, 4), np.float32)
    custom = Operator("CUSTOM", first.outputs, [boxes])
    model: Any = schema.ModelT.InitFromPackedBuf(
        build_model([first, custom, Operator("ABS", [boxes], [end])]), 0
    )
    model.operatorCodes[1].customCode = b"VendorDecode"
    graph = model.subgraphs[0]
    graph.operators[1].customOptions = np.frombuffer(flexbuffers.Dumps(options), np.uint8)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("shape", [(1, 6, 6, 4), ()])
def test_a_tflite_operator(shape: tuple[int, ...]):
    """It gets stored integers, with the scale, and its options; its shape may be left out."""

    @host_kernel("VendorDecode")
    def decode(
        stored: np.ndarray, *, factor: float, mode: str, sizes: list[int], operator: HostOperator
    ) -> np.ndarray:
        assert (mode, sizes) == ("fast", [1, 2, 3])
        (tensor,) = operator.inputs
        assert tensor is not None
        assert flexbuffers.Loads(operator.custom_options)["mode"] == "fast"
        return (stored.astype(np.float32) - tensor.zero_point) * tensor.scale * factor

    model = tflite_network(shape, {"factor": 2.5, "mode": "fast", "sizes": [1, 2, 3]})
    x = np.random.default_rng(0).integers(-128, 128, (1, 6, 6, 4)).astype(np.int8)
    with session.create(model, outputs=["features"], compiler_hints=False) as running:
        (features,) = running.run(x).numpy()
    with session.create(model, compiler_hints=False) as running:
        assert running.program.segments[0].name == "npu_0"
        (got,) = running.run(x).numpy()
    want = np.abs((features.astype(np.float32) - 3) * np.float32(0.05) * 2.5)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_a_kernel_is_in_the_way_of_nobody():
    """The declaration of one operator changes no program without it."""
    front = compile_model(onnx_network(), outputs=["cd"])
    host_kernel("com.acme::SoftShrink")(shrunk)
    assert compile_model(onnx_network(), outputs=["cd"]) == front
