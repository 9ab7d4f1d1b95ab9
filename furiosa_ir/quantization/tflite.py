"""Float TFLite networks to int8 ones, by ai-edge-quantizer."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import flatbuffers
import numpy as np

from furiosa_ir.arrays import Array
from furiosa_ir.errors import FuriosaError, ImportFailure
from furiosa_ir.importers.tflite.file import CORRUPTION
from furiosa_ir.importers.tflite.part import content_of_part
from furiosa_ir.native_process import OnStep, no_report
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.quantization.calibration import InputDescription, Sample
from furiosa_ir.quantization.libraries import quiet, refusals
from furiosa_ir.quantization.tflite_biases import with_room_for_biases

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
        schema = _libraries().schema
        try:
            content = content_of_part(content, part)
            model = schema.ModelT.InitFromPackedBuf(content, 0)
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
    if not model.signatureDefs:
        entry = schema.SignatureDefT()
        entry.signatureKey, entry.subgraphIndex = _SIGNATURE.encode(), 0
        entry.inputs = [_named(schema, labels, i) for i in graph.inputs]
        entry.outputs = [_named(schema, labels, i) for i in graph.outputs]
        model.signatureDefs = [entry]
        builder = flatbuffers.Builder(len(content))
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        content = bytes(builder.Output())
    signature = model.signatureDefs[0]
    arguments = {labels[m.tensorIndex]: m.name.decode() for m in signature.inputs}
    for index in (*graph.inputs, *graph.outputs):
        if graph.tensors[index].type in (schema.TensorType.INT8, schema.TensorType.UINT8):
            raise FuriosaError(
                "the network is quantised already",
                file=name,
                layer=labels[index],
                hint="compile it as it is",
            )
    layers = tuple(labels[op.outputs[0]] for op in graph.operators if len(op.outputs))
    inputs = tuple(_describe(graph.tensors[i], labels[i], schema, name) for i in graph.inputs)
    outputs = tuple(labels[i] for i in graph.outputs)
    return TFLiteSource(
        name, content, signature.signatureKey.decode(), arguments, inputs, outputs, layers
    )


def _named(schema: Any, labels: Sequence[str], index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = labels[index].encode(), index
    return entry


def _describe(tensor: Any, name: str, schema: Any, file: str) -> InputDescription:
    types = {
        schema.TensorType.FLOAT32: np.float32,
        schema.TensorType.INT32: np.int32,
        schema.TensorType.INT64: np.int64,
        schema.TensorType.BOOL: np.bool_,
    }
    if tensor.type not in types:
        raise FuriosaError("this input's element type cannot be calibrated", file=file, layer=name)
    # An open dimension stays as the file has it: one sample at a time.
    shape = tuple(int(n) for n in (tensor.shape if tensor.shape is not None else ()))
    return InputDescription(name, np.dtype(types[tensor.type]), shape)


def quantize_tflite(
    source: TFLiteSource,
    samples: Sequence[Sample],
    *,
    per_channel: bool = True,
    exclude: Sequence[str] = (),
    on_step: OnStep = no_report,
) -> bytes:
    """Quantises a network to int8 weights and activations, inputs and outputs included.

    Args:
        source: the float network.
        samples: calibration data (`load_samples`); a tensor's range is that of all its values.
        per_channel: a scale for each output channel of a weight, not one for the whole weight.
        exclude: operators that stay in float, by the name of their first output.
        on_step: is told the progress.

    Raises:
        FuriosaError: the network or its data cannot be quantised, or ai-edge-quantizer is missing.
    """
    library = _libraries()
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
            f"^{re.escape(name)}",
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
        quantizer = library.quantizer.Quantizer(source.content, recipe.get_quantization_recipe())
        ranges = {k: _not_nothing(v) for k, v in calibrator.get_model_qsvs().items()}
        result = quantizer.quantize(ranges, enable_progress_report=False)
    quantized = with_room_for_biases(source.content, bytes(result.quantized_model), library.schema)
    on_step("Quantising", 1, 1)
    return quantized


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


def tflite_runner(
    content: bytes, inputs: Sequence[InputDescription], name: str
) -> Callable[[Sample], Sequence[Array]]:
    """Runs a network on LiteRT with its reference kernels, real numbers in and out.

    Args:
        content: the network, float or quantised.
        inputs: of the float network; the quantised one takes them in the same order.
        name: of the file.

    Raises:
        FuriosaError: LiteRT cannot run it.
    """
    litert = _libraries().interpreter
    running: Any = None
    reason = ""
    # The reference resolver lacks newer versions of some operators.
    for kind in ("BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"):
        try:
            running = litert.Interpreter(
                model_content=content,
                experimental_op_resolver_type=getattr(litert.OpResolverType, kind),
                num_threads=1,
            )
            running.allocate_tensors()
            break
        except (RuntimeError, ValueError) as error:
            running, reason = None, " ".join(str(error).split())
    if running is None:
        raise FuriosaError(f"LiteRT does not run it: {reason}", file=name)

    def run(sample: Sample) -> Sequence[Array]:
        for detail, description in zip(running.get_input_details(), inputs, strict=True):
            real = sample[description.name]
            running.set_tensor(detail["index"], _stored(real, detail))
        running.invoke()
        return [_real(running.get_tensor(d["index"]), d) for d in running.get_output_details()]

    return run


def _stored(real: Array, detail: dict[str, Any]) -> Array:
    scale, zero_point = detail["quantization"]
    if not scale:
        return real.astype(detail["dtype"])
    info = np.iinfo(detail["dtype"])
    stored = np.rint(real / scale) + zero_point
    return np.clip(stored, info.min, info.max).astype(detail["dtype"])


def _real(stored: Array, detail: dict[str, Any]) -> Array:
    scale, zero_point = detail["quantization"]
    return (stored.astype(np.float64) - zero_point) * scale if scale else stored.copy()


def _libraries() -> Any:
    """The modules of LiteRT and ai-edge-quantizer that are used here."""
    try:
        from ai_edge_litert import interpreter, schema_py_generated  # noqa: PLC0415
        from ai_edge_quantizer import (  # noqa: PLC0415
            calibrator,
            qtyping,
            quantizer,
            recipe_manager,
        )
    except ImportError:
        raise FuriosaError(
            "quantising a TFLite network needs ai-edge-quantizer",
            hint="pip install furiosa-ir[quantize]",
        ) from None
    modules: dict[str, ModuleType] = {
        "interpreter": interpreter,
        "schema": schema_py_generated,
        "calibrator": calibrator,
        "qtyping": qtyping,
        "quantizer": quantizer,
        "recipe_manager": recipe_manager,
    }
    return SimpleNamespace(**modules)
