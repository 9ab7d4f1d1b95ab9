"""What onnx and onnxruntime do to models of strangers, each in a process of its own.

The functions are for callers; those of `JOBS` run in the child (`native_process`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from furiosa_ir.limits import limit
from furiosa_ir.native_process import SHARED, Answer, Job, Order
from furiosa_ir.numerics.array import Array
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
    answer = SHARED.call(
        "onnx_run",
        model,
        inputs,
        seconds=limit("NATIVE_SECONDS") if seconds is None else seconds,
        most_bytes=limit("NATIVE_BYTES") if bounded else 0,
    )
    return list(answer.arrays), answer.seconds


def _run(order: Order) -> Answer:
    """`run_model`; reals are given as the float type that the model declares."""
    from furiosa_ir.onnxruntime_session import as_declared, onnx_session, run_session  # noqa: PLC0415

    session = onnx_session(order.data)
    given = [
        as_declared(a, i.type) for a, i in zip(order.arrays, session.get_inputs(), strict=True)
    ]
    return Answer(arrays=run_session(session, given))


def output_types(model: bytes) -> list[tuple[str, str, list[int | None]]]:
    """Name, type ("tensor(float)") and extents of a model's outputs, as onnxruntime tells them.

    Raises:
        NativeRefusal, NativeCrash, FormatFailure: as `run_model`.
    """
    check_complete(model)
    answer = _bounded("onnx_load", model)
    return [(name, kind, shape) for name, kind, shape in answer.value]


def _load(order: Order) -> Answer:
    """`output_types`."""
    from furiosa_ir.onnxruntime_session import onnx_session  # noqa: PLC0415

    outputs = onnx_session(order.data).get_outputs()
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
    return _bounded("onnx_infer_shapes", model, **options).data


def _infer_shapes(order: Order) -> Answer:
    import onnx  # noqa: PLC0415

    proto = onnx.ModelProto.FromString(order.data)
    inferred = onnx.shape_inference.infer_shapes(proto, **order.options)
    return Answer(data=inferred.SerializeToString())


def _bounded(job: str, model: bytes, **options: Any) -> Answer:
    seconds, most_bytes = limit("NATIVE_SECONDS"), limit("NATIVE_BYTES")
    return SHARED.call(job, model, seconds=seconds, most_bytes=most_bytes, **options)


JOBS: Mapping[str, Job] = {
    "onnx_run": _run,
    "onnx_load": _load,
    "onnx_infer_shapes": _infer_shapes,
}
"""Those of the shared processes (`native_jobs`)."""
