"""Sound files of networks that make no sense: refused in one sentence, whoever notices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import CompilationFailure, FuriosaError, ImportFailure
from tests.importers.onnx.networks import network
from tests.importers.tflite.single import options
from tests.oracle.litert import Operator, Tensor, build_model

node = helper.make_node
INT8 = TensorProto.INT8


def refused(model: bytes) -> FuriosaError:
    with pytest.raises((ImportFailure, CompilationFailure)) as caught:
        compile_model(model)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    return caught.value


def convolution(
    *, scale: float = 0.5, zero_point: int = 0, bias: tuple[int, ...] = (4,), **fields: Any
) -> bytes:
    """CONV_2D of [1, 8, 8, 2] by [4, 3, 3, 2]."""
    x = Tensor("x", (1, 8, 8, 2), np.int8, scale, zero_point)
    weight = Tensor.constant("w", np.ones((4, 3, 3, 2), np.int8), 0.5)
    terms = Tensor.constant("b", np.ones(bias, np.int32), 0.25)
    y = Tensor("y", (1, 6, 6, 4), np.int8, 0.5)
    given = {"padding": 1, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    kind = options("Conv2D", **(given | fields))
    return build_model([Operator("CONV_2D", [x, weight, terms], [y], kind)])


def softmax(scale: float) -> bytes:
    x = Tensor("x", (1, 8), np.int8, scale)
    y = Tensor("y", (1, 8), np.int8, 1 / 256, -128)
    return build_model([Operator("SOFTMAX", [x], [y], options("Softmax", beta=1.0))])


def add(*scales: float | None) -> bytes:
    """ADD of two tensors and its result, int8 each."""
    a, b, y = (Tensor(n, (1, 8), np.int8, s) for n, s in zip("aby", scales, strict=True))
    return build_model([Operator("ADD", [a, b], [y], options("Add"), 2)])


TFLITE = {
    "huge scale": (add(0.5, 1e30, 0.5), "the scale 0.5 for one of 1e+30"),
    "tiny scale": (add(0.5, 0.5, 1e-30), "the scale 1e-30 for one of 0.5"),
    "result without a scale": (add(0.5, 0.5, None), "ADD has a tensor without a scale"),
    "operand of scale zero": (add(0.5, 0.0, 0.5), "ADD has a tensor without a scale"),
    "stride": (convolution(strideH=0), "a stride of 0"),
    "negative stride": (convolution(strideH=-1), "a stride of -1"),
    "dilation": (convolution(dilationHFactor=0), "a dilation of 0"),
    "zero point": (convolution(zero_point=200), "a zero point is no int8"),
    "bias": (convolution(bias=(3,)), "bias has shape"),
    "softmax": (softmax(1e-9), "SOFTMAX of numbers of the scale 1e-09"),
}


@pytest.mark.parametrize("case", TFLITE)
def test_tflite(case: str) -> None:
    model, what = TFLITE[case]
    assert what in str(refused(model))


X, Y = {"x": ([1, 2, 8, 8], INT8)}, {"y": ([1, 4, 6, 6], INT8)}


def quantized(*nodes: Any, **constants: Any) -> bytes:
    """DequantizeLinear of x to xr and w to wr, nodes to yr, QuantizeLinear of that."""
    arrays = {
        "s": np.float32(0.5),
        "z": np.int8(0),
        "w": np.ones((4, 2, 3, 3), np.int8),
    }
    return network(
        [
            node("DequantizeLinear", ["x", "s", "z"], ["xr"]),
            node("DequantizeLinear", ["w", "s", "z"], ["wr"]),
            *nodes,
            node("QuantizeLinear", ["yr", "s", "z"], ["y"]),
        ],
        X,
        Y,
        arrays | constants,
    ).SerializeToString()


def conv(**attributes: Any) -> Any:
    return node("Conv", ["xr", "wr"], ["yr"], **attributes)


def conv_transpose(**attributes: Any) -> bytes:
    made = node("ConvTranspose", ["x", "w"], ["y"], **attributes)
    weight = {"w": np.ones((3, 2, 3, 3), np.float32)}
    return network([made], {"x": [1, 3, 8, 8]}, {"y": None}, weight).SerializeToString()


def recursive() -> bytes:
    model = network([node("F", ["x"], ["y"], domain="local")], X, {"y": None}, None, 17)
    body = [node("F", ["a"], ["b"], domain="local")]
    model.functions.append(
        helper.make_function("local", "F", ["a"], ["b"], body, list(model.opset_import))
    )
    model.opset_import.add(domain="local", version=1)
    model.functions[0].opset_import.add(domain="local", version=1)
    return model.SerializeToString()


ONNX = {
    "stride": (quantized(conv(strides=[0, 1])), "a stride of 0"),
    "dilation": (quantized(conv(dilations=[-1, 1])), "a dilation of -1"),
    "padding": (quantized(conv(pads=[-1, 0, 0, 0])), "padding of -1"),
    "group": (quantized(conv(group=0)), "in 0 groups"),
    "transposed stride": (conv_transpose(strides=[-2, 1]), "a stride of -2"),
    "transposed group": (conv_transpose(group=0), "in 0 groups"),
    "transposed padding": (conv_transpose(pads=[9, 9, 9, 9]), "a result of shape [1, 2, -8, -8]"),
    "zero point of another type": (
        network(
            [node("DequantizeLinear", ["x", "s", "z"], ["y"])],
            {"x": [4]},
            {"y": [4]},
            {"s": np.float32(0.5), "z": np.int8(0)},
        ).SerializeToString(),
        "takes no float as 'x'",
    ),
    "integer scale": (
        network(
            [node("QuantizeLinear", ["x", "s", "z"], ["y"])],
            {"x": [4]},
            {"y": ([4], INT8)},
            {"s": np.int64(2), "z": np.int8(0)},
        ).SerializeToString(),
        "takes no int64 as 'y_scale'",
    ),
    "float to a logical operator": (
        network([node("Not", ["x"], ["y"])], {"x": [4]}, {"y": None}).SerializeToString(),
        "takes no float as 'X'",
    ),
    "sum of two types": (
        network(
            [node("Add", ["x", "i"], ["y"])], {"x": [4]}, {"y": None}, {"i": np.array([1])}
        ).SerializeToString(),
        "takes 'A' and 'B' of one type, not float and int64",
    ),
    "concatenation of two types": (
        network(
            [node("Concat", ["x", "x", "i"], ["y"], axis=0)],
            {"x": [4]},
            {"y": None},
            {"i": np.array([1])},
        ).SerializeToString(),
        "takes 'inputs' and 'inputs' of one type, not float and int64",
    ),
    "integer convolution": (
        network(
            [node("ConvInteger", ["x", "w"], ["y"])],
            {"x": [1, 2, 8, 8]},
            {"y": None},
            {"w": np.ones((4, 2, 3, 3), np.int8)},
        ).SerializeToString(),
        "takes no float as 'x'",
    ),
    "scale of another number of channels": (
        quantized(node("InstanceNormalization", ["xr", "v", "v"], ["yr"]), v=np.ones(4, "f4")),
        "a parameter of shape [4] for channels [2]",
    ),
    "statistics of another number of channels": (
        quantized(node("BatchNormalization", ["xr", *"vvvv"], ["yr"]), v=np.ones((2, 1), "f4")),
        "a parameter of shape [2, 1] for channels [2]",
    ),
    "scale of more than the normalised dimensions": (
        quantized(node("LayerNormalization", ["xr", "v"], ["yr"], axis=3), v=np.ones((8, 1), "f4")),
        "scale or bias [8, 1] is larger than [8]",
    ),
    "function of itself": (recursive(), "calls itself"),
}


@pytest.mark.parametrize("case", ONNX)
def test_onnx(case: str) -> None:
    model, what = ONNX[case]
    assert what in str(refused(model))
