"""What the networks of the corpus become, and that the file is not copied."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.importers.tflite import import_tflite
from furiosa_ir.ir.location import layer_name

OPERATIONS = {
    "ad_fc_ae_int8": {"gemm": 10, "relu": 9},
    "deeplabv3_mbv2_dm05_pascal_u8": {
        "conv": 55,
        "clip": 34,
        "add": 10,
        "average_pool": 1,
        "relu": 3,
        "resize": 3,
        "quantize": 1,
        "concat": 1,
        "arg_max": 1,
    },
    "ic_resnet8_int8": {
        "conv": 9,
        "relu": 7,
        "add": 3,
        "average_pool": 1,
        "reshape": 1,
        "gemm": 1,
        "softmax": 1,
    },
    "kws_dscnn_int8": {
        "conv": 9,
        "relu": 9,
        "average_pool": 1,
        "reshape": 1,
        "gemm": 1,
        "softmax": 1,
    },
    "mbv1_025_128_qat_u8": {
        "conv": 28,
        "clip": 27,
        "average_pool": 1,
        "reshape": 1,
        "softmax": 1,
    },
    "mbv1_050_128_int8_st": {"conv": 28, "average_pool": 1, "reshape": 1, "softmax": 1},
    "mbv2_100_224_ptq_int8": {
        "quantize": 2,
        "conv": 53,
        "clip": 35,
        "add": 10,
        "reduce_mean": 1,
        "reshape": 1,
        "softmax": 1,
    },
    "mnist_resnet_int8": {
        "conv": 4,
        "relu": 2,
        "add": 1,
        "reshape": 1,
        "gemm": 1,
        "softmax": 1,
    },
    "mobilenet_edgetpu_075_224_ptq_u8": {
        "quantize": 2,
        "conv": 59,
        "relu": 36,
        "add": 15,
        "average_pool": 1,
        "reshape": 1,
        "softmax": 1,
    },
    "person_detect_int8": {
        "conv": 28,
        "clip": 27,
        "average_pool": 1,
        "reshape": 1,
        "softmax": 1,
    },
    "person_detect_int8_qdimfix": {
        "conv": 28,
        "clip": 27,
        "average_pool": 1,
        "reshape": 1,
        "softmax": 1,
    },
    "ssd_mbv1_coco_300_u8": {
        "conv": 47,
        "clip": 8,
        "reshape": 13,
        "concat": 2,
        "sigmoid": 1,
        "TFLite_Detection_PostProcess": 1,
    },
    # SHAPE, STRIDED_SLICE and PACK (50 of them) are shape arithmetic: gone.
    "ssd_mbv2_fpnlite_256_int8": {
        "quantize": 1,
        "conv": 123,
        "clip": 59,
        "pad": 4,
        "add": 12,
        "reshape": 15,
        "tile": 5,
        "resize": 2,
        "concat": 3,
        "softmax": 1,
        "dequantize": 3,
    },
    "sww_streaming_int8": {"conv": 8, "relu": 4, "reshape": 1, "gemm": 1, "softmax": 1},
    "vww_mbv1_025_96_int8": {
        "conv": 27,
        "relu": 27,
        "average_pool": 1,
        "reshape": 1,
        "gemm": 1,
        "softmax": 1,
    },
    "mnist": {"conv": 6, "average_pool": 1},
}


def operations(module: ModuleOp) -> list[GraphOp]:
    return [o for o in module.walk() if isinstance(o, GraphOp) and not isinstance(o, ConstantOp)]


def operator_name(op: GraphOp) -> str:
    return op.operator.data if isinstance(op, OpaqueOp) else op.name.removeprefix("graph.")


@pytest.mark.corpus
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operator_of_the_corpus_imports(
    name: str, corpus: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        module = import_tflite(corpus(f"{name}.tflite"))
    module.verify()
    ops = operations(module)
    assert Counter(map(operator_name, ops)) == OPERATIONS[name]
    # The reference resolver lacks TILE version 3.
    assert ("graph.kernels" in module.attributes) == name.startswith("ssd_mbv2")
    assert ("quantised dimension" in caplog.text) == (name == "person_detect_int8")
    main = next(op for op in module.ops if isinstance(op, FuncOp))
    assert len(main.arg_attrs or ()) == len(main.function_type.inputs)
    assert all(layer_name(op) for op in ops)


@pytest.mark.corpus
def test_layers_are_named_as_in_litert_and_a_fused_activation_shares_the_name(
    corpus: Callable[[str], Path],
) -> None:
    module = import_tflite(corpus("ic_resnet8_int8.tflite"))
    names = [layer_name(op) for op in operations(module)]
    assert len(set(names)) == 16  # operators of the file
    ops = operations(module)
    assert ops[1].name == "graph.relu"
    assert layer_name(ops[0]) == layer_name(ops[1])
    assert ops[0].origin is ops[1].origin


@pytest.mark.corpus
def test_constants_are_views_of_the_file(corpus: Callable[[str], Path]) -> None:
    data = corpus("ic_resnet8_int8.tflite").read_bytes()
    whole = np.frombuffer(data, np.uint8)
    module = import_tflite(data)
    constants = [op for op in module.walk() if isinstance(op, ConstantOp)]
    assert constants
    assert all(np.shares_memory(whole, op.value.array) for op in constants)


@pytest.mark.corpus
def test_detection_post_process_has_the_shapes_that_its_options_imply(
    corpus: Callable[[str], Path],
) -> None:
    module = import_tflite(corpus("ssd_mbv1_coco_300_u8.tflite"))
    (op,) = [op for op in module.walk() if isinstance(op, OpaqueOp)]
    shapes = [r.type.get_shape() for r in op.outputs]
    assert shapes == [(1, 10, 4), (1, 10), (1, 10), (1,)]
