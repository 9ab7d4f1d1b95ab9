"""A float network file to a quantised one: either format, by its content."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furiosa_ir.errors import FuriosaError
from furiosa_ir.files import check_distinct, check_writable, write_whole
from furiosa_ir.input_files import open_input
from furiosa_ir.plugins import Plugin, load_plugins
from furiosa_ir.quantization.accuracy import OutputAccuracy, compare
from furiosa_ir.quantization.calibration import (
    Calibration,
    Sample,
    calibration_files,
    load_samples,
)
from furiosa_ir.quantization.libraries import OnStep, no_report
from furiosa_ir.quantization.onnx import (
    ACTIVATIONS,
    OnnxSource,
    left_in_float,
    onnx_runner,
    quantize_onnx,
)
from furiosa_ir.quantization.ranges import METHODS
from furiosa_ir.quantization.rehearsal import check_survival
from furiosa_ir.quantization.tflite import TFLiteSource, quantize_tflite, tflite_runner


@dataclass(frozen=True)
class QuantizationReport:
    """What quantising a network came to.

    Attributes:
        source, output: the files.
        framework: "onnx" or "tflite".
        method, per_channel, activation, exclude: as asked for.
        samples: how many there were.
        seconds: for reading, calibrating and quantising, without the comparison.
        source_bytes, output_bytes: file sizes.
        float_operators: how many operators of each kind stay in float (ONNX).
        outputs: how near each output is to the float network's, on the calibration samples.
    """

    source: str
    output: str
    framework: str
    method: str
    per_channel: bool
    activation: str
    exclude: tuple[str, ...]
    samples: int
    seconds: float
    source_bytes: int
    output_bytes: int
    float_operators: dict[str, int]
    outputs: tuple[OutputAccuracy, ...]

    def as_json(self) -> dict[str, Any]:
        """For `furiosa quantize --report`."""
        fields = {k: v for k, v in vars(self).items() if k != "outputs"}
        return {
            **fields,
            "exclude": list(self.exclude),
            "outputs": [o.as_json() for o in self.outputs],
        }


def quantize(
    source: str | Path,
    calibration: Calibration,
    output: str | Path,
    *,
    method: str = "minmax",
    per_channel: bool = True,
    activation: str = "int8",
    exclude: Sequence[str] = (),
    limit: int | None = None,
    plugins: Sequence[Plugin] = (),
    on_step: OnStep = no_report,
) -> QuantizationReport:
    """Quantises a float network.

    Args:
        source: an ONNX or TFLite network; its content says which.
        calibration: samples of its inputs, as arrays or files of them.
        output: the file to write; it appears whole or not at all.
        method: how a tensor's range follows from its values: "minmax", "entropy", "percentile".
        per_channel: a scale for each output channel of a weight, not one for the whole weight.
        activation: "int8" or "uint8".
        exclude: layers that stay in float.
        limit: at most that many samples.
        plugins: code that declares operators and lowerings; those that the NPU thereby has an
            8-bit form of are quantised, too.
        on_step: is told the progress.

    Raises:
        FuriosaError: anything is wrong with the network, the data or the output file.
    """
    source, output = Path(source), Path(output)
    load_plugins(plugins)
    if method not in METHODS or activation not in ACTIVATIONS:
        raise FuriosaError(
            f"no method '{method}' with {activation} activations",
            hint=f"choose of {', '.join(METHODS)} and {' or '.join(ACTIVATIONS)}",
        )
    check_writable(output)
    check_distinct([output], [source, *calibration_files(calibration)])
    if _is_tflite(source):
        if method != "minmax" or activation != "int8":
            raise FuriosaError(
                "TFLite networks are quantised by minmax to int8 only", file=str(source)
            )
        return _tflite(source, calibration, output, per_channel, tuple(exclude), limit, on_step)
    started = time.perf_counter()
    network = OnnxSource.read(source)
    samples = load_samples(calibration, network.inputs, limit)
    check_survival(source, samples[0])
    reference = onnx_runner(network.model, network.name)
    quantized = quantize_onnx(
        network,
        samples,
        method=method,
        per_channel=per_channel,
        activation=activation,
        exclude=exclude,
        on_step=on_step,
    )
    seconds = time.perf_counter() - started
    accuracy = _compare(
        network.outputs, reference, onnx_runner(quantized, network.name), samples, True, on_step
    )
    try:
        content = quantized.SerializeToString()
    except ValueError:
        raise FuriosaError("it is larger than a file of ONNX can be", file=str(output)) from None
    write_whole(content, output)
    return QuantizationReport(
        network.name,
        str(output),
        "onnx",
        method,
        per_channel,
        activation,
        tuple(exclude),
        len(samples),
        seconds,
        network.model.ByteSize(),
        len(content),
        left_in_float(quantized),
        accuracy,
    )


def _tflite(
    source: Path,
    calibration: Calibration,
    output: Path,
    per_channel: bool,
    exclude: tuple[str, ...],
    limit: int | None,
    on_step: OnStep,
) -> QuantizationReport:
    started = time.perf_counter()
    network = TFLiteSource.read(source)
    samples = load_samples(calibration, network.inputs, limit)
    reference = tflite_runner(network.content, network.inputs, network.name)
    quantized = quantize_tflite(
        network, samples, per_channel=per_channel, exclude=exclude, on_step=on_step
    )
    seconds = time.perf_counter() - started
    accuracy = _compare(
        network.outputs,
        reference,
        tflite_runner(quantized, network.inputs, network.name),
        samples,
        False,
        on_step,
    )
    write_whole(quantized, output)
    return QuantizationReport(
        network.name,
        str(output),
        "tflite",
        "minmax",
        per_channel,
        "int8",
        exclude,
        len(samples),
        seconds,
        source.stat().st_size,
        len(quantized),
        {},
        accuracy,
    )


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
            return file.read(8)[4:8] == b"TFL3"
    except OSError as error:
        raise FuriosaError(f"cannot be read: {error.strerror}", file=str(path)) from None
