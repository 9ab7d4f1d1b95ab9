"""Raising a network's opset without changing what it computes."""

from __future__ import annotations

import onnx

from furiosa_ir.importers.onnx import opsets

PER_CHANNEL_OPSET = 13
"""Since it QuantizeLinear and DequantizeLinear have an axis."""

RESIZE_MODES_OPSET = 11
"""Since it Resize says where it takes its values; to say it, older factors have to be constants."""


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that the network uses."""
    return next(int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx"))


def raise_opset(model: onnx.ModelProto, version: int, name: str) -> None:
    """Brings a network into at least that opset.

    Raises:
        FuriosaError: an operator has no form in it.
    """
    before = opset_of(model)
    if before >= version:
        return
    try:
        opsets.raise_opset(model, before, version)
    except opsets.Inexpressible as error:
        raise opsets.Inexpressible(
            error.message,
            file=name,
            layer=error.layer,
            hint=f"export the network with opset {version} or later",
        ) from None
