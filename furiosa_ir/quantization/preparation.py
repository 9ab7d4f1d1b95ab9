"""A float ONNX network in the form that onnxruntime's quantiser works best on."""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference, version_converter

from furiosa_ir.errors import FuriosaError
from furiosa_ir.importers.onnx.file import read_model
from furiosa_ir.quantization.libraries import quiet, refusals

PER_CHANNEL_OPSET = 13
"""Since it QuantizeLinear and DequantizeLinear have an axis."""

_IR_VERSION = 8
"""Of opset 13 to 16; from 4 on, weights need not be listed as inputs."""

IN_ONE_FILE = 1 << 30
"""Larger networks keep their weights beside temporary files: protobuf ends at 2 GiB."""


def read_float_model(source: Path) -> onnx.ModelProto:
    """An ONNX network with its weights, which is not quantised yet; every node has a name.

    Raises:
        FuriosaError: it is no such network.
    """
    model = read_model(source).model
    try:
        onnx.load_external_data_for_model(model, str(source.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        text = str(error).splitlines()[0]
        raise FuriosaError(f"its external data cannot be read: {text}", file=str(source)) from None
    for node in model.graph.node:
        if node.op_type.startswith(("QuantizeLinear", "DequantizeLinear", "QLinear")):
            raise FuriosaError(
                "the network is quantised already",
                file=str(source),
                layer=node.name or node.output[0],
                hint="compile it as it is",
            )
    # What an old file lists as an input with a default, later ones list as a constant only; and
    # only a constant can be folded.
    constants = {i.name for i in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, _IR_VERSION)
    name_nodes(model)
    return model


def name_nodes(model: onnx.ModelProto) -> None:
    """Gives a name to each node that has none of its own: layers are known by it."""
    taken: set[str] = set()
    for index, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.name or node.op_type}_{index}"
        taken.add(node.name)


def prepare(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The same network without what quantisation stumbles over.

    Constants are folded, BatchNormalization is part of the convolution before it or a convolution
    itself, Dropout is gone, every shape is written down, and the opset has quantisation per
    channel.

    Raises:
        FuriosaError: onnxruntime or onnx does not take it.
    """
    model = _optimized(model, name)
    if _normalizations_as_convolutions(model):
        model = _optimized(model, name)  # scales and biases after them join the convolution
    if _opset(model) < PER_CHANNEL_OPSET:
        with refusals(f"cannot be raised to opset {PER_CHANNEL_OPSET}", name):
            model = version_converter.convert_version(model, PER_CHANNEL_OPSET)
    _flatten_biases(model)
    model = shape_inference.infer_shapes(model, data_prop=True)
    name_nodes(model)
    return model


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """A network that may be changed; saving with external data changes it too."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _optimized(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    shapes: Any = import_module("onnxruntime.quantization.shape_inference")  # takes seconds
    large = model.ByteSize() > IN_ONE_FILE
    with tempfile.TemporaryDirectory() as folder:
        # By way of a file: of a message, some constants get lost (onnxruntime 1.32).
        source, target = Path(folder, "source.onnx"), Path(folder, "prepared.onnx")
        onnx.save(model, source, save_as_external_data=large)
        with refusals("onnxruntime does not take the network", name), quiet():
            shapes.quant_pre_process(
                str(source),
                str(target),
                skip_symbolic_shape=True,  # needs sympy; onnx's own inference follows
                save_as_external_data=large,
            )
        prepared = onnx.load(target)
    # The optimiser declares every domain it knows; only those in use say something.
    used = {node.domain or "" for node in prepared.graph.node} | {""}
    imports = {("" if o.domain == "ai.onnx" else o.domain): o for o in prepared.opset_import}
    kept = [o for domain, o in imports.items() if domain in used]
    del prepared.opset_import[:]
    prepared.opset_import.extend(kept)
    return prepared


def _opset(model: onnx.ModelProto) -> int:
    return next(int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx"))


def _normalizations_as_convolutions(model: onnx.ModelProto) -> bool:
    """Turns each BatchNormalization that no convolution took in into a depthwise 1x1 convolution.

    It is the same function, and the one form of it that has an integer accumulator.
    """
    constants = {i.name: i for i in model.graph.initializer}
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in _typed_values(model)}
    changed = False
    for node in model.graph.node:
        if node.op_type != "BatchNormalization" or len([o for o in node.output if o]) > 1:
            continue
        rank = ranks.get(node.input[0], 0)
        if rank < 3 or any(i not in constants for i in node.input[1:5]):
            continue
        scale, bias, mean, variance = (
            numpy_helper.to_array(constants[i]).astype(np.float64) for i in node.input[1:5]
        )
        if constants[node.input[1]].data_type != onnx.TensorProto.FLOAT:
            continue
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        factor = scale / np.sqrt(variance + attributes.get("epsilon", 1e-5))
        weight = factor.reshape(-1, *[1] * (rank - 1)).astype(np.float32)
        offset = (bias - mean * factor).astype(np.float32)
        names = [f"{node.name or node.output[0]}_{part}" for part in ("weight", "bias")]
        for constant, elements in zip(names, (weight, offset), strict=True):
            model.graph.initializer.append(numpy_helper.from_array(elements, constant))
        node.CopyFrom(
            helper.make_node(
                "Conv",
                [node.input[0], *names],
                list(node.output[:1]),
                node.name,
                group=len(factor),
                kernel_shape=[1] * (rank - 2),
            )
        )
        changed = True
    return changed


def _flatten_biases(model: onnx.ModelProto) -> None:
    """Gives every constant Gemm bias the shape [columns], the only one the quantiser expects."""
    constants = {i.name: i for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Gemm" or len(node.input) < 3:
            continue
        weight, bias = (constants.get(name) for name in node.input[1:3])
        if weight is None or bias is None:
            continue
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        columns = weight.dims[0 if transposed else 1]
        elements = numpy_helper.to_array(bias)
        if elements.shape == (columns,) or elements.size not in (1, columns):
            continue
        if elements.size == columns and elements.shape[-1:] != (columns,):
            continue  # a bias for each row
        name = f"{node.input[2]}_{node.name or node.output[0]}"
        flat = np.broadcast_to(elements.reshape(-1), (columns,))
        model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(flat), name))
        node.input[2] = name


def _typed_values(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    graph = model.graph
    return cast("list[Any]", [*graph.value_info, *graph.input, *graph.output])
