"""8-bit products: the library's and the fallback."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from furiosa_ir.numerics import products


def test_the_embedded_model_is_what_it_says():
    node = helper.make_node("MatMulInteger", ["a", "b", "a_zp", "b_zp"], ["y"])
    inputs = [
        helper.make_tensor_value_info("a", TensorProto.UINT8, None),
        helper.make_tensor_value_info("b", TensorProto.INT8, None),
        helper.make_tensor_value_info("a_zp", TensorProto.UINT8, []),
        helper.make_tensor_value_info("b_zp", TensorProto.INT8, []),
    ]
    output = helper.make_tensor_value_info("y", TensorProto.INT32, None)
    graph = helper.make_graph([node], "product", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    assert model.SerializeToString() == products._MODEL


@pytest.mark.parametrize("shapes", [((7, 700), (700, 5)), ((3, 4, 9), (3, 9, 2)), ((1, 1), (1, 1))])
@pytest.mark.parametrize("zero_points", [(0, 0), (128, 0), (255, -128), (3, 127)])
@pytest.mark.parametrize("function", [products.product, products.blas_product])
def test_products(shapes, zero_points, function):
    rng = np.random.default_rng(0)
    a = rng.choice(np.array([0, 1, 200, 255], np.uint8), shapes[0])
    b = rng.choice(np.array([-128, -1, 3, 127], np.int8), shapes[1])
    exact = np.matmul(a.astype(np.int64) - zero_points[0], b.astype(np.int64) - zero_points[1])
    found = function(a, b, *zero_points)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, exact)
