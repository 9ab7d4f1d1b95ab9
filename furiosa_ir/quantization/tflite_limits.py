"""The limits of `indifference`, put to a TFLite network's ranges and constants."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from furiosa_ir.numerics.array import Array
from furiosa_ir.quantization.calibration import Sample
from furiosa_ir.quantization.indifference import (
    WIDE,
    Limits,
    Step,
    limits_of,
    saturates,
    softmax_floor,
    some_rows,
    wide_softmaxes,
)
from furiosa_ir.quantization.tflite_preparation import (
    elements_of,
    operator_name,
    packed,
    store_floats,
)

Values = Callable[[Sample], Mapping[str, Array]]
"""Runs the network: the value of every tensor."""

_LEFT_OUT = 3e38
"""Values beyond are no part of ai-edge-quantizer's ranges."""

_KINDS = {
    "ADD": ("Add", slice(2)),
    "SUB": ("Sub", slice(2)),
    "MUL": ("Mul", slice(2)),
    "DIV": ("Div", slice(2)),
    "NEG": ("Neg", slice(1)),
    "SELECT": ("Where", slice(1, 3)),
    "SELECT_V2": ("Where", slice(1, 3)),
    "MAXIMUM": ("Max", slice(2)),
    "MINIMUM": ("Min", slice(2)),
    "CONCATENATION": ("Concat", slice(None)),
    "PACK": ("Concat", slice(None)),
    "SPLIT": ("Split", slice(1, 2)),
    "SPLIT_V": ("Split", slice(1)),
    "UNPACK": ("Split", slice(1)),
    "RESHAPE": ("Reshape", slice(1)),
    "TRANSPOSE": ("Transpose", slice(1)),
    "SQUEEZE": ("Squeeze", slice(1)),
    "EXPAND_DIMS": ("Unsqueeze", slice(1)),
    "BROADCAST_TO": ("Expand", slice(1)),
    "SLICE": ("Slice", slice(1)),
    "STRIDED_SLICE": ("Slice", slice(1)),
    "GATHER": ("Gather", slice(1)),
    "TILE": ("Tile", slice(1)),
    "SOFTMAX": ("Softmax", slice(1)),
    "LOGISTIC": ("Sigmoid", slice(1)),
    "TANH": ("Tanh", slice(1)),
    "EXP": ("Exp", slice(1)),
    "REDUCE_MAX": ("ReduceMax", slice(1)),
}
"""Operator -> what ONNX calls it, and which of its inputs are data."""


