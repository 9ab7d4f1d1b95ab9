"""Every network of the corpus, for both targets and batches 1 and 2, against its reference.

Usage: python -m tests.corpus.table [NETWORK ...] [-n INPUTS] [-t TARGET ...] [-b BATCH ...]

TFLite is compared with LiteRT's reference kernels, byte for byte (`person_detect_int8`, which
LiteRT refuses, with its repaired twin), quantised ONNX with exact arithmetic
(`../shared/exact_onnx.py`), float ONNX, which runs wholly on the host, with onnxruntime, its graph
optimisation disabled. A batch has to give what its samples give alone. The exit code is 1 if a
TFLite or float network differs anywhere, or a quantised ONNX network on more than one input in ten.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from furiosa_ir.compiler import compile_model
from furiosa_ir.reports.inspect import summary
from furiosa_ir.runtime import session
from tests import without_cache  # noqa: F401  # each compile is one
from tests.corpus.agreement import (
    MODELS,
    Input,
    Reference,
    exact_reference,
    inputs_of,
    litert_reference,
)

FOLDERS = ("trained", "generated", "vendor")
TARGETS = ("warboy", "warboy-2pe")
BATCHES = (1, 2)
TWINS = {"person_detect_int8": "person_detect_int8_qdimfix"}
"""Networks that their framework refuses -> the repaired file that they must equal."""


@dataclass(frozen=True)
class Row:
    """One network, target and batch size.

    Attributes:
        inputs: how many samples were run.
        equal: how many of them gave outputs equal in every element.
        different: differing output elements over all samples.
        npu_mac_share: of the multiply-accumulates; 0 to 1.
        compile_seconds: of one compile.
        run_seconds: of one simulated inference of the batch, the best.
        latency_us: the machine's estimate for the batch.
        host_operators: how many operators run on the host.
    """

    inputs: int
    equal: int
    different: int
    npu_mac_share: float
    compile_seconds: float
    run_seconds: float
    latency_us: float
    host_operators: int


class Network:
    """A file of the corpus with its reference, which runs once for each input.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        twin = path.with_stem(TWINS.get(path.stem, path.stem))
        self.is_quantized = path.suffix == ".tflite" or _is_quantized(path)
        self.is_exact = path.suffix == ".onnx" and self.is_quantized
        reference = litert_reference if path.suffix == ".tflite" else float_reference
        self._run, self._entry = (exact_reference if self.is_exact else reference)(twin)
        self._samples: list[tuple[Any, list[Any]]] = []

    def samples(self, count: int) -> list[tuple[Any, list[Any]]]:
        """`count` inputs with the outputs of the reference; the same ones each time."""
        if len(self._samples) < count:
            inputs = list(inputs_of(self.path.stem, count, self._entry))
            self._samples = [(x, self._run(x)) for x in inputs]
        return self._samples[:count]

    def passes(self, row: Row) -> bool:
        """Whether a row agrees as far as it must."""
        return row.equal >= (int(0.9 * row.inputs) if self.is_exact else row.inputs)

    def differing(self, got: Any, wanted: Any) -> int:
        """How many elements of an output differ."""
        assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
        if wanted.dtype.kind != "f" or self.path.suffix != ".onnx":
            return int((got != wanted).sum())
        if self.is_exact:
            return int((~np.isclose(got, wanted, rtol=1e-6, atol=1e-9)).sum())
        # onnxruntime adds up float32 products in another order where it knows the weights at load
        # time (mnist8 reshapes them in the graph).
        noise = 1e-6 * float(np.abs(wanted).max(initial=0))
        return int((~np.isclose(got, wanted, rtol=1e-5, atol=noise)).sum())


def _is_quantized(path: Path) -> bool:
    nodes = onnx.load(path, load_external_data=False).graph.node
    return any(node.op_type == "QuantizeLinear" for node in nodes)


