"""ONNX networks on onnxruntime, as calibration and comparison run them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import onnx

from furiosa_ir.leftovers import temporary_folder
from furiosa_ir.numerics.array import Array
from furiosa_ir.quantization.calibration import Sample
from furiosa_ir.quantization.libraries import refusals
from furiosa_ir.quantization.preparation import IN_ONE_FILE, copy_of


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
    with temporary_folder() as folder:
        path = folder / "model.onnx"
        onnx.save(copy_of(model), path, save_as_external_data=model.ByteSize() > IN_ONE_FILE)
        with refusals("onnxruntime does not take the network", name):
            session: Any = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )

    def run(sample: Sample) -> Sequence[Array]:
        with refusals("onnxruntime cannot run the network", name):
            return session.run(None, dict(sample))

    return run