def narrow(
    content: bytes, ranges: dict[str, Any], samples: Sequence[Sample], values: Callable[[], Values],
    schema: Any,
) -> tuple[bytes, dict[str, Limits]]:  # fmt: skip
    """Takes from the ranges, and from the constants, what no result can tell from their limits.

    Args:
        content: the network, every tensor by a name of its own.
        ranges: by calibration ({"min": array, "max": array}); they change. ai-edge-quantizer leaves
            values beyond 3e38 out of them; where there are any, it is all values that count.
        samples: what they were calibrated with.
        values: makes what runs the network; it is asked for where it matters.
        schema: LiteRT's module of the file format.

    Returns:
        The network, and how far the values of tensors reach whose range is another one now.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    names = [t.name.decode() for t in graph.tensors]
    steps = list(steps_of(model, names, schema))
    reached = {i for step in steps if step.kind for i in step.inputs}
    constants: dict[str, Array] = {}
    for tensor, name in zip(graph.tensors, names, strict=True):
        if name in reached and tensor.type == schema.TensorType.FLOAT32:
            elements = elements_of(model, tensor)
            if elements is not None:
                constants[name] = elements
    found_before = {
        k: (float(np.min(v["min"])), float(np.max(v["max"]))) for k, v in ranges.items()
    }
    hiding = any(not np.all(np.abs(c) <= WIDE) for c in constants.values())
    if not hiding and not saturates(steps, found_before):
        return content, {}
    before, floors = _measured(graph, names, steps, samples, values())
    outputs = [names[int(i)] for i in graph.outputs]
    found = limits_of(steps, before, constants, outputs, floors)
    narrowed = _clip_ranges(ranges, before, found) | _clip_constants(
        model, names, ranges, constants, found, schema
    )
    return packed(model, len(content)), narrowed


def _clip_ranges(
    ranges: dict[str, Any], before: Mapping[str, Limits], found: Mapping[str, Limits]
) -> dict[str, Limits]:
    narrowed: dict[str, Limits] = {}
    for tensor, limits in found.items():
        if tensor in before and tensor in ranges:
            low, high = before[tensor]
            ends = np.clip((low, high), *limits)
            if (low, high) != tuple(ends):
                narrowed[tensor] = low, high
                for end, value in zip(("min", "max"), ends, strict=True):
                    ranges[tensor][end] = np.full_like(ranges[tensor][end], value)
    for tensor, ends in before.items():
        if tensor in ranges and tensor not in narrowed and not np.all(np.abs(ends) < _LEFT_OUT):
            for end, value in zip(("min", "max"), ends, strict=True):
                ranges[tensor][end] = np.full_like(ranges[tensor][end], value)
    return narrowed


def _clip_constants(
    model: Any,
    names: Sequence[str],
    ranges: dict[str, Any],
    constants: Mapping[str, Array],
    found: Mapping[str, Limits],
    schema: Any,
) -> dict[str, Limits]:
    narrowed: dict[str, Limits] = {}
    for tensor, name in zip(model.subgraphs[0].tensors, names, strict=True):
        if name not in constants or name not in found:
            continue
        clipped = np.clip(constants[name], *found[name]).astype(np.float32)
        if not np.array_equal(clipped, constants[name]):
            narrowed[name] = (float(constants[name].min()), float(constants[name].max()))
            store_floats(model, tensor, clipped, schema)
            if name in ranges:
                for end, value in (("min", clipped.min()), ("max", clipped.max())):
                    ranges[name][end] = np.full_like(ranges[name][end], value)
    return narrowed


def steps_of(model: Any, names: Sequence[str], schema: Any) -> Iterator[Step]:
    """The operators of a network, as far as ranges go."""
    graph = model.subgraphs[0]
    for op in graph.operators:
        kind, at = _KINDS.get(operator_name(model, op, schema), ("", slice(0)))
        given = [int(i) for i in op.inputs]
        data = [names[i] for i in given[at] if i >= 0]
        others = [names[i] for i in given if i >= 0 and names[i] not in data]
        outputs = tuple(names[int(i)] for i in op.outputs)
        if others:  # somebody sees all of their values
            yield Step("", tuple(others), ())
        if data:
            shape = graph.tensors[given[at][0]].shape
            extent = max((int(n) for n in (shape if shape is not None else ())), default=1)
            yield Step(kind, tuple(data), outputs, -1, extent)


def _measured(
    graph: Any, names: Sequence[str], steps: Sequence[Step], samples: Sequence[Sample], run: Values
) -> tuple[dict[str, Limits], dict[str, float]]:
    """The range of every float tensor, all values included; the lower limits of each Softmax."""
    softmaxes = {s.inputs[0] for s in steps if s.kind == "Softmax"}
    ranges: dict[str, Limits] = {}
    rows: dict[str, list[Array]] = {tensor: [] for tensor in softmaxes}
    for sample in samples:
        for tensor, array in run(sample).items():
            if array.size and array.dtype == np.float32:
                low, high = ranges.get(tensor, (np.inf, -np.inf))
                ranges[tensor] = (min(low, float(array.min())), max(high, float(array.max())))
            if tensor in softmaxes:
                rows[tensor].append(some_rows(array, -1))
    wide = wide_softmaxes(steps, ranges)
    factors = _factors(graph, names)
    floors = {t: softmax_floor([r * factors.get(t, 1.0) for r in rows[t]]) for t in wide}
    return ranges, {t: floor / factors.get(t, 1.0) for t, floor in floors.items()}


def _factors(graph: Any, names: Sequence[str]) -> dict[str, float]:
    """The factor that a Softmax takes its input by."""
    return {
        names[int(op.inputs[0])]: float(op.builtinOptions.beta)
        for op in graph.operators
        if op.builtinOptions is not None and getattr(op.builtinOptions, "beta", 0) > 0
        and type(op.builtinOptions).__name__ == "SoftmaxOptionsT"
    }  # fmt: skip
