"""Float ONNX networks to QDQ ones, by onnxruntime's quantiser."""

from __future__ import annotations

import contextlib
import difflib
import io
import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper, numpy_helper

from furiosa_ir.arrays import Array
from furiosa_ir.backends.warboy.lowering.registry import EXACT, find_lowering
from furiosa_ir.dialects.graph import OPERATIONS
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp
from furiosa_ir.errors import FuriosaError
from furiosa_ir.quantization.calibration import InputDescription, Sample
from furiosa_ir.quantization.preparation import prepare, quiet, read_float_model

METHODS = ("minmax", "entropy", "percentile")
"""How a tensor's range follows from its values: all of them; the one that loses least information;
the one that holds 99.999 % of them."""

ACTIVATIONS = ("int8", "uint8")

OnStep = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

_HISTOGRAM_BINS = {"entropy": 512, "percentile": 2048}
"""Bins of the histogram of a tensor's values. onnxruntime's own 128 for entropy are as many as the
levels it compares with, which leaves it no range to choose but the greatest."""


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
    def read(path: Path) -> OnnxSource:
        """Reads a file.

        Raises:
            FuriosaError: it holds no float ONNX network.
        """
        model = read_float_model(path)
        constants = {i.name for i in model.graph.initializer}
        inputs = tuple(_describe(v) for v in model.graph.input if v.name not in constants)
        return OnnxSource(str(path), model, inputs, tuple(o.name for o in model.graph.output))


def _describe(value: onnx.ValueInfoProto) -> InputDescription:
    tensor = value.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
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
    on_step: OnStep = lambda what, done, total: None,
) -> onnx.ModelProto:
    """Quantises a network to int8 weights and 8-bit activations, as QuantizeLinear and
    DequantizeLinear around its operators.

    Only operators that Warboy has an 8-bit form of are quantised: any other one would lose
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
    from onnxruntime.quantization import QDQQuantizer, QuantType  # noqa: PLC0415  # takes seconds

    excluded_outputs = _outputs_of(source, exclude)
    on_step("Preparing the network", 0, 1)
    model = prepare(_copy(source.model), source.name)
    excluded = [n.name for n in model.graph.node if excluded_outputs & {n.name, *n.output}]
    on_step("Preparing the network", 1, 1)
    ranges = _calibrate(model, samples, method, source.name, set(excluded), on_step)
    on_step("Quantising", 0, 1)
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
            {},
        )
        try:
            quantizer.quantize_model()
        except Exception as error:  # its errors share no base, and name no node
            text = " ".join(str(error).split())
            raise FuriosaError(f"onnxruntime's quantiser fails: {text}", file=source.name) from error
    quantizer.model.topological_sort()
    quantized: onnx.ModelProto = quantizer.model.model
    del quantized.metadata_props[:]  # the quantiser's notes to itself
    quantized.producer_name = "furiosa-ir"
    _check_scales(quantized, source.name)
    on_step("Quantising", 1, 1)
    return quantized


def onnx_runner(model: onnx.ModelProto, name: str) -> Callable[[Sample], Sequence[Array]]:
    """Runs a network on onnxruntime; a quantised one in float arithmetic.

    Without its graph optimisations: its fused 8-bit kernels saturate on some processors.

    Raises:
        FuriosaError: onnxruntime cannot run it.
    """
    import onnxruntime  # noqa: PLC0415  # takes 0.1 s

    options = cast("Any", onnxruntime.SessionOptions())
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        onnx.save(_copy(model), path, save_as_external_data=model.ByteSize() >= _PROTOBUF_END)
        try:
            session: Any = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no public base
            text = " ".join(str(error).split())
            raise FuriosaError(f"onnxruntime does not take the network: {text}", file=name) from None

    def run(sample: Sample) -> Sequence[Array]:
        try:
            return session.run(None, dict(sample))
        except Exception as error:
            text = " ".join(str(error).split())
            raise FuriosaError(f"onnxruntime cannot run the network: {text}", file=name) from None

    return run


_PROTOBUF_END = (1 << 31) - (1 << 20)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


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


def _quantized_operators(model: onnx.ModelProto) -> list[str]:
    """Operator names of the network whose 8-bit form Warboy has."""
    known = {
        name.rpartition("::")[2]
        for operation in OPERATIONS
        if not issubclass(operation, QuantizeOp | DequantizeOp)
        and find_lowering(operation, EXACT) is not None
        for name in operation.ONNX
    }
    return sorted({n.op_type for n in model.graph.node} & known)


class _OneSample:
    """A `CalibrationDataReader` of one sample: what it reads in one go, it also keeps in memory."""

    def __init__(self, sample: Sample) -> None:
        self._sample: Sample | None = sample

    def get_next(self) -> Sample | None:
        sample, self._sample = self._sample, None
        return sample


def _calibrate(
    model: onnx.ModelProto,
    samples: Sequence[Sample],
    method: str,
    name: str,
    excluded: set[str],
    on_step: OnStep,
) -> Any:
    """The range of every float tensor (onnxruntime's `TensorsData`)."""
    from onnxruntime.quantization import CalibrationMethod, TensorsData  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "prepared.onnx")
        large = model.ByteSize() >= _PROTOBUF_END // 2
        onnx.save(_copy(model), path, save_as_external_data=large)
        extremes = _collect(
            _calibrator(path, CalibrationMethod.MinMax, large, {}), samples, name, on_step
        )
        ranges = {
            k: (np.reshape(d.lowest, ()), np.reshape(d.highest, ()))
            for k, d in extremes.data.items()
        }
        _check_ranges(model, ranges, excluded, name)
        if method == "minmax":
            return TensorsData(CalibrationMethod.MinMax, _not_empty(ranges))
        kind = {"entropy": CalibrationMethod.Entropy, "percentile": CalibrationMethod.Percentile}
        bins = _HISTOGRAM_BINS[method]
        calibrator = _calibrator(path, kind[method], large, {"num_bins": bins, "symmetric": False})
        _prepare_histograms(calibrator, ranges, bins)
        found = _collect(calibrator, samples, name, on_step)
        narrowed = {k: (d.lowest, d.highest) for k, d in found.data.items()}
        return TensorsData(CalibrationMethod.MinMax, _not_empty({**ranges, **narrowed}))


