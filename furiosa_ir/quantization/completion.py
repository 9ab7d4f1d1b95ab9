"""ONNX networks that are quantised in part: what they have is kept, the rest is quantised as well.

onnxruntime's quantiser takes a float network. So the pairs of QuantizeLinear and DequantizeLinear
go before it works, integer constants become the real numbers that they mean, and it is told the
scales that were there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper, numpy_helper

from furiosa_ir.numerics.array import Array
from furiosa_ir.quantization.names import (
    fresh,
    graphs_of,
    replace_uses,
    subgraphs_of,
    value_names,
)
from furiosa_ir.quantization.own_scales import CARRIED

_Q, _DQ = "QuantizeLinear", "DequantizeLinear"

_BYTES = {np.dtype(np.int8), np.dtype(np.uint8)}

_TWO_OPERANDS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
"""Operators whose second input is data, or a weight that has to be quantised as well."""

_ALL_OPERANDS = {"Add", "Sub", "Mul", "Div", "Concat", "Max", "Min", "Sum"}

_FUSED = {"Relu", "Clip"}
"""Operators that belong to the one before them, without a pair between."""

_MOVED = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"}
"""Operators whose result has the scale of what they take."""


@dataclass(frozen=True)
class Given:
    """The quantisation that a tensor has already.

    Attributes:
        scale: one number, or one for each index of the axis.
        zero_point: in the type that the tensor is stored in.
        axis: of the scales; None of a single one.
        elements: of a constant, the real numbers that are so quantised.
    """

    scale: Array
    zero_point: Array
    axis: int | None
    elements: Array | None = None


def is_quantized_in_part(model: onnx.ModelProto) -> bool:
    """Whether any operator is one of a quantised network."""
    return any(
        node.op_type.startswith((_Q, _DQ, "QLinear"))
        for graph in graphs_of(model.graph)
        for node in graph.node
    )


def float_layers(model: onnx.ModelProto, quantizable: set[str]) -> list[str]:
    """Names of the nodes that quantising would change: those it has a form of, with float data.

    Args:
        model: a network that is quantised in part.
        quantizable: the operators that can be quantised.
    """
    producers = {o: node for node in _nodes(model) for o in node.output}
    users: dict[str, list[onnx.NodeProto]] = {o.name: [] for o in model.graph.output}
    shown = set(users)
    for node in _nodes(model):
        for name in node.input:
            users.setdefault(name, []).append(node)

    def is_stored(name: str) -> bool:
        """Whether a value is rounded before anybody sees it."""
        fused = [u for u in users.get(name, []) if u.op_type in _FUSED]
        others = [u for u in users.get(name, []) if u.op_type not in _FUSED]
        return (
            name not in shown
            and all(u.op_type == _Q for u in others)
            and all(is_stored(u.output[0]) for u in fused)
        )

    floats: list[str] = []
    for node in _nodes(model):
        if node.op_type not in quantizable - CARRIED or subgraphs_of(node):
            continue
        count = 2 if node.op_type in _TWO_OPERANDS else 1
        data = list(node.input if node.op_type in _ALL_OPERANDS else node.input[:count])
        sources = [producers.get(i) for i in data]
        fused = node.op_type in _FUSED and sources[0] is not None and sources[0].op_type != _Q
        taken = fused or all(s is not None and s.op_type == _DQ for s in sources)
        if not (taken and is_stored(node.output[0])) and _is_float(model, data):
            floats.append(node.name or node.output[0])
    return floats


def _is_float(model: onnx.ModelProto, names: list[str]) -> bool:
    """Whether all values whose type is known are real numbers."""
    kinds = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16}
    values = cast("list[Any]", [*model.graph.input, *model.graph.value_info, *model.graph.output])
    types = {v.name: v.type.tensor_type.elem_type for v in values}
    types |= {i.name: i.data_type for i in model.graph.initializer}
    return all(types.get(name, onnx.TensorProto.FLOAT) in kinds for name in names)


@dataclass(frozen=True)
class Partial:
    """What a network had before its quantisation was taken off.

    Attributes:
        given: the quantisation of each tensor that has one, 8-bit activations and constants.
        clips: names of the nodes that saturate as a pair did.
    """

    given: dict[str, Given] = field(default_factory=dict[str, Given])
    clips: list[str] = field(default_factory=list[str])


def take_quantization_off(model: onnx.ModelProto) -> Partial:
    """Makes a network that is quantised in part a float one, where it can be.

    In the place of each pair is a Clip: that the integers end may be a Relu.
    """
    found = Partial()
    constants = dict(_constants(model))
    _constants_as_floats(model, constants, found.given)
    _clips_for_pairs(model, constants, found)
    return found


def drop_clips(model: onnx.ModelProto, clips: Iterable[str]) -> None:
    """Takes the clips away again: their operand is stored in the same integers as their result."""
    names = set(clips)
    outputs = {o.name for o in model.graph.output}
    gone = [n for n in _nodes(model) if n.name in names and n.output[0] not in outputs]
    _remove(model, gone, {node.output[0]: node.input[0] for node in gone})


def join_requantizations(model: onnx.ModelProto) -> None:
    """Takes a QuantizeLinear away behind a DequantizeLinear of the same scale: it does nothing."""
    constants = dict(_constants(model))
    producers = {o: node for node in _nodes(model) for o in node.output}
    outputs = {o.name for o in model.graph.output}
    gone: list[onnx.NodeProto] = []
    read: dict[str, str] = {}
    for node in _nodes(model):
        before = producers.get(node.input[0]) if node.op_type == _Q else None
        if before is None or before.op_type != _DQ:
            continue
        a, b = _parameters(before, constants), _parameters(node, constants)
        if a is None or b is None or not _same(a, b):
            continue
        source, target = _last(before.input[0], read), node.output[0]
        if target not in outputs:
            read[target] = source
        elif source in producers and source not in outputs:
            read[source] = target
            producers[source].output[:] = [
                target if o == source else o for o in producers[source].output
            ]
        else:
            continue
        gone.append(node)
    _remove(model, gone, read)
    _drop_unused(model, _DQ)


def _nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return list(model.graph.node)


def _constants(model: onnx.ModelProto) -> Iterator[tuple[str, Array]]:
    for constant in model.graph.initializer:
        yield constant.name, numpy_helper.to_array(constant)
    for node in model.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    yield node.output[0], numpy_helper.to_array(attribute.t)


def _parameters(node: onnx.NodeProto, constants: dict[str, Array]) -> Given | None:
    """The scales of a QuantizeLinear or DequantizeLinear; None of what are no plain constants."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    scale = constants.get(node.input[1])
    if scale is None or attributes.get("block_size"):
        return None
    if len(node.input) > 2 and node.input[2]:
        zero_point = constants.get(node.input[2])
        if zero_point is None:
            return None
    else:
        kind = helper.tensor_dtype_to_np_dtype(
            attributes.get("output_dtype") or onnx.TensorProto.UINT8
        )
        stored = constants.get(node.input[0])
        if node.op_type == _DQ and stored is not None:
            kind = stored.dtype
        zero_point = np.zeros(scale.shape, kind)
    axis = int(attributes.get("axis", 1)) if scale.size > 1 else None
    return Given(scale.reshape(-1) if axis is not None else scale.reshape(()), zero_point, axis)


