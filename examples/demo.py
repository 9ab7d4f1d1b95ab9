"""Compiles the bundled digits network, simulates it on 200 images, and writes an HTML report.

Run it as `make demo`, or: python examples/demo.py [warboy|warboy-2pe]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import furiosa_ir as fi

DIGITS = Path(__file__).parent / "digits"
REPORT = Path("demo.html")
# The file of each format, and its images in digits_inputs.npz.
NETWORKS = {"digits_int8.tflite": "tflite_images", "digits_qdq_int8.onnx": "onnx_images"}


def accuracy(program: fi.Program, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of images that the simulated program classifies right."""
    with program.session() as running:
        predicted = [running.run([image[None]])[0].numpy().argmax() for image in images]
    return float(np.mean(np.asarray(predicted) == labels))


def print_layers(layers: list[dict[str, Any]]) -> None:
    """One line per layer: where it runs and what it costs."""
    print(f"    {'layer':<32} {'operator':<20} {'placement':<10} {'cycles':>8}")
    for layer in layers:
        name, operator, placement = (str(layer[k]) for k in ("name", "operator", "placement"))
        print(f"    {name[:32]:<32} {operator[:20]:<20} {placement:<10} {layer['cycles'] or 0:>8}")


def main() -> None:
    """Shows both formats; the report is of the TFLite file."""
    target = sys.argv[1] if len(sys.argv) > 1 else "warboy-2pe"
    inputs = np.load(DIGITS / "digits_inputs.npz")
    reports: list[fi.Report] = []
    for file, images in NETWORKS.items():
        start = time.perf_counter()
        # Without the cache: what the second demo finds there is no compile.
        program = fi.compile(DIGITS / file, target=target, use_cache=False)
        seconds = time.perf_counter() - start
        print(f"{file}: compiled for {target} in {seconds:.2f} s, {len(program)} bytes of ENF")

        share = accuracy(program, inputs[images], inputs["labels"])
        facts = {"accuracy on 200 held-out images": f"{share:.1%}"}
        report = fi.report(program, title=file, facts=facts)
        figures = report.summary
        hosted = len(figures["host_operators"])
        print(f"    accuracy on {len(inputs['labels'])} held-out images: {share:.1%}")
        print(
            f"    placement: {figures['npu_mac_share']:.1%} of the MACs on the NPU, "
            f"{hosted or 'no'} operator{'' if hosted == 1 else 's'} on the host"
        )
        print(
            f"    estimated latency: {figures['total_latency_us']:.4g} µs, of which "
            f"{figures['npu_latency_us']:.4g} on the NPU ({figures['cycles']} cycles)"
        )
        print_layers(report.layers)
        print()
        reports.append(report)
    reports[0].save(REPORT)
    print(f"Report: {REPORT.resolve()}")


if __name__ == "__main__":
    main()
