"""What an origin of `importers.tflite.origin` says of its operator."""

from __future__ import annotations

from typing import Any

from furiosa_ir.dialects.graph.base import OriginAttr
from furiosa_ir.importers.tflite.vectors import enum_names
from furiosa_ir.tflite_schema import tflite

_NAMES = enum_names(tflite.BuiltinOperator)


def operator_name(origin: OriginAttr) -> str:
    """The operator's name in TFLite ("DEPTHWISE_CONV_2D")."""
    data = origin.data[1].array.tobytes()
    code: Any = tflite.Model.GetRootAs(data, 0).OperatorCodes(0)
    number = int(code.BuiltinCode())
    return _NAMES.get(number, str(number))
