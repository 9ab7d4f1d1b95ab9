"""8-bit weights without a sign, for onnxruntime's products to be exact on every processor.

On x86 without VNNI (AVX2, AVX-512F) onnxruntime's kernel library MLAS multiplies uint8 by int8 two
products at a time and adds them in 16 bits (``vpmaddubsw``), which saturates: 2 * 255 * 127 does
not fit. Its products of uint8 by uint8, and those of int8 activations, are made in 32 bits. So int8
weights w with zero point z become w + 128 with zero point z + 128, uint8, and every product stays
what it was. onnxruntime does the same when it is told to (``session.x64quantprecision``,
optimizer/qdq_transformer/avx2_weight_s8_to_u8.cc), but not without its other optimisations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class _Product:
    """Where a node has its operands.

    Attributes:
        weights: the inputs that are weights, each with the input that is its zero point.
        activation: the input of the activations' zero point, which has their type; None where the
            node quantises its activations itself, to uint8.
    """

    weights: tuple[tuple[int, int], ...]
    activation: int | None = None


_PRODUCTS: Mapping[str, _Product] = {
    "ConvInteger": _Product(((1, 3),), 2),
    "DynamicQuantizeLSTM": _Product(((1, 9), (2, 11))),
    "DynamicQuantizeMatMul": _Product(((1, 3),)),
    "MatMulInteger": _Product(((1, 3),), 2),
    "MatMulIntegerToFloat": _Product(((1, 5),), 4),
    "QAttention": _Product(((1, 7),), 6),
    "QGemm": _Product(((3, 5),), 2),
    "QLinearConv": _Product(((3, 5),), 2),
    "QLinearMatMul": _Product(((3, 5),), 2),
}
"""Of ONNX, and of ``com.microsoft`` (the inputs as onnxruntime documents them)."""

_NAMES = tuple(name.encode() for name in _PRODUCTS)


def unsigned_weights(model: bytes) -> bytes:
    """A model whose constant int8 weights are uint8 where uint8 activations meet them.

    Args:
        model: a serialised `ModelProto` whose data is within it.

    Returns:
        The same bytes where nothing has to change.
    """
    if not any(name in model for name in _NAMES):
        return model
    import onnx  # noqa: PLC0415  # 0.1 s, for these models only

    proto: Any = onnx.ModelProto.FromString(model)
    changed = [_rewrite(graph) for graph in _graphs(proto.graph)]
    return proto.SerializeToString() if any(changed) else model


def _graphs(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
            for inner in attribute.graphs:
                yield from _graphs(inner)


def _rewrite(graph: Any) -> bool:
    """Whether a graph had such products, which now have weights and zero points of their own."""
    from onnx import numpy_helper  # noqa: PLC0415

    tensors = {t.name: t for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    unsigned = _unsigned_values(graph, tensors)
    changed = False
    for node in list(graph.node):
        product = _PRODUCTS.get(node.op_type)
        if product is None or not _takes_unsigned(node, product, unsigned):
            continue
        for place, point_place in product.weights:
            tensor = tensors.get(node.input[place]) if place < len(node.input) else None
            if tensor is None or tensor.data_type != tensor.INT8:
                continue
            point_name = node.input[point_place] if point_place < len(node.input) else ""
            point = tensors.get(point_name)
            if point_name and point is None:
                continue  # a zero point that only the run tells
            zero = np.int8(0) if point is None else numpy_helper.to_array(point)
            node.input.extend([""] * (point_place + 1 - len(node.input)))
            for at, array in ((place, numpy_helper.to_array(tensor)), (point_place, zero)):
                name = f"{node.input[at] or node.output[0]}/unsigned/{at}"
                node.input[at] = name
                if name not in tensors:
                    shifted = np.asarray(array).astype(np.int16) + 128
                    tensors[name] = numpy_helper.from_array(shifted.astype(np.uint8), name)
                    graph.initializer.append(tensors[name])
            changed = True
    return changed


def _unsigned_values(graph: Any, tensors: Mapping[str, Any]) -> set[str]:
    """Names of values that a graph itself tells to be uint8."""
    found = {n for n, t in tensors.items() if t.data_type == t.UINT8}
    for value in (*graph.input, *graph.value_info):
        if value.type.tensor_type.elem_type == 2:  # TensorProto.UINT8
            found.add(value.name)
    for node in graph.node:
        if node.op_type == "DynamicQuantizeLinear":
            found.update((node.output[0], node.output[2]))
    return found


def _takes_unsigned(node: Any, product: _Product, unsigned: set[str]) -> bool:
    if product.activation is None:
        return True
    named = (node.input[0], *node.input[product.activation : product.activation + 1])
    return any(name in unsigned for name in named)
