"""The geometry of sliding windows, which `graph` and `ftensor` share: extents, checks, defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.ir import Operation

from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.assembly_format import Default, repeated
from furiosa_ir.ir.shaped_operation import Shape

WINDOW_DEFAULTS: Mapping[str, Default] = {
    "strides": repeated(1, less=2),
    "pads": repeated(0, less=2, times=2),
    "dilations": repeated(1, less=2),
}
"""How a window moves over an operand with batch and channels where text does not say."""


def window_extents(
    op: Operation,
    extents: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    ceil_mode: bool = False,
    *,
    may_crop: bool = False,
) -> Shape:
    """How many windows fit along each spatial dimension.

    floor((extent + pads - span) / stride) + 1 with span = (kernel - 1) * dilation + 1; `ceil_mode`
    rounds up, but never starts a window in the end padding (ONNX MaxPool).

    Raises:
        VerificationFailure: a window is larger than its padded input, or `check_window` refuses it.
    """
    n = len(extents)
    check_window(op, n, kernel, strides, pads, dilations, may_crop=may_crop)
    out: list[int] = []
    for i in range(n):
        span = (kernel[i] - 1) * dilations[i] + 1
        room = extents[i] + pads[i] + pads[i + n] - span
        if room < 0:
            raise VerificationFailure(
                f"{op.name}: a window of {span} does not fit the extent {extents[i]} "
                f"padded by {pads[i]} and {pads[i + n]}"
            )
        count = (-(-room // strides[i]) if ceil_mode else room // strides[i]) + 1
        if ceil_mode and (count - 1) * strides[i] >= extents[i] + pads[i]:
            count -= 1
        out.append(count)
    return tuple(out)


def check_window(
    op: Operation,
    rank: int,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    *,
    may_crop: bool = False,
) -> None:
    """Checks that a window has that many dimensions, and that each is one to slide along.

    Raises:
        VerificationFailure: it has more or fewer, an extent, stride or dilation that is not
            positive, or negative padding, which crops, where that has no meaning (`may_crop`).
    """
    if not len(kernel) == len(strides) == len(dilations) == rank or len(pads) != 2 * rank:
        raise VerificationFailure(
            f"{op.name}: kernel, strides, pads and dilations do not fit {rank} spatial dimensions"
        )
    for what, numbers, least in (
        ("a kernel extent", kernel, 1),
        ("a stride", strides, 1),
        ("a dilation", dilations, 1),
        ("padding", () if may_crop else pads, 0),
    ):
        if min(numbers, default=least) < least:
            raise VerificationFailure(f"{op.name}: {what} of {min(numbers)}")