def _calibrator(path: Path, method: Any, large: bool, options: dict[str, Any]) -> Any:
    from onnxruntime.quantization import create_calibrator  # noqa: PLC0415

    with quiet():
        return create_calibrator(
            path,
            None,  # every tensor
            augmented_model_path=str(path.with_name(f"{method.name}.onnx")),
            calibrate_method=method,
            use_external_data_format=large,
            extra_options=options,
        )


def _collect(calibrator: Any, samples: Sequence[Sample], name: str, on_step: OnStep) -> Any:
    """Runs the samples one by one: all their intermediate tensors together fill any memory."""
    for index, sample in enumerate(samples):
        on_step("Calibrating", index, len(samples))
        try:
            # It prints what it does.
            with quiet(), contextlib.redirect_stdout(io.StringIO()):
                calibrator.collect_data(_OneSample(sample))
        except Exception as error:  # onnxruntime's exceptions share no public base
            text = " ".join(str(error).split())
            raise FuriosaError(
                f"the network does not run on calibration sample {index}: {text}", file=name
            ) from None
    on_step("Calibrating", len(samples), len(samples))
    with quiet(), contextlib.redirect_stdout(io.StringIO()):
        return calibrator.compute_data()


def _prepare_histograms(calibrator: Any, ranges: dict[str, Any], bins: int) -> None:
    """Empty histograms over the known ranges.

    Sample by sample, onnxruntime's would begin at the first sample's range and grow in steps of
    its width: without end, if the first sample of a tensor is nearly zero.
    """
    from onnxruntime.quantization.calibrate import HistogramCollector  # noqa: PLC0415

    collector = HistogramCollector(
        method=calibrator.method,
        symmetric=calibrator.symmetric,
        num_bins=bins,
        num_quantized_bins=calibrator.num_quantized_bins,
        percentile=calibrator.percentile,
        scenario=calibrator.scenario,
    )
    for tensor in calibrator.tensors_to_calibrate:
        low, high = ranges[tensor]
        threshold = np.array(max(abs(low), abs(high)), dtype=low.dtype)
        nothing = np.zeros(0, low.dtype)
        histogram, edges = np.histogram(nothing, bins, range=(-threshold, threshold))
        collector.histogram_dict[tensor] = (histogram, edges.astype(low.dtype), low, high, threshold)
    calibrator.collector = collector


def _check_ranges(
    model: onnx.ModelProto, ranges: dict[str, Any], excluded: set[str], name: str
) -> None:
    """Refuses tensors that no scale can hold, unless only excluded nodes have to do with them."""
    producers = {o: n for n in model.graph.node for o in n.output}
    users: dict[str, list[str]] = {}
    for node in model.graph.node:
        for value in node.input:
            users.setdefault(value, []).append(node.name)
    for tensor, (low, high) in ranges.items():
        if math.isfinite(low) and math.isfinite(high):
            continue
        node = producers.get(tensor)
        around = [*users.get(tensor, []), *([node.name] if node is not None else [])]
        if all(n in excluded for n in around):
            ranges[tensor] = (np.zeros_like(low), np.zeros_like(high))
            continue
        raise FuriosaError(
            f"its values reach from {float(low):g} to {float(high):g} on the calibration data",
            file=name,
            layer=tensor if node is None else node.name,
            hint="exclude it, or leave such samples out",
        )


def _not_empty(ranges: dict[str, Any]) -> dict[str, Any]:
    """A tensor that was always zero gets the range [0, 1].

    onnxruntime would take a signed range for it, and then drop the Relu that made it zero.
    """
    one = {np.dtype(np.float16): np.float16(1), np.dtype(np.float32): np.float32(1)}
    return {
        k: (low, high if low or high else np.array(one[low.dtype])) for k, (low, high) in ranges.items()
    }


def _check_scales(model: onnx.ModelProto, name: str) -> None:
    constants = {i.name: i for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        scale = numpy_helper.to_array(constants[node.input[1]])
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            raise FuriosaError(
                "its values are too small or too great for a float32 scale",
                file=name,
                layer=node.input[0],
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
