"""A rule's pattern as a tree of what is to be drawn, and hints for what patterns leave open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xdsl.ir import Operation

from furiosa_ir.dialects.ftensor import arithmetic, contraction, movement
from furiosa_ir.dialects.graph.contraction import ContractionOp
from furiosa_ir.dialects.graph.convolution import ConvOp, MatMulOp
from furiosa_ir.dialects.graph.elementwise import BinaryOp, UnaryOp
from furiosa_ir.dialects.graph.movement import ReshapeOp, TransposeOp
from furiosa_ir.dialects.graph.normalization import BatchNormOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp, StorageCastOp
from furiosa_ir.dialects.graph.rearrangement import SpaceToBatchOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.ir.rules import Rule
from tests.passes.generated.properties import (
    axis_before,
    first_joined,
    first_split,
    first_swapped,
    last_axis,
    rows_of_rows,
)

Classes = tuple[type[Operation], ...]

BYTES: Classes = (
    *(arithmetic.ClampOp, arithmetic.RescaleOp, arithmetic.LookupOp, arithmetic.AddOp),
)


@dataclass(frozen=True)
class Hint:
    """What a rule asks for in its body.

    Attributes:
        operands: operand, by its way from the root, as in "x.x" -> what is to define it. One that
            an alternative of the pattern does not have counts for the others.
        properties: way ("" is the root) -> properties of the operation there, or how to draw them.
        kind: of the root's results ("stored", "plain", ...).
    """

    operands: Mapping[str, Classes] = field(default_factory=dict[str, Classes])
    properties: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict[str, Mapping[str, Any]]
    )
    kind: str | None = None


_C, _DQ = (ConstantOp,), (DequantizeOp,)
_BLOCKS = {"blocks": (2, 2)}
_PLAIN = {"layout": "NHWC", "strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0)}


def _head(way: str, layout: str) -> Hint:
    """Softmax of the head of a detector: a convolution with channels last, reshaped."""
    operands: dict[str, Classes] = {way: (ReshapeOp,)}
    properties: dict[str, Mapping[str, Any]] = {
        "": {"axis": last_axis, "beta": 1.0},
        "x": {"axis": axis_before},
        way: {"shape": rows_of_rows},
    }
    if layout == "NCHW":
        way += ".x"
        operands[way], properties[way] = (TransposeOp,), {"perm": (0, 2, 3, 1)}
    operands[f"{way}.x"], properties[f"{way}.x"] = (ConvOp,), {"layout": layout}
    return Hint(operands, properties, kind="stored")


HINTS: Mapping[str, Sequence[Hint]] = {
    "move_of_constant": (Hint({"x": _C, "inputs": _C}),),
    "function_of_integers": (Hint({"x": _C, "a": _C, "b": _C}, kind="plain"),),
    "transpose_of_channels": (Hint({"x.x": _C}),),
    "function_of_transposes": (Hint({"a": (TransposeOp,), "inputs": (TransposeOp,)}),),
    "function_of_reshapes": (Hint({"a": (ReshapeOp,), "b": (ReshapeOp, ConstantOp)}),),
    "concat_of_transposes": (Hint({"inputs": (TransposeOp,)}),),
    "batch_to_space_of_conv": (
        Hint({"x.x": (SpaceToBatchOp,)}, {"": _BLOCKS, "x": _PLAIN, "x.x": _BLOCKS}),
    ),
    "add_of_mat_mul": (
        Hint(
            {
                "a": (MatMulOp,),
                "a.a": _DQ,
                "a.b": _DQ,
                "a.b.x": _C,
                "b": (ConstantOp, DequantizeOp),
                "b.x": _C,
            }
        ),
    ),
    "quantize_of_expression": (Hint({"x.x": (UnaryOp, BinaryOp), "x.a": (UnaryOp, BinaryOp)}),),
    "quantize_of_affine": (Hint({"x.a": _DQ, "x.x": _DQ, "x.b": _C}),),
    "quantize_of_accumulator": (
        Hint({"x": (ContractionOp,), "x.x": _DQ, "x.a": _DQ}),
        Hint(
            {
                "x": (BinaryOp, BatchNormOp),
                "x.a": (ContractionOp,),
                "x.x": (ContractionOp,),
                "x.b": _C,
                "x.a.x": _DQ,
                "x.a.a": _DQ,
                "x.x.x": _DQ,
                "x.x.a": _DQ,
            }
        ),
        Hint({"x": (BinaryOp,), "x.a": _DQ, "x.a.x": (ContractionOp,), "x.b": _C}),
    ),
    "clip_that_does_not_bind": (Hint(kind="stored"),),
    "cast_of_move": (Hint({"x.x": (StorageCastOp,), "x.inputs": (StorageCastOp,)}),),
    "chain": (Hint({"x": (UnaryOp, BinaryOp), "a": (UnaryOp,)}, kind="stored"),),
    "rows_of_concat": [_head("x.inputs", layout) for layout in ("NHWC", "NCHW")],
    "rows_of_filters": [_head("x", layout) for layout in ("NHWC", "NCHW")],
    "window_of_strided_slice": (Hint({"x": (contraction.ReduceWindowOp,)}, kind="i8"),),
    "gather_of_shuffle": (
        Hint(
            {"x.x": (movement.ReshapeOp,), "x.x.x": BYTES},
            {
                "": {"shape": first_joined},
                "x": {"perm": first_swapped},
                "x.x": {"shape": first_split},
            },
        ),
    ),
    "product_of_flattened": (
        Hint({"x.a": (movement.ReshapeOp,), "x.a.x": (contraction.ReduceWindowOp,)}),
        Hint(
            {
                "x.a": (movement.ReshapeOp,),
                "x.a.x": (movement.TransposeOp,),
                "x.a.x.x": (contraction.ReduceWindowOp,),
            }
        ),
        Hint(
            {
                "x.a": (movement.ReshapeOp,),
                "x.a.x": (arithmetic.RescaleOp,),
                "x.a.x.x": (contraction.ConvOp,),
            }
        ),
    ),
    "function_of_one_byte": (Hint({"x": BYTES, "a": BYTES, "b": BYTES}, kind="i8"),),
}
"""Rule -> what its pattern does not say; of several, each draw takes the next."""


@dataclass(frozen=True)
class Wanted:
    """An operation to draw.

    Attributes:
        classes: which, or whose subclasses.
        operands: by name what is to define them; of a variadic one, in every place.
        properties: those that are not drawn.
        kind: of its results; None: any.
    """

    classes: Classes
    operands: Mapping[str, Wanted] = field(default_factory=dict[str, "Wanted"])
    properties: Mapping[str, Any] = field(default_factory=dict[str, Any])
    kind: str | None = None


def wanted_of(rule: Rule, number: int = 0, known: Mapping[str, Sequence[Hint]] = HINTS) -> Wanted:
    """What a rule matches, as a tree; deeper than its pattern where there is a hint.

    Args:
        rule: the rule.
        number: of the draw; hints take turns.
        known: the hints there are.
    """
    hints = known.get(rule.name, (Hint(),))
    hint = hints[number % len(hints)]
    below = _below("", {**rule.operands, **hint.operands}, hint)
    return Wanted(rule.roots, below, hint.properties.get("", {}), hint.kind)


def _below(prefix: str, ways: Mapping[str, Classes], hint: Hint) -> dict[str, Wanted]:
    inner = [way[len(prefix) :] for way in ways if way.startswith(prefix)]
    return {
        name: Wanted(
            ways[prefix + name],
            _below(f"{prefix}{name}.", ways, hint),
            hint.properties.get(prefix + name, {}),
        )
        for name in sorted(inner)
        if "." not in name
    }
