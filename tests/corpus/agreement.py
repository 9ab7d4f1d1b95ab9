"""How compiled networks agree with their frameworks; run as a module it prints a table.

TFLite: every output byte against LiteRT's reference kernels. ONNX: every output element against
exact arithmetic (`../shared/exact_onnx.py`).
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from furiosa_ir.compiler import compile_model
from furiosa_ir.reports.inspect import summary
from furiosa_ir.runtime import session
from tests import without_cache  # noqa: F401  # each compile is one

SHARED = Path(__file__).parents[3] / "shared"
MODELS = SHARED / "models"

TFLITE = (
    "ad_fc_ae_int8",
    "ic_resnet8_int8",
    "kws_dscnn_int8",
    "vww_mbv1_025_96_int8",
    "sww_streaming_int8",
    "mnist_resnet_int8",
    "person_detect_int8_qdimfix",
    "mbv1_025_128_qat_u8",
    "mbv1_050_128_int8_st",
    "mbv2_100_224_ptq_int8",
    "mobilenet_edgetpu_075_224_ptq_u8",
    "ssd_mbv1_coco_300_u8",
    "ssd_mbv2_fpnlite_256_int8",
    "deeplabv3_mbv2_dm05_pascal_u8",
)
ONNX_TRAINED = (
    "ad_fc_ae_qdq_i8",
    "ic_resnet8_qdq_i8",
    "kws_dscnn_qdq_i8",
    "vww_mbv1_025_96_qdq_i8",
    "mbv1_050_128_qdq_st",
    "mbv2_100_224_qdq_i8",
    "ultraface_rfb320_qdq_i8",
    "ssd_mbv2_fpnlite_256_qdq_st",
)
ONNX_GENERATED = (
    "resnet50_v15_qdq_int8",
    "mobilenet_v2_qdq_int8",
    "efficientnet_b0_qdq_int8",
    "ssd_mobilenet_v1_qdq_int8",
    "yolov5n_640_qdq_int8",
    "ssd_resnet34_1200_qdq_int8",
)
NO_REFERENCE_VERSION = {"ssd_mbv2_fpnlite_256_int8"}
"""LiteRT's reference resolver lacks an operator version of these."""


@dataclass(frozen=True)
class Agreement:
    """How many inputs gave equal outputs, and what differed.

    Attributes:
        inputs: how many were run.
        equal: how many of them gave outputs equal in every element.
        elements: output elements over all inputs.
        different: of these, how many differ.
        npu_mac_share: of the multiply-accumulates.
        compile_seconds, run_seconds: of one compile, of one simulated inference.
        latency_us: the machine's estimate.
    """

    inputs: int
    equal: int
    elements: int
    different: int
    npu_mac_share: float
    compile_seconds: float
    run_seconds: float
    latency_us: float


def path_of(name: str) -> Path:
    """The corpus file of a name without suffix."""
    for folder in ("trained", "generated", "vendor"):
        for suffix in (".tflite", ".onnx"):
            path = MODELS / folder / (name + suffix)
            if path.exists():
                return path
    raise FileNotFoundError(name)


@dataclass(frozen=True)
class Input:
    """A network's input: what to draw, from which range."""

    dtype: Any
    shape: tuple[int, ...]
    low: float
    high: float

    def draw(self, rng: np.random.Generator) -> Any:
        """Random elements over the full range."""
        if np.dtype(self.dtype).kind in "iu":
            return rng.integers(int(self.low), int(self.high) + 1, self.shape).astype(self.dtype)
        return rng.uniform(self.low, self.high, self.shape).astype(self.dtype)


Reference = Callable[[Any], list[Any]]
"""From the input to the outputs, as the framework has them."""


def real_inputs(name: str) -> list[Any]:
    """Inputs of the networks that `models/data` has data for, in the network's own form."""
    if name.startswith("ic_resnet8"):
        images = np.load(MODELS / "data" / "cifar10_500.npz")["x"]
        if name.endswith("_int8"):
            return [(x.astype(int) - 128).astype(np.int8)[None] for x in images]
        return [x.transpose(2, 0, 1).astype(np.float32)[None] for x in images]
    if name.startswith("kws"):
        data = np.load(MODELS / "data" / "kws01_500.npz")
        if name.endswith("_int8"):
            return [x.reshape(1, 49, 10, 1) for x in data["x"]]
        scale, zero_point = float(data["scale"]), int(data["zp"])
        real = (data["x"].astype(np.float32) - zero_point) * np.float32(scale)
        return [x.reshape(1, 1, 49, 10) for x in real]
    return []


