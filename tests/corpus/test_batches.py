"""Batches of the quantised networks of the corpus: what N single runs give, and no slower."""

from __future__ import annotations

from itertools import pairwise

import pytest

from furiosa_ir.backends.warboy.costs import program_costs
from furiosa_ir.driver import compile_source
from tests.corpus.agreement import ONNX_TRAINED, TFLITE, path_of
from tests.corpus.table import Network, measure, networks
from tests.draws import mostly_slow
from tests.importers.batch_runs import assert_batch_equals_single_runs

pytestmark = pytest.mark.corpus


LARGE = ("deeplabv3", "ssd_mbv2", "ssd_mbv1", "mobilenet_edgetpu", "mbv2_100")


@pytest.mark.parametrize(
    "name", mostly_slow([*TFLITE, *ONNX_TRAINED], *TFLITE[:9], *ONNX_TRAINED[:5])
)
def test_a_batch_equals_single_runs(name: str) -> None:
    assert_batch_equals_single_runs(path_of(name), 2 if name.startswith(LARGE) else 4)


@pytest.mark.parametrize(
    "name", mostly_slow(["mobilenet_v2_qdq_int8", "yolov5n_640_qdq_int8"], "mobilenet_v2_qdq_int8")
)
def test_a_batch_of_a_large_network(name: str) -> None:
    assert_batch_equals_single_runs(path_of(name), 2)


@pytest.mark.parametrize(
    "name",
    [
        "mnist8_fp32",
        "super_resolution_fp32",
        "ultraface_rfb320_fp32",
        "person_detect_int8",
        "mnist",
    ],
)
def test_rows_of_the_table(name: str) -> None:
    """Float networks, the file that LiteRT refuses, the vendor's own."""
    (path,) = networks([name])
    network = Network(path)
    for batch in (1, 2):
        row = measure(network, "warboy-2pe", batch, 2)
        assert (row.equal, row.inputs) == (2, 2)
        assert network.passes(row)
        assert row.npu_mac_share == (1 if network.is_quantized else 0)


WORSE = 1.01
"""Longer by a hundredth counts, as in benchmarks/batch_sizes.py."""


def image_us(name: str, target: str, batch: int) -> float:
    """The NPU's time for an image."""
    made = compile_source(path_of(name), target=target, batch_size=batch)
    assert made.program is not None
    return program_costs(made.program).latency.npu_latency_us / batch


def batches_of(name: str) -> tuple[int, ...]:
    """Those whose compiles take seconds; `benchmarks/batch_sizes.py` has the larger ones."""
    if name.startswith(("ssd_resnet34", "yolov8s")):
        return 1, 2
    return (1, 2, 4) if name.startswith(("yolov5n", "deeplabv3")) else (1, 2, 4, 8)


LARGEST = (
    "mbv2_100_224_ptq_int8",
    "deeplabv3_mbv2_dm05_pascal_u8",
    "resnet50_v15_qdq_int8",
    "ssd_mobilenet_v1_qdq_int8",
    "yolov5n_640_qdq_int8",
    "yolov8s_640_qdq_int8",
    "ssd_resnet34_1200_qdq_int8",
)


@pytest.mark.slow
@pytest.mark.timeout(900)  # each compile of SSD-ResNet34 takes 5 s with nothing beside it
@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v2_qdq_int8",
        *(pytest.param(name, marks=pytest.mark.weekly) for name in LARGEST),
    ],
)
def test_an_image_takes_no_longer_in_a_larger_batch(name: str) -> None:
    """Nor on two PEs; of all these, batches of 8 took up to 1.7 times as long at 954e3b2."""
    one, two = (
        [image_us(name, target, batch) for batch in batches_of(name)]
        for target in ("warboy", "warboy-2pe")
    )
    for times in (one, two):
        for before, after in pairwise(times):
            assert after <= WORSE * before
    assert all(b <= a for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("name", mostly_slow([*TFLITE, *ONNX_TRAINED], "sww_streaming_int8"))
def test_two_pes_are_no_slower_than_one(name: str) -> None:
    assert image_us(name, "warboy-2pe", 1) <= image_us(name, "warboy", 1)
