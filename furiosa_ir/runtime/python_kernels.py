"""Host segments of custom operators whose kernels are Python's (`furiosa_ir.host_kernels`)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from furiosa_ir.errors import ExecutionFailure, FuriosaError
from furiosa_ir.host_kernels import find_kernel, run_kernel
from furiosa_ir.host_kernels.sub_model import SubModel
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import HostSegment


def has_kernels(segment: HostSegment) -> bool:
    """Whether Python kernels run a segment: the compiler gives their operators one of their own."""
    return any(find_kernel(operator) is not None for operator, _, _, _ in segment.operators)


class KernelEngine:
    """A host segment whose operators have Python kernels; it runs in this process."""

    def __init__(self, segment: HostSegment) -> None:
        self._segment = segment
        self._lock = threading.Lock()
        self._model: SubModel | None = None

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """The sub-model's outputs, in order.

        Raises:
            FuriosaError: an operator has no kernel, or that raises an error.
        """
        with self._lock:
            model = self._model = self._model or self._read()
        values: dict[Any, Array] = {
            **model.constants,
            **dict(zip(model.inputs, inputs, strict=True)),
        }
        for step in model.steps:
            given = [None if i is None else values[i] for i in step.inputs]
            if step.operator is None:
                results = [a for a in given if a is not None]
            else:
                kernel = find_kernel(step.operator.name)
                if kernel is None:
                    raise ExecutionFailure(
                        f"the custom operator '{step.operator.name}' has no kernel",
                        layer=step.operator.layer,
                        hint=NEEDS_PLUGIN,
                    )
                results = run_kernel(kernel, step.operator, given)
            values.update(zip(step.outputs, results, strict=True))
        return [values[i] for i in model.outputs]

    def _read(self) -> SubModel:
        if self._segment.framework == "tflite":
            from furiosa_ir.host_kernels.tflite_model import read_steps  # noqa: PLC0415  # few need it
        else:
            from furiosa_ir.host_kernels.onnx_model import read_steps  # noqa: PLC0415
        try:
            model = read_steps(bytes(self._segment.model))
            _check_complete(model, self._segment)
        except FuriosaError:
            raise
        except Exception as error:  # what readers raise on bytes that are no sound model
            raise ExecutionFailure(
                f"the model of the host segment '{self._segment.name}' is corrupt"
            ) from error
        return model


def _check_complete(model: SubModel, segment: HostSegment) -> None:
    """Checks that a sub-model fits its segment, and that each value is made before it is used.

    Raises:
        LookupError: it does not.
    """
    known = {*model.inputs, *model.constants}
    for step in model.steps:
        if not known.issuperset(i for i in step.inputs if i is not None):
            raise LookupError(step)
        known.update(step.outputs)
    counts = (len(model.inputs), len(model.outputs))
    if counts != (len(segment.inputs), len(segment.outputs)) or not known.issuperset(model.outputs):
        raise LookupError(counts)


NEEDS_PLUGIN = "--load, or plugins= of a session, takes the file of a kernel in Python"
