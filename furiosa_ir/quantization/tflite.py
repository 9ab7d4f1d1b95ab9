"""Float TFLite networks to int8 ones, by ai-edge-quantizer."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from furiosa_ir.errors import FuriosaError, ImportFailure
from furiosa_ir.importers.tflite.file import CORRUPTION
from furiosa_ir.importers.tflite.part import content_of_part
from furiosa_ir.importers.tflite.unpacking import unpacked
from furiosa_ir.native_process import OnStep, no_report
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.numerics.element_types import BY_TFLITE
from furiosa_ir.quantization.calibration import InputDescription, Sample
from furiosa_ir.quantization.indifference import warn_of_clipping
from furiosa_ir.quantization.layers import LayerAccuracy, no_more_than_a_table
from furiosa_ir.quantization.libraries import quiet, refusals
from furiosa_ir.quantization.own_scales import kept_apart
from furiosa_ir.quantization.tflite_biases import with_room_for_biases
from furiosa_ir.quantization.tflite_layers import compare_layers
from furiosa_ir.quantization.tflite_limits import narrow, steps_of
from furiosa_ir.quantization.tflite_preparation import packed, prepare, with_names
from furiosa_ir.quantization.tflite_running import all_values, libraries

_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class TFLiteSource:
    """A float TFLite network, read once.

    Attributes:
        name: of its file.
        content: a network with a signature, which ai-edge-quantizer calls it by.
        signature: its key.
        arguments: the signature's name of each input.
        inputs, outputs: what it takes; the names of what it gives.
        layers: the operators, each by the name of its first output.
    """

    name: str
    content: bytes
    signature: str
    arguments: dict[str, str]
    inputs: tuple[InputDescription, ...]
    outputs: tuple[str, ...]
    layers: tuple[str, ...]

    @staticmethod
    def read(path: Path, part: Part = WHOLE) -> TFLiteSource:
        """Reads a file, or a part of its network.

        Raises:
            FuriosaError: it holds no float TFLite network, or LiteRT is missing.
        """
        content = path.read_bytes()
        schema = libraries().schema
        try:
            content = content_of_part(content, part)
            model = unpacked(content, schema)
            return _read(model, content, str(path), schema)
        except ImportFailure as error:
            raise error.at(file=str(path)) from None
        except CORRUPTION as error:
            raise FuriosaError(
                f"it is no TFLite network that can be read: {error}", file=str(path)
            ) from None


def _read(model: Any, content: bytes, name: str, schema: Any) -> TFLiteSource:
    graph = model.subgraphs[0]
    labels = [t.name.decode() if t.name else f"tensor_{i}" for i, t in enumerate(graph.tensors)]
    changed = prepare(model, labels, name, schema)
    if not model.signatureDefs:
        changed = True
        entry = schema.SignatureDefT()
        entry.signatureKey, entry.subgraphIndex = _SIGNATURE.encode(), 0
        entry.inputs = [_named(schema, labels, i) for i in graph.inputs]
        entry.outputs = [_named(schema, labels, i) for i in graph.outputs]
        model.signatureDefs = [entry]
    if changed:
        content = packed(model, len(content))
    signature = model.signatureDefs[0]
    arguments = {labels[m.tensorIndex]: m.name.decode() for m in signature.inputs}
    layers = tuple(labels[op.outputs[0]] for op in graph.operators if len(op.outputs))
    inputs = tuple(_describe(graph.tensors[i], labels[i], name) for i in graph.inputs)
    outputs = tuple(labels[i] for i in graph.outputs)
    return TFLiteSource(
        name, content, signature.signatureKey.decode(), arguments, inputs, outputs, layers
    )


def _named(schema: Any, labels: Sequence[str], index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = labels[index].encode(), index
    return entry


def _describe(tensor: Any, name: str, file: str) -> InputDescription:
    element = BY_TFLITE.get(tensor.type)
    if element is None or element.name not in ("float32", "int32", "int64", "bool"):
        raise FuriosaError("this input's element type cannot be calibrated", file=file, layer=name)
    # An open dimension stays as the file has it: one sample at a time.
    shape = tuple(int(n) for n in (tensor.shape if tensor.shape is not None else ()))
    return InputDescription(name, element.dtype, shape)


def quantize_tflite(
    source: TFLiteSource,
    samples: Sequence[Sample],
    *,
    per_channel: bool = True,
    exclude: Sequence[str] = (),
    on_step: OnStep = no_report,
) -> tuple[bytes, list[LayerAccuracy]]:
    """Quantises a network to int8 weights and activations, inputs and outputs included.

    And tells how near each of its layers is to the float one.

    Args:
        source: the float network.
        samples: calibration data (`load_samples`); a tensor's range is that of all its values.
        per_channel: a scale for each output channel of a weight, not one for the whole weight.
        exclude: operators that stay in float, by the name of their first output.
        on_step: is told the progress.

    Raises:
        FuriosaError: the network or its data cannot be quantised, or ai-edge-quantizer is missing.
    """
    library = libraries()
    for name in exclude:
        if name not in source.layers:
            near = difflib.get_close_matches(name, source.layers, 3)
            raise FuriosaError(
                f"there is no operator with the output '{name}' to exclude",
                file=source.name,
                hint=f"did you mean {' or '.join(near)}?" if near else None,
            )
    granularity = library.qtyping.QuantGranularity
    recipe = library.recipe_manager.RecipeManager()
    everything = library.qtyping.TFLOperationName.ALL_SUPPORTED
    recipe.add_static_config(
        ".*",
        everything,
        activation_num_bits=8,
        weight_num_bits=8,
        weight_granularity=granularity.CHANNELWISE if per_channel else granularity.TENSORWISE,
    )
    for name in exclude:
        recipe.add_quantization_config(
            f"^{re.escape(name)};",  # a layer's results, each with a semicolon behind it
            everything,
            algorithm_key=library.quantizer.AlgorithmName.NO_QUANTIZE,
        )
    failure = "ai-edge-quantizer fails"
    with refusals(failure, source.name), quiet():
        calibrator = library.calibrator.Calibrator(
            source.content, num_threads=1, qsv_update_func=_wider
        )
    for index, sample in enumerate(samples):
        on_step("Calibrating", index, len(samples))
        arguments = {source.arguments.get(k, k): v for k, v in sample.items()}
        with refusals(failure, source.name), quiet():
            calibrator.calibrate({source.signature: [arguments]}, recipe)
    on_step("Calibrating", len(samples), len(samples))
    on_step("Quantising", 0, 1)
    with refusals(failure, source.name), quiet():
        found: dict[str, Any] = calibrator.get_model_qsvs()
    content, clipped = narrow(
        source.content,
        found,
        samples,
        lambda: all_values(source.content, source.inputs, source.name),
        library.schema,
    )
    _check_ranges(source, found, exclude)
    warn_of_clipping(source.name, clipped)
    for name in _kept_apart(content, found, library.schema):
        recipe.add_quantization_config(
            f"^{re.escape(name)};",
            everything,
            algorithm_key=library.quantizer.AlgorithmName.NO_QUANTIZE,
        )
    with refusals(failure, source.name), quiet():
        quantizer = library.quantizer.Quantizer(content, recipe.get_quantization_recipe())
        ranges = {k: _not_nothing(v) for k, v in found.items()}
        result = quantizer.quantize(ranges, enable_progress_report=False)
    quantized = with_room_for_biases(content, bytes(result.quantized_model), library.schema)
    quantized = with_names(source.content, quantized, library.schema)
    on_step("Quantising", 1, 1)
    step = "Comparing its layers with the float network's"
    layers: list[LayerAccuracy] = []
    with no_more_than_a_table(source.name):
        layers = compare_layers(
            content,
            quantized,
            source.inputs,
            samples,
            source.name,
            clipped,
            library.schema,
            partial(on_step, step),
        )
    return quantized, layers


_FURTHEST = 1e30
"""A value that no multiplier of LiteRT's kernels brings to anything else; some end the process."""


