"""Float ONNX networks to QDQ ones, by onnxruntime's quantiser."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper, numpy_helper

from furiosa_ir.dialects.graph import OPERATIONS
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp
from furiosa_ir.errors import FuriosaError
from furiosa_ir.lowering.registry import EXACT, find_lowering
from furiosa_ir.native_process import OnStep, no_report
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.quantization.calibration import InputDescription, Sample
from furiosa_ir.quantization.captures import hide_captures, show_captures
from furiosa_ir.quantization.completion import (
    Partial,
    drop_clips,
    float_layers,
    is_quantized_in_part,
    join_requantizations,
    overrides_of,
    take_quantization_off,
)
from furiosa_ir.quantization.indifference import warn_of_clipping
from furiosa_ir.quantization.layers import LayerAccuracy, no_more_than_a_table
from furiosa_ir.quantization.libraries import quiet, refusals
from furiosa_ir.quantization.names import plain_names
from furiosa_ir.quantization.onnx_biases import settle_dead_biases
from furiosa_ir.quantization.onnx_layers import compare_layers
from furiosa_ir.quantization.onnx_limits import steps_of
from furiosa_ir.quantization.own_scales import kept_apart
from furiosa_ir.quantization.preparation import copy_of, prepare, read_network, settle_gemms
from furiosa_ir.quantization.ranges import find_ranges

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class OnnxSource:
    """A float ONNX network, read once.

    Attributes:
        name: of its file.
        model: the network as the file has it, weights included, every node named.
        inputs, outputs: what it takes; the names of what it gives.
    """

    name: str
    model: onnx.ModelProto
    inputs: tuple[InputDescription, ...]
    outputs: tuple[str, ...]

    @staticmethod
    def read(path: Path, part: Part = WHOLE) -> OnnxSource:
        """Reads a file, or a part of its network.

        Raises:
            FuriosaError: it holds no float ONNX network.
        """
        return OnnxSource.of(read_network(path, part), str(path))

    @staticmethod
    def of(model: onnx.ModelProto, name: str) -> OnnxSource:
        """A network that was read, by the name of its file.

        Raises:
            FuriosaError: there is nothing in it to quantise any more.
        """
        if is_quantized_in_part(model):
            _check_some_left(model, name)
        constants = {i.name for i in model.graph.initializer}
        inputs = tuple(_describe(v) for v in model.graph.input if v.name not in constants)
        return OnnxSource(name, model, inputs, tuple(o.name for o in model.graph.output))


def _check_some_left(model: onnx.ModelProto, name: str) -> None:
    """Whether quantising changes anything in a network that is quantised in part."""
    floats = float_layers(model, set(_quantized_operators(model)))
    if not floats:
        first = next(n for n in _float_nodes(model) if "Linear" in n.op_type)
        raise FuriosaError(
            "the network is quantised already",
            file=name,
            layer=first.name or first.output[0],
            hint="compile it as it is",
        )
    shown = ", ".join(f"'{layer}'" for layer in floats[:3])
    more = f" and {len(floats) - 3} more" if len(floats) > 3 else ""
    _LOG.info("%s: quantised in part; still in float: %s%s", name, shown, more)


def _describe(value: onnx.ValueInfoProto) -> InputDescription:
    tensor = value.type.tensor_type
    # Some exporters write -1 for an extent that they leave open.
    dims = tensor.shape.dim
    shape = tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in dims
    )
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    return InputDescription(value.name, dtype, shape)


def quantize_onnx(
    source: OnnxSource,
    samples: Sequence[Sample],
    *,
    method: str = "minmax",
    per_channel: bool = True,
    activation: str = "int8",
    exclude: Sequence[str] = (),
    on_step: OnStep = no_report,
) -> tuple[onnx.ModelProto, list[LayerAccuracy]]:
    """The network with QuantizeLinear and DequantizeLinear around its operators.

    Weights are int8; activations, 8 bits. And how near each of its layers is to the float one.

    Only operators that have an 8-bit form on an NPU are quantised: any other one would lose
    accuracy and still run on the host.

    Args:
        source: the float network.
        samples: calibration data (`load_samples`).
        method: one of `METHODS`.
        per_channel: a scale for each output channel of a weight, not one for the whole weight.
        activation: one of `ACTIVATIONS`.
        exclude: names of nodes, or of their outputs, that stay in float.
        on_step: is told the progress.

    Raises:
        FuriosaError: the network or its data cannot be quantised.
    """
    from onnxruntime.quantization import QuantType  # noqa: PLC0415  # takes seconds

    excluded_outputs = _outputs_of(source, exclude)
    on_step("Preparing the network", 0, 1)
    model = prepare(copy_of(source.model), source.name)
    # A network that says that onnxruntime's tools have prepared it is quantised in place: nothing
    # in float would be left to compare with.
    del model.metadata_props[:]
    before = Partial()
    if is_quantized_in_part(model):
        before = take_quantization_off(model)
        settle_gemms(model)
    excluded = [n.name for n in model.graph.node if excluded_outputs & {n.name, *n.output}]
    on_step("Preparing the network", 1, 1)
    whole_weights = _weights_without_channels(model) if per_channel else {}
    for layer in whole_weights.values():
        _LOG.warning(
            "%s: layer '%s': a ConvTranspose of several groups with a bias has one scale for its "
            "weight",
            source.name,
            layer,
        )
    told = overrides_of(before.given, model, per_channel)
    captures = show_captures(model)
    names = plain_names(model)
    excluded = [names.nodes[n] for n in (*excluded, *captures)]
    renamed = [{names.values[k]: v for k, v in sample.items()} for sample in samples]
    with names.in_errors():
        ranges, clipped = find_ranges(model, renamed, method, source.name, set(excluded), on_step)
        on_step("Quantising", 0, 1)
        excluded += _kept_apart(model, ranges)
        overrides = {names.values[w]: [{"quant_type": QuantType.QInt8}] for w in whole_weights}
        overrides |= {names.values[k]: v for k, v in told.items()}
        quantized = _quantized(
            model, ranges, excluded, overrides, source.name, per_channel, activation, bool(told)
        )
        settle_dead_biases(quantized, model)
        drop_clips(quantized, [names.nodes[n] for n in before.clips])
        join_requantizations(quantized)
        hide_captures(quantized, [names.nodes[n] for n in captures])
        _check_scales(quantized, source.name)
        on_step("Quantising", 1, 1)
        step = "Comparing its layers with the float network's"
        layers: list[LayerAccuracy] = []
        with no_more_than_a_table(source.name):
            layers = compare_layers(
                model,
                quantized,
                renamed,
                source.name,
                clipped,
                names.of,
                names.root,
                partial(on_step, step),
            )
    warn_of_clipping(source.name, {names.of(t): limits for t, limits in clipped.items()})
    names.restore(quantized)
    return quantized, layers


def _quantized(
    model: onnx.ModelProto,
    ranges: Any,
    excluded: Sequence[str],
    overrides: dict[str, Any],
    name: str,
    per_channel: bool,
    activation: str,
    keep_relus: bool,
) -> onnx.ModelProto:
    """What onnxruntime's quantiser makes of a network of plain names."""
    from onnxruntime.quantization import QDQQuantizer, QuantType  # noqa: PLC0415  # takes seconds

    outputs = _hide_inputs_among_outputs(model)
    with quiet():
        quantizer: Any = QDQQuantizer(
            model,
            per_channel,
            False,  # all 8 bits: the machine's accumulators do not overflow
            QuantType.QInt8,
            QuantType.QUInt8 if activation == "uint8" else QuantType.QInt8,
            ranges,
            None,
            excluded,
            _quantized_operators(model),
            {
                "TensorQuantOverrides": overrides,
                # A Relu goes because its result's range begins at 0; a given one need not.
                "QDQKeepRemovableActivations": keep_relus,
            },
        )
        with refusals("onnxruntime's quantiser fails", name):
            quantizer.quantize_model()
    quantizer.model.topological_sort()
    quantized: onnx.ModelProto = quantizer.model.model
    del quantized.graph.output[:]
    quantized.graph.output.extend(outputs)
    del quantized.metadata_props[:]  # the quantiser's notes to itself
    quantized.producer_name = "furiosa-ir"
    return quantized


