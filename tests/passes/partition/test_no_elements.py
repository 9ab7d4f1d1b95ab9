"""Tensors of no elements: the host's, wherever a network has them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from furiosa.runtime import session
from furiosa_ir.backends import read_program
from furiosa_ir.compiler import compile_model
from furiosa_ir.program import DeviceSegment


def network() -> bytes:
    """A part of no channels, joined with the whole, and given back as well."""
    held = {
        "s": np.float32(0.05), "z": np.int8(0),
        "from": np.array([0]), "to": np.array([0]), "along": np.array([1]),
    }  # fmt: skip
    steps = [
        ("DequantizeLinear", "x s z", "xd"),
        ("Slice", "xd from to along", "e"),
        ("QuantizeLinear", "e s z", "eq"),
        ("DequantizeLinear", "eq s z", "ed"),
        ("Concat", "ed xd", "w"),
        ("QuantizeLinear", "w s z", "wq"),
        ("DequantizeLinear", "wq s z", "wd"),
        ("MaxPool", "wd", "p"),
        ("QuantizeLinear", "p s z", "y"),
    ]
    options = {"Concat": {"axis": 1}, "MaxPool": {"kernel_shape": [2, 2]}}
    nodes = [
        helper.make_node(kind, given.split(), [made], **options.get(kind, {}))
        for kind, given, made in steps
    ]
    graph = helper.make_graph(
        nodes,
        "parts",
        [helper.make_tensor_value_info("x", TensorProto.INT8, [1, 4, 8, 8])],
        [helper.make_tensor_value_info(n, TensorProto.INT8, None) for n in ("y", "eq")],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in held.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


@pytest.mark.parametrize("target", ["warboy", "warboy-2pe", "mlir"])
def test_no_segment_of_the_device_has_them(target: str) -> None:
    """Not even to hand them on, as a cast between quantised and plain bytes would."""
    program = read_program(compile_model(network(), target=target))
    device = [s for s in program.segments if isinstance(s, DeviceSegment)]
    assert device
    for segment in device:
        for tensor in (*segment.reads, *segment.makes):
            assert 0 not in program.tensors[tensor].shape
    if target == "mlir":
        return
    x = np.random.default_rng(0).integers(-128, 128, (1, 4, 8, 8)).astype(np.int8)
    with session.create(compile_model(network(), target=target)) as running:
        whole, none = running.run([x]).numpy()
    assert none.shape == (1, 0, 8, 8)
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2), (2, 3))
    np.testing.assert_array_equal(whole, windows.max((4, 5)))
