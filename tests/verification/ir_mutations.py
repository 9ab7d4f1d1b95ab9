"""Single changes of the arithmetic in IR: of `ftensor` operations, inside kernels or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import BlockArgument, Operation, SSAValue

from furiosa_ir.backends.warboy.dialect.kernels import KernelOp
from furiosa_ir.dialects.ftensor import TensorOp, arithmetic, contraction, movement
from furiosa_ir.ir.attribute_values import as_attribute
from furiosa_ir.ir.constants import Array, BlobAttr
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of
from furiosa_ir.numerics import fixed_point

Change = Callable[[np.random.Generator], None]


@dataclass(frozen=True)
class Site:
    """Something that can be changed.

    Attributes:
        kind: for the score table: "multiplier", "zero point", ...
        what: the operation's name.
        change: makes one random change of it, in place.
    """

    kind: str
    what: str
    change: Change


def sites(module: ModuleOp) -> list[Site]:
    """All places of a module where one number can be another."""
    found: list[Site] = []
    for op in module.walk():
        if isinstance(op, TensorOp):
            found += [Site(kind, op.name, change) for kind, change in _changes(op)]
    return found


_NUMBERS: dict[type[TensorOp], tuple[tuple[str, str], ...]] = {
    arithmetic.RescaleOp: (
        ("input_zp", "zero point"),
        ("output_zp", "zero point"),
        ("minimum", "clamp bound"),
        ("maximum", "clamp bound"),
    ),
    arithmetic.ClampOp: (("minimum", "clamp bound"), ("maximum", "clamp bound")),
    arithmetic.DivideOp: (
        ("output_zp", "zero point"),
        ("minimum", "clamp bound"),
        ("maximum", "clamp bound"),
    ),
    contraction.ConvOp: (("x_zp", "zero point"), ("weight_zp", "zero point")),
    contraction.MatMulOp: (("a_zp", "zero point"), ("b_zp", "zero point")),
    contraction.ReduceWindowOp: (("x_zp", "zero point"),),
    contraction.ReduceOp: (("x_zp", "zero point"),),
    movement.PadOp: (("value", "pad value"),),
}

_OPERANDS: dict[type[TensorOp], tuple[tuple[str, str], ...]] = {
    arithmetic.RescaleOp: (("multiplier", "multiplier"), ("shift", "shift")),
    arithmetic.LookupOp: (("table", "table entry"),),
    contraction.ConvOp: (("weight", "weight"), ("bias", "bias")),
    contraction.MatMulOp: (("b", "weight"), ("bias", "bias")),
}


def _changes(op: TensorOp) -> Iterator[tuple[str, Change]]:
    for name, kind in _NUMBERS.get(type(op), ()):
        yield kind, lambda rng, name=name: _step_number(op, name, rng)
    for name, kind in _OPERANDS.get(type(op), ()):
        value = cast("SSAValue | None", getattr(op, name))
        if value is not None and _constant(value) is not None:
            yield kind, lambda rng, value=value: _step_element(op, value, rng)
    if isinstance(op, arithmetic.RescaleOp):
        yield "rounding", lambda rng: _another_rounding(op, rng)
    if isinstance(op, contraction.ConvOp | contraction.ReduceWindowOp) and any(ints(op.pads)):
        yield "pads", lambda _: _shift_pads(op)
    if isinstance(op, movement.SliceOp):
        moves = _moves(op)
        if moves:
            yield "slice offset", lambda rng: _move_slice(op, moves[rng.integers(len(moves))])
    if isinstance(op, movement.GatherOp) and shape_of(op.x)[op.axis.value.data] > 1:
        yield "index", lambda rng: _another_index(op, rng)


def _step_number(op: Operation, name: str, rng: np.random.Generator) -> None:
    value = cast("Any", op.properties[name]).value.data
    step = int(rng.choice((-1, 1)))
    if not -128 <= value + step <= 127 and abs(value) <= 128:
        step = -step
    op.properties[name] = as_attribute(value + step)


def _constant(value: SSAValue) -> arithmetic.ConstantOp | None:
    if isinstance(value, BlockArgument):
        kernel = value.block.parent_op()
        if not isinstance(kernel, KernelOp):
            return None
        value = kernel.operand_of(value)
    return value.owner if isinstance(value.owner, arithmetic.ConstantOp) else None


def _step_element(op: Operation, value: SSAValue, rng: np.random.Generator) -> None:
    """One element of a constant by a power of two, for this operation alone."""
    old = _constant(value)
    assert old is not None
    array: Array = np.array(old.value.array)
    flat = array.reshape(-1)
    at = int(rng.integers(flat.size))
    info = np.iinfo(array.dtype)
    # A table of 48 bits hides its lowest ones; half of the steps are of one.
    bit = int(rng.integers(info.bits - 1)) if rng.random() < 0.5 else 0
    step = int(rng.choice((-1, 1))) << bit
    flat[at] += step if info.min <= int(flat[at]) + step <= info.max else -step
    new = arithmetic.ConstantOp.make([], [element_of(old.result)], value=BlobAttr.of(array))
    new.location = old.location
    parent = old.parent
    assert parent is not None
    parent.insert_op_after(new, old)
    if isinstance(value, BlockArgument):
        kernel = cast("KernelOp", value.block.parent_op())
        kernel.operands[value.index] = new.result
    else:
        op.operands[list(op.operands).index(value)] = new.result


def _another_rounding(op: arithmetic.RescaleOp, rng: np.random.Generator) -> None:
    others = sorted(set(fixed_point.ROUNDINGS) - {op.rounding.data})
    op.properties["rounding"] = StringAttr(others[int(rng.integers(len(others)))])


def _shift_pads(op: contraction.ConvOp | contraction.ReduceWindowOp) -> None:
    """One row (or column) of padding from one side to the other."""
    pads = list(ints(op.pads))
    source = next(i for i, p in enumerate(pads) if p > 0)
    pads[source] -= 1
    pads[(source + 2) % 4] += 1
    op.properties["pads"] = as_attribute(pads)


def _moves(op: movement.SliceOp) -> list[tuple[int, int]]:
    shape = shape_of(op.x)
    found: list[tuple[int, int]] = []
    for axis, (start, end) in enumerate(zip(ints(op.starts), ints(op.ends), strict=True)):
        found += [
            (axis, step) for step in (-1, 1) if start + step >= 0 and end + step <= shape[axis]
        ]
    return found


def _move_slice(op: movement.SliceOp, move: tuple[int, int]) -> None:
    axis, step = move
    for name in ("starts", "ends"):
        values = list(ints(cast("Any", op.properties[name])))
        values[axis] += step
        op.properties[name] = as_attribute(values)


def _another_index(op: movement.GatherOp, rng: np.random.Generator) -> None:
    indices = list(ints(op.indices))
    at = int(rng.integers(len(indices)))
    extent = shape_of(op.x)[op.axis.value.data]
    indices[at] = (indices[at] + 1) % extent
    op.properties["indices"] = as_attribute(indices)
