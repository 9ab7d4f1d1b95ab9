"""The range of every tensor of an ONNX network, by onnxruntime's calibrators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from furiosa_ir.errors import FuriosaError
from furiosa_ir.leftovers import temporary_folder
from furiosa_ir.native_process import OnStep
from furiosa_ir.quantization.calibration import Sample
from furiosa_ir.quantization.indifference import Limits
from furiosa_ir.quantization.libraries import quiet, refusals
from furiosa_ir.quantization.onnx_limits import bound_infinities, narrow
from furiosa_ir.quantization.preparation import IN_ONE_FILE, copy_of

_HISTOGRAM_BINS = {"entropy": 512, "percentile": 2048}
"""Bins of the histogram of a tensor's values. onnxruntime's own 128 for entropy are as many as the
levels it compares with, which leaves it no range to choose but the greatest."""


class _OneSample:
    """A `CalibrationDataReader` of one sample: what it reads in one go, it also keeps in memory."""

    def __init__(self, sample: Sample) -> None:
        self._sample: Sample | None = sample

    def get_next(self) -> Sample | None:
        sample, self._sample = self._sample, None
        return sample


def find_ranges(
    model: onnx.ModelProto,
    samples: Sequence[Sample],
    method: str,
    name: str,
    excluded: set[str],
    on_step: OnStep,
) -> tuple[Any, dict[str, Limits]]:
    """The range of every float tensor (onnxruntime's `TensorsData`).

    Returns:
        And how far the values of tensors reach that are clipped in it, where no result can tell;
        the model's constants are clipped, too.
    """
    from onnxruntime.quantization import CalibrationMethod, TensorsData  # noqa: PLC0415

    with temporary_folder() as folder:
        path = folder / "prepared.onnx"
        large = model.ByteSize() >= IN_ONE_FILE
        onnx.save(copy_of(model), path, save_as_external_data=large)
        extremes = _calibrator(path, CalibrationMethod.MinMax, large, {})
        _collect(extremes, samples, name, on_step)
        ranges = {
            k: _of_elements(np.reshape(d.lowest, ()), np.reshape(d.highest, ()))
            for k, d in _result(extremes).data.items()
        }
        narrowed = narrow(model, ranges, samples, name)
        bound_infinities(model, ranges, excluded)
        _check_ranges(model, ranges, excluded, name)
        if method == "minmax":
            return TensorsData(CalibrationMethod.MinMax, _not_empty(ranges)), narrowed
        kind = {"entropy": CalibrationMethod.Entropy, "percentile": CalibrationMethod.Percentile}
        bins = _HISTOGRAM_BINS[method]
        calibrator = _calibrator(path, kind[method], large, {"num_bins": bins, "symmetric": False})
        _prepare_histograms(calibrator, ranges, bins)
        _collect(calibrator, samples, name, on_step)
        if method == "entropy":
            _level_zeros(calibrator)
        # What a mask hides is no part of a distribution: its tensors keep the range that they have.
        histograms = calibrator.collector.histogram_dict
        data: dict[str, Any] = _result(calibrator).data if histograms else {}
        found = {
            k: tuple(np.asarray(end, ranges[k][0].dtype) for end in (d.lowest, d.highest))
            for k, d in data.items()
        }
        kept = {k: v for k, v in found.items() if k not in narrowed}
        return TensorsData(CalibrationMethod.MinMax, _not_empty({**ranges, **kept})), narrowed


def _of_elements(low: Any, high: Any) -> tuple[Any, Any]:
    """A range; that of a tensor without elements, which needs none, is [0, 0]."""
    return (low, high) if not low > high else (np.zeros_like(low), np.zeros_like(high))


def _calibrator(path: Path, method: Any, large: bool, options: dict[str, Any]) -> Any:
    library: Any = import_module("onnxruntime.quantization")
    with quiet():
        return library.create_calibrator(
            path,
            None,  # every tensor
            augmented_model_path=str(path.with_name(f"{method.name}.onnx")),
            calibrate_method=method,
            use_external_data_format=large,
            extra_options=options,
        )


def _collect(calibrator: Any, samples: Sequence[Sample], name: str, on_step: OnStep) -> None:
    """Runs the samples one by one: all their intermediate tensors together fill any memory."""
    for index, sample in enumerate(samples):
        on_step("Calibrating", index, len(samples))
        where = f"the network does not run on calibration sample {index}"
        with refusals(where, name), quiet():
            calibrator.collect_data(_OneSample(sample))
    on_step("Calibrating", len(samples), len(samples))


def _result(calibrator: Any) -> Any:
    with quiet():
        return calibrator.compute_data()


def _prepare_histograms(calibrator: Any, ranges: dict[str, Any], bins: int) -> None:
    """Empty histograms over the known ranges, in float32: float16 has too few numbers for bins.

    Sample by sample, onnxruntime's would begin at the first sample's range and grow in steps of
    its width: without end, if the first sample of a tensor is nearly zero.
    """
    library: Any = import_module("onnxruntime.quantization.calibrate")

    class Collector(library.HistogramCollector):
        """Keeps to tensors that have a histogram, and to their known ranges."""

        def collect(self, name_to_arr: dict[str, Any]) -> None:
            known: Any = self.histogram_dict
            clipped = {
                name: [np.clip(array.astype(np.float32), *ranges[name]) for array in arrays]
                for name, arrays in name_to_arr.items()
                if name in known
            }
            library.HistogramCollector.collect(self, clipped)

    collector = Collector(
        method=calibrator.method,
        symmetric=calibrator.symmetric,
        num_bins=bins,
        num_quantized_bins=calibrator.num_quantized_bins,
        percentile=calibrator.percentile,
        scenario=calibrator.scenario,
    )
    for tensor in calibrator.tensors_to_calibrate:
        low, high = (np.asarray(end, np.float32) for end in ranges[tensor])
        threshold = np.maximum(np.abs(low), np.abs(high))
        ends: Any = (-threshold, threshold)
        try:
            histogram, edges = np.histogram(np.zeros(0, np.float32), bins, range=ends)
        except ValueError:
            continue  # so narrow, or so wide, that floats lie no denser
        collector.histogram_dict[tensor] = (
            histogram,
            edges.astype(np.float32),
            low,
            high,
            threshold,
        )
    calibrator.collector = collector


def _level_zeros(calibrator: Any) -> None:
    """Counts as many values about zero as beside it, as TensorRT's calibrator does.

    A Relu makes zeros by the million; the range that loses least of their information is far too
    narrow for everything else.
    """
    for histogram, *_ in calibrator.collector.histogram_dict.values():
        middle = len(histogram) // 2
        histogram[middle], histogram[middle - 1] = histogram[middle + 1], histogram[middle - 2]


def _check_ranges(
    model: onnx.ModelProto, ranges: dict[str, Any], excluded: set[str], name: str
) -> None:
    """Refuses tensors that no scale can hold, unless only excluded nodes have to do with them."""
    producers = {o: n for n in model.graph.node for o in n.output}
    users: dict[str, list[str]] = {}
    for node in model.graph.node:
        for value in node.input:
            users.setdefault(value, []).append(node.name)
    order = {name: index for index, name in enumerate(producers)}
    for tensor in sorted(ranges, key=lambda t: order.get(t, -1)):  # the first one is the cause
        low, high = ranges[tensor]
        if math.isfinite(low) and math.isfinite(high):
            continue
        node = producers.get(tensor)
        around = [*([] if node is None else [node.name]), *users.get(tensor, [])]
        touched = [n for n in around if n not in excluded]
        if around and not touched:
            ranges[tensor] = (np.zeros_like(low), np.zeros_like(high))
            continue
        raise FuriosaError(
            f"its values reach from {float(low):g} to {float(high):g} on the calibration data",
            file=name,
            layer=touched[0] if touched else tensor,
            hint="exclude it, or leave such samples out",
        )


def _not_empty(ranges: dict[str, Any]) -> dict[str, Any]:
    """A tensor that was always zero gets the range [0, 1].

    onnxruntime would take a signed range for it, and then drop the Relu that made it zero.
    """
    one = {np.dtype(np.float16): np.float16(1), np.dtype(np.float32): np.float32(1)}
    return {
        k: (low, high if low or high else np.array(one[low.dtype]))
        for k, (low, high) in ranges.items()
    }
