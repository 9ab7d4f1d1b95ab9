"""External data for onnx and onnxruntime to read, and tensors that lie in few bytes of it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir.importers.onnx.embedding import embed_external_data
from tests import bounded

SHAPE = [1, 8, 4, 4]
HOLE = 2 << 30


def stored(name: str, location: str, dims: Sequence[int], code: int = 1) -> TensorProto:
    """A tensor at the start of a file."""
    tensor = TensorProto(name=name, data_type=code, data_location=TensorProto.EXTERNAL, dims=dims)
    tensor.external_data.add(key="location", value=location)
    size = int(np.prod(dims)) * helper.tensor_dtype_to_np_dtype(code).itemsize
    tensor.external_data.add(key="length", value=str(size))
    return tensor


def network(folder: Path, tensors: Sequence[TensorProto], *, used: bool, quantised: bool) -> Path:
    """A Relu beside which stand tensors, which are other outputs' if they are used."""
    scale = numpy_helper.from_array(np.asarray(0.1, np.float32), "s")
    zero = numpy_helper.from_array(np.asarray(0, np.int8), "z")
    steps = [
        "x",
        "QuantizeLinear",
        "DequantizeLinear",
        "Relu",
        "QuantizeLinear",
        "DequantizeLinear",
    ]
    if not quantised:
        steps = ["x", "Relu"]
    names = ["x", *(f"v{i}" for i in range(len(steps) - 2)), "y"]
    nodes = [
        helper.make_node(op, [a, *(["s", "z"] if op != "Relu" else [])], [b])
        for op, (a, b) in zip(steps[1:], itertools.pairwise(names), strict=True)
    ]
    outputs = [helper.make_tensor_value_info("y", 1, SHAPE)]
    for tensor in tensors if used else ():
        is_byte = tensor.data_type == TensorProto.INT8
        made = f"of {tensor.name}"
        operands = [tensor.name, "s", *(["z"] if is_byte else [])]
        nodes.append(helper.make_node("DequantizeLinear" if is_byte else "Mul", operands, [made]))
        outputs.append(helper.make_tensor_value_info(made, 1, tensor.dims))
    inputs = [helper.make_tensor_value_info("x", 1, SHAPE)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [scale, zero, *tensors])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def samples(folder: Path) -> Path:
    path = folder / "samples.npz"
    np.savez(path, x=np.random.default_rng(0).random([2, *SHAPE[1:]], np.float32))
    return path


UNUSED = {
    "that is missing": ("missing.bin", [8]),
    "outside": ("../outside.bin", [8]),
    "anywhere": ("/etc/hostname", [1]),
    "of holes": ("holes.bin", [HOLE // 4]),
}


@pytest.mark.parametrize("where", UNUSED)
@pytest.mark.parametrize("command", ["--verify", "quantize"])
def test_what_nothing_uses_is_not_read(where: str, command: str, tmp_path: Path):
    with (tmp_path / "holes.bin").open("wb") as file:
        file.truncate(HOLE)
    location, dims = UNUSED[where]
    unused = [stored("w", location, dims)]
    out = tmp_path / "out"
    if command == "quantize":
        source = network(tmp_path, unused, used=False, quantised=False)
        done = bounded.furiosa(
            "quantize", source, "--calibration", samples(tmp_path), "-o", out.with_suffix(".onnx")
        )
    else:
        source = network(tmp_path, unused, used=False, quantised=True)
        done = bounded.furiosa("compile", source, "--verify", "-o", out)
    assert done.code == 0, done


@pytest.mark.parametrize("kind", ["aliases", "holes"])
@pytest.mark.parametrize("command", ["compile", "--verify", "quantize"])
def test_shared_bytes_and_holes_do_not_grow(kind: str, command: str, tmp_path: Path):
    with (tmp_path / "w.bin").open("wb") as file:
        file.write(bytes(1 << 20))
        file.truncate(HOLE if kind == "holes" else 1 << 20)
    code = TensorProto.FLOAT if command == "quantize" else TensorProto.INT8
    width = 4 if command == "quantize" else 1
    count, size = (3000, 1 << 20) if kind == "aliases" else (1, HOLE)
    tensors = [stored(f"w{i}", "w.bin", [size // width], code) for i in range(count)]
    source = network(tmp_path, tensors, used=True, quantised=command != "quantize")
    assert source.stat().st_size < 1 << 20
    if command == "quantize":
        options = ["quantize", "--calibration", samples(tmp_path), "-o", tmp_path / "out.onnx"]
    else:
        options = ["compile", "-o", tmp_path / "out"] + ["--verify"] * (command == "--verify")
    assert "16 times what their external files have on the disk" in bounded.refusal(
        *options, source
    )


def test_what_is_used_is_the_same_as_onnx_loads(tmp_path: Path):
    rng = np.random.default_rng(1)
    (tmp_path / "w.bin").write_bytes(rng.bytes(64))
    shapes = [([4, 2], TensorProto.FLOAT), ([64], TensorProto.INT8), ([0], TensorProto.DOUBLE)]
    tensors = [stored(f"w{i}", "w.bin", *shape) for i, shape in enumerate(shapes)]
    source = network(tmp_path, tensors, used=True, quantised=True)
    model = onnx.load(source, load_external_data=False)
    embed_external_data(model, tmp_path)
    want = {t.name: numpy_helper.to_array(t) for t in onnx.load(source).graph.initializer}
    for tensor in model.graph.initializer:
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), want[tensor.name])
        assert not tensor.external_data