def _outputs_of(source: OnnxSource, exclude: Sequence[str]) -> set[str]:
    """Excluded nodes by name and by output: preparing may rename a node, never its output."""
    nodes = {n.name: n for n in source.model.graph.node}
    by_output = {o: n for n in source.model.graph.node for o in n.output}
    found: set[str] = set()
    for name in exclude:
        node = nodes.get(name) or by_output.get(name)
        if node is None:
            near = difflib.get_close_matches(name, [*nodes, *by_output], 3)
            raise FuriosaError(
                f"there is no node '{name}' to exclude",
                file=source.name,
                hint=f"did you mean {' or '.join(near)}?" if near else None,
            )
        found |= {node.name, *node.output}
    return found


def _kept_apart(model: onnx.ModelProto, ranges: Any) -> list[str]:
    """Nodes at the end that join values of very different ranges, and so stay in float."""
    reach = {k: (float(d.lowest), float(d.highest)) for k, d in ranges.items()}
    joined = kept_apart(list(steps_of(model)), reach, [o.name for o in model.graph.output])
    return [n.name for n in _float_nodes(model) if not joined.isdisjoint(n.output)]


def _quantized_operators(model: onnx.ModelProto) -> list[str]:
    """Operator names of the network that have an 8-bit form on an NPU."""
    known = {
        name.rpartition("::")[2]
        for operation in OPERATIONS
        if not issubclass(operation, QuantizeOp | DequantizeOp)
        and find_lowering(operation, EXACT) is not None
        for name in operation.ONNX
    }
    return sorted({n.op_type for n in model.graph.node} & known)