def _same(a: Given, b: Given) -> bool:
    return (
        np.array_equal(a.scale, b.scale)
        and np.array_equal(a.zero_point.reshape(-1), b.zero_point.reshape(-1))
        and (a.axis is None) == (b.axis is None)
    )


def _constants_as_floats(
    model: onnx.ModelProto, constants: dict[str, Array], given: dict[str, Given]
) -> None:
    kept: list[onnx.NodeProto] = []
    for node in _nodes(model):
        stored = constants.get(node.input[0]) if node.op_type == _DQ else None
        found = None if stored is None else _parameters(node, constants)
        if stored is None or found is None:
            kept.append(node)
            continue
        along = [1] * stored.ndim
        axis = None if found.axis is None else found.axis % max(stored.ndim, 1)
        if axis is not None:
            along[axis] = -1
        zero_point = found.zero_point.astype(np.float64)
        offset = zero_point.reshape(along) if zero_point.size > 1 else zero_point.reshape(())
        scale = found.scale.astype(np.float64)
        factor = scale.reshape(along) if axis is not None else scale
        real = ((stored.astype(np.float64) - offset) * factor).astype(found.scale.dtype)
        name = node.output[0]
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(real), name))
        if stored.dtype.itemsize == 1:
            zero = found.zero_point.astype(stored.dtype)
            if stored.dtype not in _BYTES:  # of 4 bits and fewer: the same integers in 8
                zero = zero.astype(np.int8)
            given[name] = Given(found.scale, zero, axis, np.asarray(real))
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _clips_for_pairs(model: onnx.ModelProto, constants: dict[str, Array], found: Partial) -> None:
    producers = {o: node for node in _nodes(model) for o in node.output}
    taken, called = value_names(model.graph), {n.name for n in model.graph.node}
    for node in _nodes(model):
        if node.op_type == _Q:
            quantization = _parameters(node, constants)
            if quantization is not None and quantization.zero_point.dtype in _BYTES:
                found.given.setdefault(node.input[0], quantization)
        before = producers.get(node.input[0]) if node.op_type == _DQ else None
        if before is None or before.op_type != _Q:
            continue
        a, b = _parameters(before, constants), _parameters(node, constants)
        if a is None or b is None or not _same(a, b) or a.zero_point.dtype not in _BYTES:
            continue
        info = np.iinfo(a.zero_point.dtype)
        value, result = before.input[0], node.output[0]
        if value in constants:
            along = [1] * constants[value].ndim
            if a.axis is not None:
                along[a.axis] = -1
            scale, zero = a.scale.reshape(along), a.zero_point.reshape(along).astype(np.float64)
            steps = np.clip(np.rint(constants[value] / scale) + zero, info.min, info.max)
            real = ((steps - zero) * scale).astype(a.scale.dtype)
            model.graph.initializer.append(numpy_helper.from_array(real, result))
            found.given[result] = Given(a.scale, a.zero_point, a.axis, real)
            model.graph.node.remove(node)
            continue
        if a.axis is not None:
            continue
        found.given[result] = a
        ends: list[str] = []
        for end, steps in (("low", info.min), ("high", info.max)):
            limit = np.asarray((steps - a.zero_point.astype(np.float64)) * a.scale, a.scale.dtype)
            ends.append(fresh(f"{result}_{end}", taken))
            model.graph.initializer.append(numpy_helper.from_array(limit.reshape(()), ends[-1]))
        found.clips.append(fresh(f"{result}_clip", called))
        node.CopyFrom(helper.make_node("Clip", [value, *ends], [result], found.clips[-1]))
    _drop_unused(model, _Q)


