"""`ftensor-fold-clamps`: activations that are nothing but an output range."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor.arithmetic import ClampOp, RescaleOp
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.remarks import described, missed, passed, readers
from furiosa_ir.ir.rewriting import Rewrite, has_one_reader, rule
from furiosa_ir.ir.shaped_operation import element_of


def _range(op: ClampOp | RescaleOp) -> tuple[int, int]:
    return op.minimum.value.data, op.maximum.value.data


def _narrower(inner: tuple[int, int], outer: tuple[int, int]) -> tuple[int, int]:
    """The range of clamp(clamp(x, inner), outer)."""
    low, high = (min(max(bound, outer[0]), outer[1]) for bound in inner)
    return low, high


@rule
def clamp_of_rescale(op: ClampOp, x: RescaleOp, rw: Rewrite) -> SSAValue | None:
    """clamp(rescale(x)) = rescale(x) with the narrower range, if nobody else reads the rescale."""
    if not has_one_reader(x.result):
        missed(
            op,
            "clamp",
            "it is no range of the rescale before it, which is read by {others} as well",
            way_out="let all of them read what is clamped",
            others=described(*readers(x.result, op)),
        )
        return None
    passed(op, "clamp", "it is the range of the rescale before it")
    minimum, maximum = _narrower(_range(x), _range(op))
    return rw.emit(
        RescaleOp,
        [x.x, x.multiplier, x.shift],
        [element_of(op.result)],
        input_zp=x.input_zp,
        output_zp=x.output_zp,
        minimum=minimum,
        maximum=maximum,
        rounding=x.rounding,
    )


@rule
def clamp_of_clamp(op: ClampOp, x: ClampOp, rw: Rewrite) -> SSAValue | None:
    """clamp(clamp(x)) = clamp(x) with the narrower range."""
    minimum, maximum = _narrower(_range(x), _range(op))
    return rw.emit(ClampOp, [x.x], [element_of(op.result)], minimum=minimum, maximum=maximum)


@dataclass(frozen=True)
class FoldClamps(RewritePass):
    """Merges clamps into the rescale before them: an activation becomes the output range.

    What stands between them, `ftensor-hoist-functions` puts behind.

        %1 = ftensor.rescale %acc, %m, %s {...}
        %2 = ftensor.clamp %1 {minimum = 0, maximum = 96}

    becomes

        %2 = ftensor.rescale %acc, %m, %s {minimum = 0, maximum = 96, ...}
    """

    name = "ftensor-fold-clamps"
    rules = (clamp_of_rescale, clamp_of_clamp)
