"""Nodes on which onnx's own native code crashes or never ends; they are refused before it runs.

Shape inference of onnx 1.23 follows some attributes out of bounds. Fuzzing found these (see
`docs/security.md`); a node that passes here can be inferred. To add one, write a check and name its
operator in `_CHECKS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx.node_order import node_label

_TERM = r"[A-Za-z ]*(\.\.\.)?[A-Za-z ]*"
_EQUATION = re.compile(f"{_TERM}(,{_TERM})*(->{_TERM})?")


def check_hazards(node: Any) -> None:
    """Checks what onnx does not check of a `NodeProto`, at any depth.

    Raises:
        ImportFailure: onnx would crash, or never end.
    """
    check = _CHECKS.get(node.op_type)
    if check is not None:
        reason = check(node)
        if reason is not None:
            raise ImportFailure(reason, layer=node_label(node))


def _einsum(node: Any) -> str | None:
    """An equation of letters, spaces, commas, one ellipsis a term and an arrow; else it loops."""
    for attribute in node.attribute:
        if attribute.name == "equation":
            equation = attribute.s.decode("utf-8", "replace")
            if not _EQUATION.fullmatch(equation):
                return f"'{equation}' is not an equation of Einsum"
    return None


def _gather_nd(node: Any) -> str | None:
    """A negative number of batch dimensions is followed to before the shape's first extent."""
    count = _integer(node, "batch_dims", 0)
    return f"GatherND with batch_dims {count}" if count < 0 else None


def _layer_normalization(node: Any) -> str | None:
    """The shape of the statistics is written at the axis, cut to 32 bits: it may be negative."""
    axis = _integer(node, "axis", -1)
    return None if -(1 << 31) < axis < 1 << 31 else f"LayerNormalization along axis {axis}"


_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "Einsum": _einsum,
    "GatherND": _gather_nd,
    "LayerNormalization": _layer_normalization,
}


def _integer(node: Any, name: str, default: int) -> int:
    """An integer attribute; the last one counts, as in onnx."""
    values = [int(a.i) for a in node.attribute if a.name == name]
    return values[-1] if values else default
