"""A float ONNX network in the form that onnxruntime's quantiser works best on."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx.embedding import embed_external_data
from furiosa_ir.importers.onnx.file import read_model
from furiosa_ir.leftovers import temporary_folder
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.numerics.array import Array
from furiosa_ir.quantization.libraries import quiet, refusals
from furiosa_ir.quantization.names import fresh, value_names
from furiosa_ir.quantization.opset import (
    PER_CHANNEL_OPSET,
    RESIZE_MODES_OPSET,
    opset_of,
    raise_opset,
)

_IR_VERSION = 8
"""Of opset 13 to 16; from 4 on, weights need not be listed as inputs."""

IN_ONE_FILE = 1 << 30
"""Larger networks keep their weights beside temporary files: protobuf ends at 2 GiB."""


def read_network(source: Path, part: Part = WHOLE) -> onnx.ModelProto:
    """An ONNX network or a part of it, with its weights, not quantised yet; every node has a name.

    Raises:
        FuriosaError: it is no such network.
    """
    model = read_model(source, part).model
    try:
        embed_external_data(model, source.parent)
    except ImportFailure as error:
        raise error.at(file=str(source)) from None
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
    taken = {node.name for node in model.graph.node}
    seen: set[str] = set()
    for index, node in enumerate(model.graph.node):
        if not node.name or node.name in seen:
            node.name = fresh(f"{node.name or node.op_type}_{index}", taken)
        seen.add(node.name)


def prepare(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The same network without what quantisation stumbles over.

    Constants are folded, BatchNormalization is part of the convolution before it or a convolution
    itself, Dropout is gone, every shape is written down, and the opset has quantisation per
    channel.

    Raises:
        FuriosaError: onnxruntime or onnx does not take it.
    """
    if opset_of(model) < RESIZE_MODES_OPSET:
        model = _folded(model, name)
    # onnxruntime's preparation has onnx's converter raise what is older, which is not trusted.
    raise_opset(model, PER_CHANNEL_OPSET, name)
    model = _optimized(model, name)
    if _normalizations_as_convolutions(model):
        model = _optimized(model, name)  # scales and biases after them join the convolution
    settle_gemms(model)
    with refusals("onnx does not infer its shapes", name):
        model = shape_inference.infer_shapes(model, data_prop=True)
    name_nodes(model)
    return model


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """A network that may be changed; saving with external data changes it too."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _folded(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The same network where computed factors of a Resize or an Upsample are constants."""
    constants = {i.name for i in model.graph.initializer}
    if not any(
        node.op_type in ("Resize", "Upsample") and any(i not in constants for i in node.input[1:])
        for node in model.graph.node
    ):
        return model
    import onnxruntime  # noqa: PLC0415  # takes 0.1 s

    options = cast("Any", onnxruntime.SessionOptions())
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with temporary_folder() as folder:
        source, target = folder / "source.onnx", folder / "folded.onnx"
        onnx.save(model, source, save_as_external_data=model.ByteSize() > IN_ONE_FILE)
        options.optimized_model_filepath = str(target)
        with refusals("onnxruntime does not take the network", name), quiet():
            onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        return _with_used_domains(onnx.load(target))


def _optimized(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    shapes: Any = import_module("onnxruntime.quantization.shape_inference")  # takes seconds
    large = model.ByteSize() > IN_ONE_FILE
    with temporary_folder() as folder:
        # By way of a file: of a message, some constants get lost (onnxruntime 1.32).
        source, target = folder / "source.onnx", folder / "prepared.onnx"
        onnx.save(model, source, save_as_external_data=large)
        with refusals("onnxruntime does not take the network", name), quiet():
            shapes.quant_pre_process(
                str(source),
                str(target),
                skip_symbolic_shape=True,  # needs sympy; onnx's own inference follows
                save_as_external_data=large,
            )
        return _with_used_domains(onnx.load(target))


def _with_used_domains(prepared: onnx.ModelProto) -> onnx.ModelProto:
    """The optimiser declares every domain it knows; only those in use say something."""
    used = {node.domain or "" for node in prepared.graph.node} | {""}
    imports = {("" if o.domain == "ai.onnx" else o.domain): o for o in prepared.opset_import}
    kept = [o for domain, o in imports.items() if domain in used]
    del prepared.opset_import[:]
    prepared.opset_import.extend(kept)
    return prepared


def _normalizations_as_convolutions(model: onnx.ModelProto) -> bool:
    """Turns each BatchNormalization that no convolution took in into a depthwise 1x1 convolution.

    It is the same function, and the one form of it that has an integer accumulator.
    """
    constants = {i.name: i for i in model.graph.initializer}
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in _typed_values(model)}
    taken = value_names(model.graph)
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
        layer = node.name or node.output[0]
        names = [fresh(f"{layer}_{part}", taken) for part in ("weight", "bias")]
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


def settle_gemms(model: onnx.ModelProto) -> None:
    """Gives every Gemm with constants the one form that the quantiser expects.

    That is a bias of one number for each column of the product, and no factors: onnxruntime's
    quantiser resets beta without a word, and takes a bias for integers of the product's unit
    without alpha. What differs from row to row becomes an Add behind the Gemm.
    """
    constants = {i.name: i for i in model.graph.initializer}
    taken = value_names(model.graph)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        nodes.append(node)
        if node.op_type != "Gemm":
            continue
        weight, given = (
            numpy_helper.to_array(constants[name]) if name in constants else None
            for name in [*node.input[1:], ""][:2]
        )
        if weight is not None:
            scaled = _with_factor(node, "alpha", weight)
            if scaled is not weight:
                node.input[1] = _own_constant(model, node, 1, scaled, taken)
        if given is None:
            continue
        bias = _with_factor(node, "beta", given)
        if bias.ndim == 2 and bias.shape[0] > 1:
            name = _own_constant(model, node, 2, bias, taken)
            del node.input[2]
            result, product = node.output[0], fresh(f"{node.output[0]}_product", taken)
            node.output[0] = product
            nodes.append(helper.make_node("Add", [product, name], [result], f"{name}_sum"))
            continue
        if weight is not None:
            bias = _for_each_column(bias, node, weight)
        if bias is not given:
            node.input[2] = _own_constant(model, node, 2, bias, taken)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _with_factor(gemm: onnx.NodeProto, name: str, elements: Array) -> Array:
    """The elements times alpha or beta, which becomes 1."""
    for attribute in gemm.attribute:
        if attribute.name == name and attribute.f != 1:
            factor, attribute.f = attribute.f, 1.0
            # Of infinite elements zero leaves nothing either.
            product = elements.astype(np.float64) * factor if factor else np.zeros_like(elements)
            return product.astype(elements.dtype)
    return elements


def _for_each_column(bias: Array, gemm: onnx.NodeProto, weight: Array) -> Array:
    transposed = any(a.name == "transB" and a.i for a in gemm.attribute)
    columns = weight.shape[0 if transposed else 1]
    if bias.shape == (columns,):
        return bias
    return np.broadcast_to(bias.reshape(-1), (columns,))


def _own_constant(
    model: onnx.ModelProto, node: onnx.NodeProto, at: int, elements: Array, taken: set[str]
) -> str:
    """A constant in place of an input that other nodes may have too; its name."""
    name = fresh(f"{node.input[at]}_{node.name or node.output[0]}_{at}", taken)
    whole = np.ascontiguousarray(elements).reshape(elements.shape)
    constant = numpy_helper.from_array(whole, name)
    model.graph.initializer.append(constant)
    return name


def _typed_values(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    graph = model.graph
    return cast("list[Any]", [*graph.value_info, *graph.input, *graph.output])
