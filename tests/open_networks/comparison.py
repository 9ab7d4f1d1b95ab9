"""Ten networks with open extents: compiled for given ones, and run beside their framework.

The framework gets the file as it is, open; onnxruntime without optimisation, LiteRT's reference
kernels after `resize_tensor_input`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from furiosa_ir.reports.inspect import summary
from furiosa_ir.runtime import session
from tests.open_networks import onnx_networks, tflite_networks

Array = np.ndarray[Any, np.dtype[Any]]
Shapes = Mapping[str, Sequence[int]]
Run = Callable[[Sequence[Array]], list[Array]]

TOLERANCE = 1e-5
"""Of the greatest element: what floats may differ by."""


@dataclass(frozen=True)
class OpenNetwork:
    """A network, and extents to try.

    Attributes:
        make: makes its file.
        shapes: what `input_shapes` gets.
        dims: what `dims` gets, instead.
        least_npu: of the multiplications, the share that the NPU must have.
    """

    make: Callable[[], bytes]
    shapes: Shapes
    dims: Mapping[str, int] | None = None
    least_npu: float = 0.0

    @property
    def name(self) -> str:
        """What people call it."""
        return self.make.__name__

    @property
    def is_tflite(self) -> bool:
        """Whether LiteRT is its framework."""
        return self.make.__module__.endswith("tflite_networks")


NETWORKS = [
    OpenNetwork(onnx_networks.ocr_detection, {"x": (1, 3, 32, 48)}, least_npu=0.9),
    OpenNetwork(onnx_networks.ocr_recognition, {"x": (1, 3, 32, 40)}, least_npu=0.85),
    OpenNetwork(
        onnx_networks.ocr_classification,
        {"x": (1, 3, 24, 30)},
        {f"p2o.DynamicDimension.{i}": n for i, n in ((1, 24), (2, 30))},
        least_npu=0.9,
    ),
    OpenNetwork(
        onnx_networks.voice_activity,
        {"input": (1, 256), "state": (2, 1, 16)},
        {"sequence": 256},
    ),
    OpenNetwork(onnx_networks.face_detection, {"input.1": (1, 3, 32, 40)}, least_npu=0.9),
    OpenNetwork(
        onnx_networks.text_embedding,
        {"input_ids": (1, 12), "attention_mask": (1, 12)},
        {"sequence_length": 12},
    ),
    OpenNetwork(
        onnx_networks.segmentation, {"input": (1, 3, 36, 28)}, {"H": 36, "W": 28}, least_npu=0.9
    ),
    OpenNetwork(onnx_networks.mel_spectrogram, {"input": (1, 640)}),
    OpenNetwork(
        tflite_networks.selfie_segmentation,
        {"serving_default_image:0": (1, 20, 28, 3)},
        least_npu=0.9,
    ),
    OpenNetwork(tflite_networks.wake_word, {"features": (1, 25, 16, 1)}, least_npu=0.9),
]


def framework_of(network: OpenNetwork, model: bytes) -> Run:
    """The framework's own run of the open file."""
    return _litert(model) if network.is_tflite else _onnxruntime(model)


def _onnxruntime(model: bytes) -> Run:
    settings = cast("Any", onnxruntime.SessionOptions())
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.intra_op_num_threads = 1
    running = cast("Any", onnxruntime.InferenceSession(model, settings))
    names = [i.name for i in running.get_inputs()]
    return lambda arrays: running.run(None, dict(zip(names, arrays, strict=True)))


def _litert(model: bytes) -> Run:
    running: Any = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        num_threads=1,
    )

    def run(arrays: Sequence[Array]) -> list[Array]:
        for detail, array in zip(running.get_input_details(), arrays, strict=True):
            running.resize_tensor_input(detail["index"], array.shape, strict=True)
        running.allocate_tensors()
        for detail, array in zip(running.get_input_details(), arrays, strict=True):
            running.set_tensor(detail["index"], array)
        running.invoke()
        return [running.get_tensor(d["index"]) for d in running.get_output_details()]

    return run


def drawn(descs: Sequence[Any], rng: np.random.Generator) -> list[Array]:
    """An input of a network: reals up to 4, any int8, small whole numbers for indices."""
    found: list[Array] = []
    for desc in descs:
        dtype = np.dtype(desc.numpy_dtype)
        if dtype.kind == "f":
            found.append(rng.uniform(-4, 4, desc.shape).astype(dtype))
        elif dtype.itemsize == 1:
            found.append(rng.integers(-128, 128, desc.shape).astype(dtype))
        else:
            found.append(rng.integers(0, 2, desc.shape).astype(dtype))
    return found


@dataclass(frozen=True)
class Outcome:
    """What a comparison found.

    Attributes:
        npu_share: of the multiplications, on the NPU.
        runs: how many there were.
        integers_apart: elements of integer outputs that differ.
        apart: of float outputs, the greatest difference, in units of the greatest element.
    """

    npu_share: float
    runs: int
    integers_apart: int
    apart: float


def compare(network: OpenNetwork, runs: int, *, by_dims: bool = False) -> Outcome:
    """Compiles a network for its extents, and runs it so often, in one session.

    Args:
        network: which.
        runs: each on other data.
        by_dims: give the extents by the names of dimensions.
    """
    model = network.make()
    reference = framework_of(network, model)
    rng = np.random.default_rng(runs)
    integers, apart = 0, 0.0
    given: dict[str, Any] = {"dims": network.dims} if by_dims else {"input_shapes": network.shapes}
    with session.create(model, compiler_hints=False, **given) as running:
        share = summary(running.program)["summary"]["npu_mac_share"]
        for _ in range(runs):
            arrays = drawn(running.inputs(), rng)
            results = running.run(arrays).numpy()
            for got, want in zip(results, reference(arrays), strict=True):
                assert got.shape == want.shape, (got.shape, want.shape)
                assert got.dtype == want.dtype
                if got.dtype.kind in "iub":
                    integers += int((got != want).sum())
                else:
                    greatest = max(float(np.abs(want).max(initial=0)), 1e-30)
                    apart = max(apart, float(np.abs(got - want).max(initial=0)) / greatest)
    return Outcome(share, runs, integers, apart)
