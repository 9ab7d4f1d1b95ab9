"""Memory of the networks of the corpus: how far addresses are from their lower bounds."""

from __future__ import annotations

import pytest

from furiosa_ir.compiler import compile_model
from furiosa_ir.reports.inspect import summary
from tests.corpus.agreement import ONNX_TRAINED, TFLITE, path_of
from tests.corpus.table import TARGETS
from tests.draws import mostly_slow

pytestmark = pytest.mark.corpus

GENERATED = (
    "mobilenet_v1_qdq_int8",
    "resnet50_v15_qdq_int8",
    "ssd_mobilenet_v1_qdq_int8",
    "ssd_resnet34_1200_qdq_int8",
    "yolov5n_640_qdq_int8",
    "yolov5s_640_qdq_int8",
    "yolov8s_640_qdq_int8",
)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "name",
    mostly_slow(
        ["mnist", *TFLITE, *ONNX_TRAINED, *GENERATED],
        "mnist",
        "ic_resnet8_int8",
        "ssd_mbv1_coco_300_u8",
        "resnet50_v15_qdq_int8",
    ),
)
def test_memory_is_near_its_lower_bound(name: str, target: str) -> None:
    """Best fit alone takes up to 1.122 times the bound of SRAM (mnist on warboy-2pe)."""
    figures = summary(compile_model(path_of(name), target))["summary"]
    for taken, bound in (
        (figures["sram_peak_bytes"], figures["sram_bound_bytes"]),
        (figures["dram_bytes"], figures["dram_bound_bytes"]),
    ):
        assert bound is not None
        # The bar: with part of the weights pinned, ResNet50 on one PE takes 1.052 times the bound.
        assert 0 < bound <= taken <= 1.1 * bound
