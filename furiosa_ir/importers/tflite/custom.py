"""Result shapes of custom operators that LiteRT brings with it.

Files leave them out (shape [], which also means a scalar); the kernels know them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flatbuffers import flexbuffers

from furiosa_ir.ir.shaped_operation import Shape


def _detection_post_process(options: Any) -> Sequence[Shape]:
    per_detection = options["max_classes_per_detection"].AsInt
    count = options["max_detections"].AsInt * per_detection
    return [(1, count, 4), (1, count), (1, count), (1,)]


_RULES: dict[str, Callable[[Any], Sequence[Shape]]] = {
    "TFLite_Detection_PostProcess": _detection_post_process,
}


def custom_result_shapes(operator: str, options: bytes) -> Sequence[Shape] | None:
    """The result shapes that the operator's options (a flexbuffer map) imply, if known."""
    rule = _RULES.get(operator)
    if rule is None or not options:
        return None
    return rule(flexbuffers.GetRoot(bytearray(options)).AsMap)