def _last(name: str, read: Mapping[str, str]) -> str:
    """What is read in the place of a value, in the end."""
    while name in read:
        name = read[name]
    return name


def _remove(
    model: onnx.ModelProto, gone: Sequence[onnx.NodeProto], read: Mapping[str, str]
) -> None:
    """Takes nodes away, for which others read values in the place of theirs."""
    for node in gone:
        model.graph.node.remove(node)
    replace_uses(model.graph, {name: _last(name, read) for name in read})


def _drop_unused(model: onnx.ModelProto, kind: str) -> None:
    used = {i for g in graphs_of(model.graph) for node in g.node for i in node.input}
    used |= {o.name for g in graphs_of(model.graph) for o in g.output}
    _remove(model, [n for n in _nodes(model) if n.op_type == kind and n.output[0] not in used], {})


def overrides_of(
    given: dict[str, Given], model: onnx.ModelProto, per_channel: bool
) -> dict[str, list[dict[str, Any]]]:
    """What onnxruntime's quantiser is told (`TensorQuantOverrides`).

    A constant that preparing the network has changed, or several scales where there may be one
    only, are quantised anew.
    """
    from onnxruntime.quantization import QuantType  # noqa: PLC0415  # takes seconds

    types = {np.dtype(np.int8): QuantType.QInt8, np.dtype(np.uint8): QuantType.QUInt8}
    constants = {i.name: i for i in model.graph.initializer}
    made = {o for node in model.graph.node for o in node.output}
    made |= {i.name for i in model.graph.input}
    told: dict[str, list[dict[str, Any]]] = {}
    for name, found in given.items():
        if found.elements is not None:
            if name not in constants or not np.array_equal(
                numpy_helper.to_array(constants[name]), found.elements
            ):
                continue
            if found.axis is not None and not per_channel:
                continue
        elif name not in made or found.axis is not None:
            continue
        kind = types.get(found.zero_point.dtype)
        if kind is None or not (np.isfinite(found.scale).all() and (found.scale > 0).all()):
            continue
        zeros = np.broadcast_to(found.zero_point.reshape(-1), (found.scale.size,))
        told[name] = [
            {"quant_type": kind, "scale": np.array(scale), "zero_point": np.array(zero)}
            | ({} if found.axis is None else {"axis": found.axis})
            for scale, zero in zip(found.scale.reshape(-1), zeros, strict=True)
        ]
    takers = Counter(value for node in _nodes(model) for value in set(node.input))
    for node in reversed(_nodes(model)):
        alone = node.op_type in _FUSED | _MOVED and takers[node.input[0]] == 1
        if alone and node.output[0] in told:
            told.setdefault(node.input[0], told[node.output[0]])  # rounds once, not twice
    return told