def inputs_of(name: str, count: int, entry: Input) -> Iterator[Any]:
    """Half real ones where there is data, the rest random."""
    real = real_inputs(name)[: count // 2]
    yield from real
    rng = np.random.default_rng(0)
    for _ in range(count - len(real)):
        yield entry.draw(rng)


def litert_reference(path: Path) -> tuple[Reference, Input]:
    """LiteRT's reference kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = (
        OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        if path.stem in NO_REFERENCE_VERSION
        else OpResolverType.BUILTIN_REF
    )
    interpreter = Interpreter(str(path), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()

    def run(x: Any) -> list[Any]:
        interpreter.set_tensor(entry["index"], x)
        interpreter.invoke()
        return [interpreter.get_tensor(o["index"]) for o in interpreter.get_output_details()]

    info = np.iinfo(entry["dtype"])
    return run, Input(entry["dtype"], tuple(entry["shape"]), info.min, info.max)


def exact_reference(path: Path) -> tuple[Reference, Input]:
    """Exact arithmetic; a float input is drawn from the range that its QuantizeLinear holds."""
    import onnx

    spec = importlib.util.spec_from_file_location("exact_onnx", SHARED / "exact_onnx.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.ExactModel(str(path))
    graph = onnx.load(path, load_external_data=False).graph
    (entry,) = (i for i in graph.input if i.name in model.inputs)
    tensor = entry.type.tensor_type
    shape = tuple(d.dim_value or 1 for d in tensor.shape.dim)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    constants = {i.name: i for i in graph.initializer}
    if dtype.kind in "iu":
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    else:
        quantize = next(n for n in graph.node if entry.name in n.input)
        scale, zero = (onnx.numpy_helper.to_array(constants[i]) for i in quantize.input[1:3])
        info = np.iinfo(zero.dtype)
        low, high = ((limit - int(zero)) * float(scale) for limit in (info.min, info.max))
    return lambda x: model.run({entry.name: x}), Input(dtype, shape, low, high)


def agreement(name: str, count: int = 20, target: str = "warboy-2pe") -> Agreement:
    """Compiles a network of the corpus, simulates it and compares it with its reference."""
    path = path_of(name)
    reference = litert_reference if path.suffix == ".tflite" else exact_reference
    run, entry = reference(path)
    started = time.perf_counter()
    enf = compile_model(path, target=target)
    compile_seconds = time.perf_counter() - started
    report = summary(enf)["summary"]
    equal = elements = different = 0
    run_seconds = float("inf")
    with session.create(enf) as compiled:
        for x in inputs_of(name, count, entry):
            want = run(x)
            started = time.perf_counter()
            got = [t.numpy() for t in compiled.run([x])]
            run_seconds = min(run_seconds, time.perf_counter() - started)
            wrong = 0
            for w, g in zip(want, got, strict=True):
                assert (g.shape, g.dtype) == (w.shape, w.dtype)
                if w.dtype.kind == "f" and path.suffix == ".onnx":
                    wrong += int((~np.isclose(g, w, rtol=1e-6, atol=1e-9)).sum())
                else:
                    wrong += int((g != w).sum())
                elements += w.size
            different += wrong
            equal += wrong == 0
    return Agreement(
        count,
        equal,
        elements,
        different,
        report["npu_mac_share"],
        compile_seconds,
        run_seconds,
        report["npu_latency_us"],
    )


def main() -> None:
    """Prints the table for the networks named, or for all; `-n COUNT` inputs, `-t TARGET`."""
    import argparse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[*TFLITE, *ONNX_TRAINED, *ONNX_GENERATED])
    parser.add_argument("-n", "--inputs", type=int, default=20)
    parser.add_argument("-t", "--target", default="warboy-2pe")
    arguments = parser.parse_args()
    print(f"{'network':40} {'equal':>7} {'elements':>10} {'differ':>7} {'MACs':>6}", end=" ")
    print(f"{'compile':>8} {'run':>8} {'estimate':>10}")
    failed = False
    for name in arguments.names:
        count = 2 if name.startswith("ssd_resnet34") else arguments.inputs
        a = agreement(name, count, arguments.target)
        print(
            f"{name:40} {a.equal:3}/{a.inputs:3} {a.elements:10} {a.different:7} "
            f"{a.npu_mac_share:6.1%} {a.compile_seconds:7.2f}s {a.run_seconds:7.3f}s "
            f"{a.latency_us:8.0f}us",
            flush=True,
        )
        failed |= a.equal < (a.inputs if name in TFLITE else 0.9 * a.inputs)
    sys.exit(failed)


if __name__ == "__main__":
    main()
