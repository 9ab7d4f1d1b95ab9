"""What convolutions and matrix products share: which dimensions are channels, what is summed."""

from __future__ import annotations

from math import prod

import numpy as np
from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from furiosa_ir.dialects.graph.base import GraphOp, is_from_tflite, quantization_of
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.shaped_operation import shape_of

SAME_BIAS_SCALE = 1e-6
"""Two float32 roundings: a bias scale this near to x_scale * weight_scale means the product."""


class ContractionOp(GraphOp):
    """Sums products of data, the first operand, and a weight, the second.

    `alpha * sum(data * weight) + beta * bias`; both factors are 1 but for a Gemm. A subclass says
    where the channels are; rules, lowerings and reports ask it instead of telling kinds apart.
    """

    @property
    def weight_channel_axis(self) -> int:
        """The dimension of the weight that the result's channels come from."""
        raise NotImplementedError

    @property
    def channel_axis(self) -> int:
        """The dimension of the result that counts channels."""
        raise NotImplementedError

    @property
    def channels(self) -> int:
        """How many output channels there are."""
        return shape_of(self.results[0])[self.channel_axis]

    @property
    def summed_axes(self) -> tuple[int, ...]:
        """The dimensions of the weight that a channel sums over."""
        rank = len(shape_of(self.operands[1]))
        return tuple(i for i in range(rank) if i != self.weight_channel_axis)

    @property
    def terms(self) -> int:
        """How many products a channel sums at most."""
        shape = shape_of(self.operands[1])
        return prod(shape[i] for i in self.summed_axes)

    @property
    def factors(self) -> tuple[float, float]:
        """Alpha and beta: of the sum of products, and of the bias."""
        return 1.0, 1.0

    @override
    def macs(self) -> int:
        is_open = any(n < 0 for value in (*self.operands, *self.results) for n in shape_of(value))
        return 0 if is_open else self._products()

    def _products(self) -> int:
        return prod(shape_of(self.results[0])) * self.terms

    def along_channels(self, rank: int) -> tuple[int, ...]:
        """The shape of a vector of channels that broadcasts to a result of that rank."""
        return tuple(-1 if i == self.channel_axis else 1 for i in range(rank))


class BiasedOp(ContractionOp):
    """A contraction to which a bias may be added; an i32 one has the accumulator's unit."""

    def verify_(self) -> None:
        super().verify_()
        if len(self.operands) < 3:
            return
        x, weight, bias = (quantization_of(v) for v in self.operands)
        if x is None or weight is None or bias is None or bias.storage != "i32":
            return
        alpha, beta = self.factors
        unit = np.array(weight.scales) * x.scale * alpha
        scales = np.array(bias.scales) * beta
        fits = len(scales) in (1, len(unit)) or len(unit) == 1
        if fits and np.allclose(scales, unit, rtol=SAME_BIAS_SCALE, atol=0):
            return
        if not is_litert(self):
            raise VerificationFailure(
                f"{self.name}: the bias has the scale {scales[0]:.9g}, x and weight make "
                f"{unit[0]:.9g}; the accumulator has one unit"
            )


def is_litert(op: Operation) -> bool:
    """Whether LiteRT's kernels say what a network means: they take a bias for a sum."""
    parent = op
    while (above := parent.parent_op()) is not None:
        parent = above
    return isinstance(parent, ModuleOp) and is_from_tflite(parent)
