"""What the import function of an operation, maybe a plug-in's, returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from xdsl.ir import SSAValue

from furiosa_ir.plugins import wrong_result


def imported(function: Callable[[Any], object], node: object, operator: str) -> Sequence[SSAValue]:
    """Calls a `from_onnx` or `from_tflite`.

    Args:
        function: it.
        node: what it imports.
        operator: the name in the file, for messages.

    Raises:
        FuriosaError: a plug-in's returns something else than values.
    """
    results = function(node)
    kind = type(results).__name__
    if isinstance(results, Sequence) and not isinstance(results, str):
        values = cast("Sequence[object]", results)
        if all(isinstance(value, SSAValue) for value in values):
            return cast("Sequence[SSAValue]", results)
    what = f"a value of type {kind}, not what node.emit returns"
    raise wrong_result(function, what, f"the import of {operator}")