def float_reference(path: Path) -> tuple[Reference, Input]:
    """onnxruntime on the CPU, nothing optimised, in one thread; inputs from -1 to 1.

    More threads would add up in another order than the session's host segments do.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    running = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (entry,) = running.get_inputs()
    shape = tuple(n if isinstance(n, int) else 1 for n in entry.shape)
    return lambda x: running.run(None, {entry.name: x}), Input(np.float32, shape, -1, 1)


def networks(names: Sequence[str] = ()) -> Iterator[Path]:
    """The corpus' files, or those of these names (without suffix); a name of none ends the run."""
    found = [
        path
        for folder in FOLDERS
        for path in sorted((MODELS / folder).iterdir())
        if path.suffix in (".onnx", ".tflite") and (not names or path.stem in names)
    ]
    if unknown := set(names) - {path.stem for path in found}:
        raise SystemExit(f"the corpus has no network {', '.join(sorted(unknown))}")
    yield from found


def measure(network: Network, target: str, batch: int, count: int) -> Row:
    """Compiles a network and runs `count` samples, rounded up to whole batches."""
    started = time.perf_counter()
    enf = compile_model(network.path, target=target, batch_size=batch)
    compile_seconds = time.perf_counter() - started
    figures = summary(enf)["summary"]
    samples = network.samples(-(-count // batch) * batch)
    equal = different = 0
    run_seconds = float("inf")
    with session.create(enf) as running:
        for first in range(0, len(samples), batch):
            together = samples[first : first + batch]
            x = np.concatenate([x for x, _ in together])
            started = time.perf_counter()
            outputs = [t.numpy() for t in running.run([x])]
            run_seconds = min(run_seconds, time.perf_counter() - started)
            for index, (_, wanted) in enumerate(together):
                wrong = sum(
                    network.differing(np.split(g, batch)[index], w)
                    for g, w in zip(outputs, wanted, strict=True)
                )
                different += wrong
                equal += wrong == 0
    return Row(
        len(samples),
        equal,
        different,
        figures["npu_mac_share"],
        compile_seconds,
        run_seconds,
        figures["npu_latency_us"],
        len(figures["host_operators"]),
    )


def main() -> None:
    """Prints the table."""
    description, _, epilog = (__doc__ or "").partition("Usage:")
    parser = argparse.ArgumentParser(description=description, epilog=epilog)
    parser.add_argument("names", nargs="*", metavar="NETWORK", help="default: all")
    parser.add_argument("-n", "--inputs", type=int, default=2, help="samples of each network")
    parser.add_argument("-t", "--target", nargs="+", choices=TARGETS, default=TARGETS)
    parser.add_argument("-b", "--batch", nargs="+", type=int, default=BATCHES)
    arguments = parser.parse_args()
    # What it warns of, networks of floats for instance, the table shows.
    logging.getLogger("furiosa_ir").setLevel(logging.ERROR)
    started = time.perf_counter()
    print(
        f"{'network':40} {'target':10} {'batch':>5} {'equal':>7} {'differ':>8} {'MACs':>6} "
        f"{'compile':>8} {'run':>9} {'estimate':>12} {'host':>5}"
    )
    rows = failures = 0
    for path in networks(arguments.names):
        network = Network(path)
        for target in arguments.target:
            for batch in arguments.batch:
                row = measure(network, target, batch, arguments.inputs)
                passed = network.passes(row)
                rows += 1
                failures += not passed
                print(
                    f"{path.name:40} {target:10} {batch:5} {row.equal:3}/{row.inputs:3} "
                    f"{row.different:8} {row.npu_mac_share:6.1%} {row.compile_seconds:7.2f}s "
                    f"{row.run_seconds:8.3f}s {row.latency_us:10.0f}us {row.host_operators:5}"
                    f"{'' if passed else '  FAILED'}",
                    flush=True,
                )
    print(f"{rows - failures} of {rows} rows agree; {time.perf_counter() - started:.0f} s")
    sys.exit(failures > 0 or rows == 0)


if __name__ == "__main__":
    main()