def _check_ranges(source: TFLiteSource, ranges: dict[str, Any], exclude: Sequence[str]) -> None:
    """Refuses values that no scale can hold, by the first layer that has them."""
    for layer in (*(i.name for i in source.inputs), *source.layers):
        if layer not in ranges or layer in exclude:
            continue
        low, high = (float(np.asarray(ranges[layer][end]).ravel()[0]) for end in ("min", "max"))
        if not max(abs(low), abs(high)) < _FURTHEST or math.isnan(low + high):
            reach = f"its values reach from {low:g} to {high:g}"
            raise FuriosaError(
                f"{reach if low <= high else 'its values are no numbers'} on the calibration data",
                file=source.name,
                layer=layer,
                hint="exclude it, or leave such samples out",
            )


def _kept_apart(content: bytes, ranges: dict[str, Any], schema: Any) -> list[str]:
    """Operators at the end that join values of very different ranges, and so stay in float."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    names = [t.name.decode() for t in graph.tensors]
    reach = {k: (float(np.min(v["min"])), float(np.max(v["max"]))) for k, v in ranges.items()}
    outputs = [names[int(i)] for i in graph.outputs]
    joined = kept_apart(list(steps_of(model, names, schema)), reach, outputs)
    firsts = [names[int(op.outputs[0])] for op in graph.operators if len(op.outputs)]
    return [name for name in firsts if name in joined]


def _not_nothing(found: dict[str, Any]) -> dict[str, Any]:
    """A range of values that were all zero is unknown: 1 to either side.

    ai-edge-quantizer would give the tensor a scale of 4e-12, in whose units nothing else fits.
    """
    if any(np.any(found[end]) for end in ("min", "max")):
        return found
    return {**found, "min": found["min"] - 1, "max": found["max"] + 1}


def _wider(known: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The range of all values (the library's default forgets: a moving average of samples)."""
    if not known or not new:
        return known or new
    return {
        "min": np.minimum(known["min"], new["min"]),
        "max": np.maximum(known["max"], new["max"]),
    }
