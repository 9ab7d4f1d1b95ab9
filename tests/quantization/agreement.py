"""Float networks through `furiosa quantize`, the compiler and the simulator; prints a table.

The `light` networks of the onnx wheel (their weights are one constant each, so a second form of
each has random weights), the float networks of the corpus and an encoder block. Every element of
every output is compared with exact arithmetic (`../shared/exact_onnx.py`).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
from click.testing import CliRunner
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from furiosa_ir.compiler import compile_model
from furiosa_ir.onnxruntime_session import onnx_session
from furiosa_ir.quantization.onnx import OnnxSource
from furiosa_ir.reports.inspect import summary
from furiosa_ir.runtime import session
from furiosa_ir.tools.furiosa import main as furiosa
from tests import without_cache  # noqa: F401  # each compile is one
from tests.quantization.networks import encoder_block

SHARED = Path(__file__).parents[3] / "shared"
LIGHT = Path(onnx.backend.test.__file__).parent / "data" / "light"
TRAINED = SHARED / "models" / "trained"

LIGHT_NETWORKS = tuple(
    f"light_{name}"
    for name in (
        "resnet50",
        "vgg19",
        "inception_v1",
        "inception_v2",
        "densenet121",
        "squeezenet",
        "shufflenet",
        "zfnet512",
        "bvlc_alexnet",
    )
)
TRAINED_NETWORKS = {
    "mbv2_035_128_fp32_st": (-1, 1),
    "mnist8_fp32": (0, 255),
    "super_resolution_fp32": (0, 1),
    "ultraface_rfb320_fp32": (-1, 1),
    "yunet_n_640_fp32": (0, 255),
}
"""Float networks of the corpus and the range of their inputs."""


@dataclass(frozen=True)
class Agreement:
    """How a quantised network's program agrees with exact arithmetic, and with the float network.

    Attributes:
        inputs, equal: how many were run, and how many gave outputs equal in every element.
        elements, different: of all outputs.
        snr: of the worst output, in dB; None if every output equals the float one.
        arg_max: of the worst output.
        npu_mac_share: of the multiply-accumulates.
        quantize_seconds, compile_seconds, run_seconds: how long it took.
        host: (hint, operator) of what runs on the host.
    """

    inputs: int
    equal: int
    elements: int
    different: int
    snr: float | None
    arg_max: float | None
    npu_mac_share: float
    quantize_seconds: float
    compile_seconds: float
    run_seconds: float
    host: tuple[tuple[int, str], ...]


def randomized(path: Path) -> onnx.ModelProto:
    """A light network with random weights of sensible size in the place of its constants.

    Its output is what its Softmax took: that maps nearly everything to zeros and one one.
    """
    model = onnx.load(path)
    graph, rng = model.graph, np.random.default_rng(0)
    shapes = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    users: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for node in graph.node:
        for index, name in enumerate(node.input):
            users.setdefault(name, []).append((node, index))

    def draw(name: str, shape: tuple[int, ...]) -> Any:
        node, index = users[name][0]
        while node.op_type == "Unsqueeze":
            node, index = users[node.output[0]][0]
        if len(shape) > 1:
            return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        if node.op_type == "Mul" or (node.op_type == "BatchNormalization" and index in (1, 4)):
            return rng.uniform(0.5, 1.5, shape)
        return rng.normal(0, 0.1, shape)

    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            name = node.output[0]
            array = draw(name, tuple(shapes[node.input[0]])).astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(array, name))
        elif node.op_type == "Softmax" and node.output[0] == graph.output[0].name:
            graph.output[0].name = node.input[0]
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    model.ir_version = 8  # constants need not be inputs
    return model


def agreement(
    path: Path, limits: tuple[float, float], inputs: int, samples: int, *options: str
) -> Agreement:
    """Quantises, compiles and simulates a float network on random inputs."""
    rng = np.random.default_rng(0)
    descriptions = OnnxSource.read(path).inputs

    def draw(count: int) -> dict[str, Any]:
        shapes = {d.name: (count, *(n or 1 for n in d.shape[1:])) for d in descriptions}
        return {n: rng.uniform(*limits, s).astype(np.float32) for n, s in shapes.items()}

    with tempfile.TemporaryDirectory() as folder:
        data, output, report = (Path(folder, n) for n in ("data.npz", "q.onnx", "report.json"))
        np.savez(data, **draw(samples))
        command = ["quantize", path, "--calibration", data, "-o", output, "--report", report]
        started = time.perf_counter()
        result = CliRunner().invoke(furiosa, [str(a) for a in (*command, *options)])
        assert result.exit_code == 0, result.output
        quantize_seconds = time.perf_counter() - started
        accuracy = json.loads(report.read_text())["outputs"]
        started = time.perf_counter()
        enf = compile_model(output)
        compile_seconds = time.perf_counter() - started
        exact = exact_model(output)
        equal = elements = different = 0
        run_seconds = float("inf")
        with session.create(enf) as compiled:
            for _ in range(inputs):
                x = draw(1)
                want = exact.run(x)
                started = time.perf_counter()
                got = [t.numpy() for t in compiled.run(list(x.values()))]
                run_seconds = min(run_seconds, time.perf_counter() - started)
                wrong = sum(int((~close(g, w)).sum()) for g, w in zip(got, want, strict=True))
                elements += sum(w.size for w in want)
                different += wrong
                equal += wrong == 0
    figures = summary(enf)["summary"]
    return Agreement(
        inputs,
        equal,
        elements,
        different,
        min((o["snr_db"] for o in accuracy if o["snr_db"] is not None), default=None),
        min((o["arg_max_agreement"] for o in accuracy if o["arg_max_agreement"]), default=None),
        figures["npu_mac_share"],
        quantize_seconds,
        compile_seconds,
        run_seconds,
        tuple((h["hint"], h["operator"]) for h in figures["host_operators"]),
    )


def close(got: Any, want: Any) -> Any:
    """Equal up to float32: what dequantises, or runs on the host, does so in float32."""
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    return np.isclose(got, want, rtol=1e-5, atol=1e-6 * max(1.0, float(np.abs(want).max())))


class LRN(OpRun):
    """LRN as the host computes it (a new operator goes by the name of its class).

    onnx's own evaluation normalises the first channels only (1.23.2). And in double precision, some
    results lie on the other side of a rounding from float32's, which the layers behind amplify.
    """

    def _run(self, x: Any, **attributes: Any) -> tuple[Any]:
        node = helper.make_node("LRN", ["x"], ["y"], **attributes)
        values = [
            helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, x.shape) for n in ("x", "y")
        ]
        graph = helper.make_graph([node], "lrn", values[:1], values[1:])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 8
        single = onnx_session(model.SerializeToString()).run(None, {"x": x.astype(np.float32)})
        return (single[0].astype(x.dtype),)


def exact_model(path: Path) -> Any:
    """The network in exact arithmetic, but for what the host computes in float32 inside of it."""
    spec = importlib.util.spec_from_file_location("exact_onnx", SHARED / "exact_onnx.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ReferenceEvaluator = lambda model, new_ops: ReferenceEvaluator(
        model, new_ops=[*new_ops, LRN]
    )
    return module.ExactModel(str(path))


def run(name: str, inputs: int, samples: int, *options: str) -> Agreement:
    """The agreement of a network by its name; `light_NAME/random` has random weights."""
    stem, _, form = name.partition("/")
    with tempfile.TemporaryDirectory() as folder:
        path, limits = LIGHT / f"{stem}.onnx", (-1.0, 1.0)
        if form == "random":
            path = Path(folder, "network.onnx")
            onnx.save(randomized(LIGHT / f"{stem}.onnx"), path)
        elif stem == "encoder_block":
            path = Path(folder, "network.onnx")
            onnx.save(encoder_block(64, 128, 4), path)
        elif stem in TRAINED_NETWORKS:
            path, limits = TRAINED / f"{stem}.onnx", TRAINED_NETWORKS[stem]
        return agreement(path, limits, inputs, samples, *options)


def main() -> None:
    """Prints the table; arguments it does not know go to `furiosa quantize`."""
    light = [name + form for name in LIGHT_NETWORKS for form in ("", "/random")]
    names = [*light, *TRAINED_NETWORKS, "encoder_block"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=names)
    parser.add_argument("-n", "--inputs", type=int, default=3)
    parser.add_argument("-c", "--samples", type=int, default=4)
    arguments, options = parser.parse_known_args()
    print(
        f"{'network':30} {'SNR':>6} {'argmax':>7} {'equal':>7} {'elements':>9} {'differ':>6}",
        end="",
    )
    print(f" {'MACs':>6} {'quantise':>8} {'compile':>8} {'run':>7}  host")
    failed = False
    for name in arguments.names:
        a = run(name, arguments.inputs, arguments.samples, *options)
        snr = "equal" if a.snr is None else f"{a.snr:.1f}"
        arg_max = "" if a.arg_max is None else f"{a.arg_max:.1%}"
        host = sorted({f"{operator} [{hint}]" for hint, operator in a.host if hint != 5})
        print(
            f"{name:30} {snr:>6} {arg_max:>7} {a.equal:3}/{a.inputs:3} {a.elements:9} "
            f"{a.different:6} {a.npu_mac_share:6.1%} {a.quantize_seconds:7.1f}s "
            f"{a.compile_seconds:7.2f}s {a.run_seconds:6.3f}s  {', '.join(host)}",
            flush=True,
        )
        failed |= a.equal < 0.9 * a.inputs
    sys.exit(failed)


if __name__ == "__main__":
    main()
