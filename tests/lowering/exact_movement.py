"""Cases: operators that move elements."""

from __future__ import annotations

from math import prod

from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph import movement, rearrangement
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.resize import ResizeOp
from tests.lowering.drawn import Case, Draw


def block(kind: type[GraphOp]) -> Case:
    def draw(d: Draw) -> GraphOp:
        layout = d.choose("NCHW", "NHWC")
        size, depth = d.integer(1, 3), d.integer(1, 2)
        deep = kind is rearrangement.DepthToSpaceOp
        channels, space = (depth * size * size, 1) if deep else (depth, size)
        h, w = (space * n for n in d.integers(2, 1, 3))
        at = {"N": d.integer(1, 2), "C": channels, "H": h, "W": w}
        return kind.make(
            [d.value(tuple(at[k] for k in layout))],
            [d.element()],
            blocksize=size,
            mode=d.choose("DCR", "CRD"),
            layout=layout,
        )

    return draw


def gather(d: Draw) -> GraphOp:
    shape = d.shape(1, 4)
    axis = d.integer(0, len(shape) - 1)
    indices = d.integers(d.integer(1, 7), 0, shape[axis] - 1)
    return rearrangement.GatherOp.make([d.value(shape)], [d.element()], axis=axis, indices=indices)


def reshape(d: Draw) -> GraphOp:
    """The dimensions in another order, some of them merged."""
    shape = d.shape(1, 4)
    target: list[int] = []
    for i in d.order(len(shape)):
        if target and d.boolean():
            target[-1] *= shape[i]
        else:
            target.append(shape[i])
    assert prod(target) == prod(shape)
    return movement.ReshapeOp.make([d.value(shape)], [d.element()], shape=target)


def transpose(d: Draw) -> GraphOp:
    shape = d.shape(1, 5)
    return movement.TransposeOp.make([d.value(shape)], [d.element()], perm=d.order(len(shape)))


def expand(d: Draw) -> GraphOp:
    shape = d.shape(1, 4)
    return movement.ExpandOp.make([d.value(d.broadcast(shape))], [d.element()], shape=shape)


def tile(d: Draw) -> GraphOp:
    shape = d.shape(1, 4, 4)
    repeats = d.integers(len(shape), 1, 3)
    return movement.TileOp.make([d.value(shape)], [d.element()], repeats=repeats)


def concat(d: Draw) -> GraphOp:
    shape = d.shape(1, 4)
    axis = d.integer(0, len(shape) - 1)
    operands: list[SSAValue] = []
    for _ in range(d.integer(1, 4)):
        extents = [d.integer(1, 5) if i == axis else n for i, n in enumerate(shape)]
        operands.append(d.value(tuple(extents)))
    return movement.ConcatOp.make([operands], [d.element()], axis=axis)


def split(d: Draw) -> GraphOp:
    shape = list(d.shape(1, 4))
    axis = d.integer(0, len(shape) - 1)
    parts = d.integers(d.integer(1, 3), 1, 4)
    shape[axis] = sum(parts)
    element = d.element()
    types = [element if d.boolean() else d.element() for _ in parts]
    return movement.SplitOp.make([d.value(tuple(shape), element)], types, axis=axis, split=parts)


def slice_(d: Draw) -> GraphOp:
    shape = d.shape(1, 4, 6)
    steps = [d.choose(1, 2, 3, -1, -2) for _ in shape]
    starts = [d.integer(0, n - 1) for n in shape]
    # An end of -1 is before the first element.
    ends = [
        d.integer(start + 1, n) if step > 0 else d.integer(-1, start - 1)
        for n, start, step in zip(shape, starts, steps, strict=True)
    ]
    return movement.SliceOp.make(
        [d.value(shape)], [d.element()], starts=starts, ends=ends, steps=steps
    )


def pad(d: Draw) -> GraphOp:
    shape = d.shape(1, 4)
    mode = d.choose("constant", "reflect", "edge")
    most = [n - 1 if mode == "reflect" else 3 for n in shape]
    return movement.PadOp.make(
        [d.value(shape)],
        [d.element()],
        pads=[d.integer(0, min(n, 3)) for n in (*most, *most)],
        mode=mode,
        value=d.choose(0.0, 0.37, -1.0),
    )


def resize(*layouts: str) -> Case:
    def draw(d: Draw) -> GraphOp:
        layout = d.choose(*layouts)
        extents = d.integers(len(layout) - 2, 1, 5)
        sizes = d.integers(len(extents), 1, 7 if len(extents) == 3 else 11)
        return ResizeOp.make(
            [d.value((d.integer(1, 2), d.integer(1, 3), *extents))],
            [d.element()],
            layout=layout,
            mode=d.choose("nearest", "linear"),
            coordinates=d.choose("half_pixel", "align_corners", "asymmetric"),
            nearest_mode=d.choose("round_prefer_floor", "round_prefer_ceil", "floor"),
            sizes=sizes,
            scales=[size / extent for size, extent in zip(sizes, extents, strict=True)],
        )

    return draw