def _weights_without_channels(model: onnx.ModelProto) -> dict[str, str]:
    """Weights that cannot have a scale for each channel, with the layers they are of.

    A ConvTranspose of several groups keeps the channels of one of them in its weight, those of all
    of them in its bias; onnxruntime's quantiser takes the weight's scales for the bias.
    """
    constants = {i.name for i in model.graph.initializer}
    return {
        node.input[1]: node.name
        for node in _float_nodes(model)
        if node.op_type == "ConvTranspose"
        and len(node.input) > 2
        and node.input[1] in constants
        and any(a.name == "group" and a.i > 1 for a in node.attribute)
    }


def _hide_inputs_among_outputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Takes outputs away that are inputs: the quantiser makes a cycle of them.

    Returns:
        All outputs, in order, for the quantised network.
    """
    outputs = list(copy_of(model).graph.output)
    inputs = {i.name for i in model.graph.input}
    del model.graph.output[:]
    model.graph.output.extend(o for o in outputs if o.name not in inputs)
    return outputs


def _check_scales(model: onnx.ModelProto, name: str) -> None:
    constants = {i.name: i for i in model.graph.initializer}
    users = {i: n for n in _float_nodes(model) for i in n.input}
    makers = {o: n for n in _float_nodes(model) for o in n.output}
    for node in _float_nodes(model):
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        scale = numpy_helper.to_array(constants[node.input[1]])
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            # The layer that computes them, or takes the constant: what --exclude knows.
            layer = makers.get(node.input[0]) or users.get(node.output[0], node)
            raise FuriosaError(
                "its values are too small or too great for a float32 scale",
                file=name,
                layer=layer.name,
                hint="exclude the node, or scale the weights",
            )


def left_in_float(model: onnx.ModelProto) -> dict[str, int]:
    """How many operators of each kind compute on float tensors that nothing dequantised."""
    dequantized = {o for n in model.graph.node if n.op_type == "DequantizeLinear" for o in n.output}
    counts: dict[str, int] = {}
    for node in _float_nodes(model):
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        if not any(i in dequantized for i in node.input):
            counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return dict(sorted(counts.items()))


def _float_nodes(model: onnx.ModelProto) -> Iterable[onnx.NodeProto]:
    return cast("Iterable[onnx.NodeProto]", model.graph.node)
