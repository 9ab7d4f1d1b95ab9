"""What onnx and onnxruntime do to models of strangers, each in a process of its own.

The functions are for callers; those of `JOBS` run in the child (`native_process`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from furiosa_ir.array_messages import Array
from furiosa_ir.native_process import Answer, Job, NativeProcesses
from furiosa_ir.onnx_messages import check_complete


def run_model(
    model: bytes, inputs: Sequence[Array], *, seconds: float | None = None, bounded: bool = True
) -> tuple[list[Array], float]:
    """The outputs of a model on onnxruntime, and the processor time in seconds.

    Args:
        model: a serialised `ModelProto`.
        inputs: in the order of the graph's inputs.
        seconds: that it may take.
        bounded: whether its memory is limited.

    Raises:
        NativeRefusal: onnxruntime refuses the model or the inputs.
        NativeCrash: it ended its process, or took more than it may.
        FormatFailure: the model is not complete in itself.
    """
    check_complete(model)
    answer = PROCESSES.call("run", model, inputs, seconds=seconds, bounded=bounded)
    return list(answer.arrays), answer.seconds


def _run(_options: Mapping[str, Any], model: bytes, inputs: Sequence[Array]) -> Answer:
    """`run_model`; reals are given as the float type that the model declares."""
    from furiosa_ir.onnxruntime_session import as_declared, onnx_session, run_session  # noqa: PLC0415

    session = onnx_session(model)
    given = [as_declared(a, i.type) for a, i in zip(inputs, session.get_inputs(), strict=True)]
    return Answer(arrays=run_session(session, given))


def output_types(model: bytes) -> list[tuple[str, str, list[int | None]]]:
    """Name, type ("tensor(float)") and extents of a model's outputs, as onnxruntime tells them.

    Raises:
        NativeRefusal, NativeCrash, FormatFailure: as `run_model`.
    """
    check_complete(model)
    answer = PROCESSES.call("load", model)
    return [(name, kind, shape) for name, kind, shape in answer.value]


def _load(_options: Mapping[str, Any], model: bytes, _inputs: Sequence[Array]) -> Answer:
    """`output_types`."""
    from furiosa_ir.onnxruntime_session import onnx_session  # noqa: PLC0415

    outputs = onnx_session(model).get_outputs()
    extents = [[d if isinstance(d, int) else None for d in o.shape or ()] for o in outputs]
    return Answer([(o.name, o.type, e) for o, e in zip(outputs, extents, strict=True)])


def infer_shapes(model: bytes, **options: Any) -> bytes:
    """A model with the types that onnx infers.

    Args:
        model: a serialised `ModelProto`.
        options: of `onnx.shape_inference.infer_shapes`.

    Raises:
        NativeRefusal: onnx raised an exception.
        NativeCrash: it ended its process, or took more than it may.
    """
    return PROCESSES.call("infer_shapes", model, **options).data


def _infer_shapes(options: Mapping[str, Any], model: bytes, _inputs: Sequence[Array]) -> Answer:
    import onnx  # noqa: PLC0415

    proto = onnx.ModelProto.FromString(model)
    return Answer(data=onnx.shape_inference.infer_shapes(proto, **options).SerializeToString())


JOBS: Mapping[str, Job] = {"run": _run, "load": _load, "infer_shapes": _infer_shapes}

PROCESSES = NativeProcesses(__name__)
