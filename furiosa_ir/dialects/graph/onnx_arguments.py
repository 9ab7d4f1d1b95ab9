"""Arguments of ONNX operators, which moved from attributes to inputs over the operator sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from furiosa_ir.dialects.graph.base import OnnxNode
from furiosa_ir.numerics.array import Array


def given(node: OnnxNode, index: int) -> bool:
    """Whether input `index` is given."""
    return index < len(node.operands) and node.operands[index] is not None


def variable(node: OnnxNode, *indices: int) -> bool:
    """Whether one of these inputs is given and computed by the network."""
    return any(given(node, i) and node.constant(i) is None for i in indices)


def int_list(node: OnnxNode, index: int, name: str) -> list[int] | None:
    """The integers of input `index` or, in older operator sets, of an attribute."""
    if given(node, index):
        return _ints(node.constant(index))
    value = node.attributes.get(name)
    return None if value is None else [int(i) for i in value]


def number(node: OnnxNode, index: int, name: str) -> float | None:
    """The scalar of input `index` or, in older operator sets, of an attribute."""
    if given(node, index):
        array = node.constant(index)
        return None if array is None or array.size != 1 else float(array.reshape(-1)[0])
    value: Any = node.attributes.get(name)
    return None if value is None else float(value)


def flag(node: OnnxNode, name: str, default: int = 0) -> int:
    """1 if an attribute is 1, else 0: onnxruntime takes any other number for no."""
    return int(node.attributes.get(name, default) == 1)


def axes_from_front(axes: Sequence[int], rank: int) -> list[int]:
    """Axes counted from the front."""
    return [a + rank if a < 0 else a for a in axes]


def _ints(array: Array | None) -> list[int] | None:
    return None if array is None else [int(i) for i in array.reshape(-1)]
