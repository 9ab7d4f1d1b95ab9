"""`ftensor-fold-clamps`: activations that are nothing but an output range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor.arithmetic import ClampOp, RescaleOp
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.rewriting import Rewrite, rule
from furiosa_ir.ir.shaped_operation import element_of


def _range(op: ClampOp | RescaleOp) -> tuple[int, int]:
    return op.minimum.value.data, op.maximum.value.data


def _narrower(inner: tuple[int, int], outer: tuple[int, int]) -> tuple[int, int]:
    """The range of clamp(clamp(x, inner), outer)."""
    low, high = (min(max(bound, outer[0]), outer[1]) for bound in inner)
    return low, high


@rule(ClampOp, x=RescaleOp)
def clamp_of_rescale(op: ClampOp, rw: Rewrite) -> SSAValue | None:
    """clamp(rescale(x)) = rescale(x) with the narrower range, if nobody else reads the rescale."""
    rescale = cast("RescaleOp", op.x.owner)
    if not rescale.result.has_one_use():
        return None
    minimum, maximum = _narrower(_range(rescale), _range(op))
    return rw.emit(
        RescaleOp,
        [rescale.x, rescale.multiplier, rescale.shift],
        [element_of(op.result)],
        input_zp=rescale.input_zp,
        output_zp=rescale.output_zp,
        minimum=minimum,
        maximum=maximum,
        rounding=rescale.rounding,
    )


@rule(ClampOp, x=ClampOp)
def clamp_of_clamp(op: ClampOp, rw: Rewrite) -> SSAValue | None:
    """clamp(clamp(x)) = clamp(x) with the narrower range."""
    inner = cast("ClampOp", op.x.owner)
    minimum, maximum = _narrower(_range(inner), _range(op))
    return rw.emit(ClampOp, [inner.x], [element_of(op.result)], minimum=minimum, maximum=maximum)


@dataclass(frozen=True)
class FoldClamps(RewritePass):
    """Merges clamps into the rescale before them: an activation becomes the output range.

        %1 = "ftensor.rescale"(%acc, %m, %s) <{minimum = -128, maximum = 127, ...}>
        %2 = "ftensor.clamp"(%1) <{minimum = 0, maximum = 96}>

    becomes

        %2 = "ftensor.rescale"(%acc, %m, %s) <{minimum = 0, maximum = 96, ...}>
    """

    name = "ftensor-fold-clamps"
    rules = (clamp_of_rescale, clamp_of_clamp)
