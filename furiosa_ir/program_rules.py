"""What must hold of every program, whatever machine it is for; readers of files check it.

What is behind it may rely on it: sessions, reports, the cost model.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, prod

from furiosa_ir.dataflow import check_dataflow
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.limits import limit, way_out
from furiosa_ir.numerics.element_types import BY_NAME, COMMON
from furiosa_ir.program import HostSegment, Program, Tensor

FRAMEWORKS = ("onnx", "tflite")
"""What host segments may be of."""

DTYPES = frozenset({*BY_NAME, "string"})
"""What tensors may be of."""

_STATE_BYTES = {element.name: element.size for element in COMMON}
"""dtype -> bytes of an element, of what variables may hold."""


def check_program(program: Program) -> None:
    """Checks all but the device segments' own content.

    Raises:
        VerificationFailure: what is wrong, in a clause.
    """
    if program.source_framework not in ("", *FRAMEWORKS):
        raise VerificationFailure(f"its framework '{program.source_framework}' does not exist")
    tensors = len(program.tensors)
    for tensor in program.tensors:
        _check_tensor(tensor)
    require_indices(program.inputs, tensors, "an input")
    require_indices(program.outputs, tensors, "an output")
    if program.output_names and len(program.output_names) != len(program.outputs):
        raise VerificationFailure(
            f"it has {len(program.outputs)} outputs and {len(program.output_names)} names for them"
        )
    require_indices([layer.segment for layer in program.layers], len(program.segments), "a layer")
    if any(not 0 <= n < 1 << 64 for row in program.layers for n in (row.macs, row.weight_bytes)):
        raise VerificationFailure("a layer has impossible figures")
    for segment in program.segments:
        if isinstance(segment, HostSegment) and segment.framework not in FRAMEWORKS:
            raise VerificationFailure(f"framework '{segment.framework}' does not exist")
        require_indices((*segment.reads, *segment.makes), tensors, f"segment '{segment.name}'")
    _check_variables(program)
    check_dataflow(program)


def require_indices(indices: Sequence[int], count: int, what: str) -> None:
    """Refuses indices outside of what they count.

    Raises:
        VerificationFailure: one is.
    """
    if any(not 0 <= index < count for index in indices):
        raise VerificationFailure(f"{what} refers to something that does not exist")


def _check_tensor(tensor: Tensor) -> None:
    if tensor.dtype not in DTYPES:
        raise VerificationFailure(f"tensor '{tensor.name}' has an unknown dtype")
    if any(size < -1 for size in tensor.shape):
        raise VerificationFailure(f"tensor '{tensor.name}' has a negative extent")
    if not (isfinite(tensor.scale) and tensor.scale >= 0):
        raise VerificationFailure(f"tensor '{tensor.name}' has the scale {tensor.scale}")
    if len(tensor.shape) > limit("RANK"):
        raise VerificationFailure(
            f"tensor '{tensor.name}' has {len(tensor.shape)} dimensions", hint=way_out("RANK")
        )


def _check_variables(program: Program) -> None:
    """Checks what a program keeps from run to run."""
    if len({variable.name for variable in program.variables}) < len(program.variables):
        raise VerificationFailure("two of its variables have one name")
    for variable in program.variables:
        what = f"the variable '{variable.name}'"
        require_indices((variable.before, variable.after), len(program.tensors), what)
        before, after = program.tensors[variable.before], program.tensors[variable.after]
        size = _STATE_BYTES.get(before.dtype)
        if size is None or any(extent < 0 for extent in before.shape):
            raise VerificationFailure(f"{what} is of {before.dtype} or an open shape")
        if (before.dtype, before.shape) != (after.dtype, after.shape):
            raise VerificationFailure(
                f"{what} is {before.dtype}{list(before.shape)}, and takes "
                f"{after.dtype}{list(after.shape)}"
            )
        held = memoryview(variable.initial).nbytes
        if prod(before.shape) * size != held:
            raise VerificationFailure(f"{what} has {held} bytes of initial elements")
