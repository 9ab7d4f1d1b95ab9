"""What a file says of its tensors' shapes, beside what its operators make of them."""

from __future__ import annotations

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.tflite.file import TensorRecord
from furiosa_ir.ir.shaped_operation import DYNAMIC, Shape, shape_text


def check_declared(operator: str, tensor: TensorRecord, shape: Shape) -> None:
    """Compares the shape that an operator makes with that of the file.

    Extents that the file leaves open hold 1, shapes that it leaves open are [].

    Raises:
        ImportFailure: they contradict each other.
    """
    declared = tensor.shape
    fits = not declared or (
        len(shape) == len(declared)
        and all(
            n in (e, DYNAMIC) or s < 0
            for n, e, s in zip(shape, declared, tensor.signature, strict=True)
        )
    )
    if not fits:
        raise ImportFailure(
            f"contradictory shapes: {operator} makes {shape_text(shape)}, "
            f"the file says {list(declared)}"
        )
