"""Batches 2 and 4 of the quantised networks of the corpus: what N single runs give."""

from __future__ import annotations

import pytest

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
