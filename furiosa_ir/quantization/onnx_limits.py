"""The limits of `indifference`, put to an ONNX network's ranges and constants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import onnx
from onnx import numpy_helper

from furiosa_ir.numerics.array import Array
from furiosa_ir.quantization.calibration import Sample
from furiosa_ir.quantization.indifference import (
    Limits,
    Step,
    limits_of,
    saturates,
    softmax_floor,
    some_rows,
    wide_softmaxes,
)
from furiosa_ir.quantization.names import subgraphs_of
from furiosa_ir.quantization.onnx_running import onnx_runner
from furiosa_ir.quantization.preparation import copy_of

_FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16}

_DATA = {"Concat": None, "Max": None, "Min": None, "Where": slice(1, 3), "Softmax": slice(1)} | {
    kind: slice(2) for kind in ("Add", "Sub", "Mul", "Div")
}
"""Which inputs of an operator are data; of others, the first one."""


def narrow(
    model: onnx.ModelProto,
    ranges: dict[str, tuple[Any, Any]],
    samples: Sequence[Sample],
    name: str,
) -> dict[str, Limits]:
    """Takes from the ranges, and from the constants, what no result can tell from their limits.

    Args:
        model: the network; its constants change.
        ranges: of its tensors, by calibration; they change.
        samples: what they were calibrated with.
        name: of the file.

    Returns:
        How far the values of tensors reach whose range is another one now, constants included.
    """
    steps = list(steps_of(model))
    before = {k: (float(low), float(high)) for k, (low, high) in ranges.items()}
    if not saturates(steps, before):
        return {}
    constants = _constants(model, steps)
    wide = wide_softmaxes(steps, before)
    floors = _floors(model, wide, samples, name) if wide else {}
    found = limits_of(steps, before, constants, [o.name for o in model.graph.output], floors)
    narrowed: dict[str, Limits] = {}
    for tensor, (low, high) in found.items():
        if tensor in before and not low <= before[tensor][0] <= before[tensor][1] <= high:
            narrowed[tensor] = before[tensor]
            ends = np.clip(np.array(before[tensor]), low, high).astype(ranges[tensor][0].dtype)
            ranges[tensor] = (np.asarray(ends[0]), np.asarray(ends[1]))
    for constant in model.graph.initializer:
        if constant.name not in constants or constant.name not in found:
            continue
        elements = constants[constant.name]
        clipped = np.clip(elements, *found[constant.name]).astype(elements.dtype)
        if not np.array_equal(clipped, elements):
            narrowed[constant.name] = (float(elements.min()), float(elements.max()))
            constant.CopyFrom(numpy_helper.from_array(clipped, constant.name))
    return narrowed


_SELECTIONS = frozenset({"Clip", "Concat", "Max", "Min", "Pad", "Where"})
"""Operators whose result is elements of their operands, and is stored in their one range."""


def bound_infinities(
    model: onnx.ModelProto, ranges: Mapping[str, tuple[Any, Any]], excluded: Collection[str]
) -> None:
    """Makes infinite elements of constants finite where what takes them stores no infinity.

    Max with -inf, or a padding of it that a mask hides: the result's range is finite, and its
    integers saturate at the same ends. An infinity has no scale.

    Args:
        model: the network; its constants change.
        ranges: of its tensors.
        excluded: nodes that stay in float.
    """
    users: defaultdict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in cast("list[onnx.NodeProto]", model.graph.node):
        for value in node.input:
            users[value].append(node)
    outputs = {o.name for o in model.graph.output}
    for constant in model.graph.initializer:
        takers = users[constant.name]
        if constant.data_type not in _FLOATS or constant.name in outputs or not takers:
            continue
        if any(n.op_type not in _SELECTIONS or n.name in excluded for n in takers):
            continue
        results = [ranges[n.output[0]] for n in takers if n.output[0] in ranges]
        ends = np.array(results, np.float64).reshape(-1, 2)
        elements = numpy_helper.to_array(constant)
        if len(ends) < len(takers) or not np.isfinite(ends).all() or not np.isinf(elements).any():
            continue
        low, high = ends[:, 0].min(), ends[:, 1].max()
        bounded = np.where(np.isinf(elements), np.clip(elements, low, high), elements)
        constant.CopyFrom(numpy_helper.from_array(bounded.astype(elements.dtype), constant.name))


def _constants(model: onnx.ModelProto, steps: Sequence[Step]) -> dict[str, Array]:
    """The constants that limits can reach; the weights of products are not among them."""
    reached = {i for step in steps if step.kind for i in step.inputs}
    return {
        i.name: numpy_helper.to_array(i)
        for i in model.graph.initializer
        if i.data_type in _FLOATS and i.name in reached
    }


def steps_of(model: onnx.ModelProto) -> Iterator[Step]:
    """The operators of a network, as far as ranges go."""
    extents = {
        v.name: max((d.dim_value for d in v.type.tensor_type.shape.dim), default=1)
        for v in cast("list[Any]", [*model.graph.value_info, *model.graph.input])
    }
    for node in model.graph.node:
        kind, at = node.op_type, _DATA.get(node.op_type, slice(1))
        inputs = [i for i in (node.input if at is None else node.input[at]) if i]
        if node.domain not in ("", "ai.onnx") or subgraphs_of(node):
            kind, inputs = "", [i for i in node.input if i]
        others = [i for i in node.input if i and i not in inputs]
        axis = next((a.i for a in node.attribute if a.name == "axis"), -1)
        outputs = tuple(o for o in node.output if o)
        extent = extents.get(inputs[0], 1) if inputs else 1
        if others:  # somebody sees all of their values
            yield Step("", tuple(others), ())
        if inputs:
            yield Step(kind, tuple(inputs), outputs, axis, extent)


def _floors(
    model: onnx.ModelProto, wide: Mapping[str, int], samples: Sequence[Sample], name: str
) -> dict[str, float]:
    """The lower limits of inputs of Softmax operators, by running the network once more."""
    shown = copy_of(model)
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=tensor) for tensor in wide)
    run = onnx_runner(shown, name)
    rows: dict[str, list[Array]] = {tensor: [] for tensor in wide}
    for sample in samples:
        for (tensor, axis), values in zip(wide.items(), run(sample), strict=True):
            rows[tensor].append(some_rows(values, axis))
    return {tensor: softmax_floor(kept) for tensor, kept in rows.items()}
