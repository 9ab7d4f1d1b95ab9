"""A float network file to a quantised one: either format, by its content."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furiosa_ir.errors import FuriosaError
from furiosa_ir.formats import HEAD_BYTES, Format, recognise
from furiosa_ir.input_files import open_input
from furiosa_ir.native_process import OnStep
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.quantization.accuracy import OutputAccuracy, compare
from furiosa_ir.quantization.calibration import Calibration, Sample, load_samples
from furiosa_ir.quantization.layers import LayerAccuracy, warn_of_poor_outputs
from furiosa_ir.quantization.onnx import OnnxSource, left_in_float, quantize_onnx
from furiosa_ir.quantization.onnx_running import onnx_runner
from furiosa_ir.quantization.tflite import TFLiteSource, quantize_tflite
from furiosa_ir.quantization.tflite_running import tflite_runner


@dataclass(frozen=True)
class Quantized:
    """A network that was quantised.

    Attributes:
        content: the file.
        framework: "onnx" or "tflite".
        samples: how many there were.
        seconds: for reading, calibrating and quantising, without the comparison.
        source_bytes: of the float network.
        float_operators: how many operators of each kind stay in float (ONNX).
        outputs: how near each output is to the float network's, on the calibration samples.
        layers: how near each quantised layer is, on some of them.
    """

    content: bytes
    framework: str
    samples: int
    seconds: float
    source_bytes: int
    float_operators: dict[str, int]
    outputs: tuple[OutputAccuracy, ...]
    layers: tuple[LayerAccuracy, ...]


def quantize_network(
    source: Path,
    calibration: Calibration,
    *,
    method: str,
    per_channel: bool,
    activation: str,
    exclude: Sequence[str],
    limit: int | None,
    part: Part = WHOLE,
    on_step: OnStep,
) -> Quantized:
    """Quantises a float network in this process; the arguments are those of `quantize`.

    Raises:
        FuriosaError: anything is wrong with the network or the data.
    """
    started = time.perf_counter()
    if _is_tflite(source):
        if method != "minmax" or activation != "int8":
            raise FuriosaError(
                "TFLite networks are quantised by minmax to int8 only", file=str(source)
            )
        network = TFLiteSource.read(source, part)
        samples = load_samples(calibration, network.inputs, limit)
        reference = tflite_runner(network.content, network.inputs, network.name)
        content, layers = quantize_tflite(
            network, samples, per_channel=per_channel, exclude=exclude, on_step=on_step
        )
        seconds = time.perf_counter() - started
        running = tflite_runner(content, network.inputs, network.name)
        accuracy = _compare(network.outputs, reference, running, samples, False, on_step)
        warn_of_poor_outputs(network.name, accuracy, layers, _ways_out(method, per_channel, True))
        size = source.stat().st_size
        return Quantized(
            content, "tflite", len(samples), seconds, size, {}, accuracy, tuple(layers)
        )
    network = OnnxSource.read(source, part)
    samples = load_samples(calibration, network.inputs, limit)
    reference = onnx_runner(network.model, network.name)
    quantized, layers = quantize_onnx(
        network,
        samples,
        method=method,
        per_channel=per_channel,
        activation=activation,
        exclude=exclude,
        on_step=on_step,
    )
    seconds = time.perf_counter() - started
    running = onnx_runner(quantized, network.name)
    accuracy = _compare(network.outputs, reference, running, samples, True, on_step)
    warn_of_poor_outputs(network.name, accuracy, layers, _ways_out(method, per_channel, False))
    try:
        content = quantized.SerializeToString()
    except ValueError:
        raise FuriosaError(
            "quantised, it is larger than a file of ONNX can be", file=network.name
        ) from None
    return Quantized(
        content,
        "onnx",
        len(samples),
        seconds,
        network.model.ByteSize(),
        left_in_float(quantized),
        accuracy,
        tuple(layers),
    )


def _ways_out(method: str, per_channel: bool, tflite: bool) -> list[str]:
    """The options that may bring an output nearer, beside excluding layers."""
    others = [] if tflite else [m for m in ("entropy", "percentile", "minmax") if m != method]
    ways = [f"--method {' or '.join(others)}"] if others else []
    if not per_channel:
        ways.append("a scale for each channel (no --per-tensor)")
    return [*ways, "more samples"]


def _compare(
    names: Sequence[str],
    reference: Any,
    quantized: Any,
    samples: Sequence[Sample],
    channels_first: bool,
    on_step: OnStep,
) -> tuple[OutputAccuracy, ...]:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        on_step("Comparing with the float network", done, len(samples))

    on_step("Comparing with the float network", 0, len(samples))
    return tuple(
        compare(
            names, reference, quantized, samples, channels_first=channels_first, on_sample=count
        )
    )


def _is_tflite(path: Path) -> bool:
    try:
        with open_input(path) as file:
            return recognise(file.read(HEAD_BYTES)) is Format.TFLITE
    except OSError as error:
        raise FuriosaError(f"cannot be read: {error.strerror}", file=str(path)) from None
