"""The advice to quantise a network that runs on the host for want of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from furiosa_ir import hints
from furiosa_ir.costs import host_operators
from furiosa_ir.program import HostSegment, Program

_LOG = logging.getLogger(__name__)

_PRODUCTS = frozenset({"conv", "conv_transpose", "depthwise_conv", "gemm", "mat_mul"})
"""What a network spends its time on."""


def recommend_quantizing(program: Program, causes: Mapping[str, str], name: str | None) -> None:
    """Warns of a network that runs on the host for want of quantising, and says what does it.

    `furiosa quantize` takes what is recommended to it: a float network, and an ONNX network that is
    quantised in part.

    Args:
        program: what was compiled.
        causes: layer -> why it stays on the host, where that is known.
        name: the network's; None if it has none.
    """
    rows = host_operators(program)
    floats = [row for row in rows if row[2] == hints.not_quantized("").number]
    on_npu = not all(isinstance(segment, HostSegment) for segment in program.segments)
    if not floats or (on_npu and not any(row[0] in _PRODUCTS for row in floats)):
        return
    numbers = {hints.boundary("").number, hints.result_not_quantized("").number}
    if not on_npu and not any(row[2] in numbers for row in rows):
        _LOG.warning(
            "%s: the network is not quantised and runs wholly on the host; "
            "`furiosa quantize` makes an int8 network of it",
            name or "model",
        )
        return
    layers = ", ".join(f"'{row[1]}'" for row in floats[:3])
    more = f" and {len(floats) - 3} more" if len(floats) > 3 else ""
    cause = causes.get(floats[0][1])
    is_onnx = program.source_framework == "onnx"
    _LOG.warning(
        "%s: the network is quantised in part: %s%s %s float data and run%s on the host%s; %s",
        name or "model",
        layers,
        more,
        "works on" if len(floats) == 1 else "work on",
        "s" if len(floats) == 1 else "",
        f", for {cause}" if cause else "",
        "`furiosa quantize` completes it" if is_onnx else "quantise its float source as a whole",
    )
