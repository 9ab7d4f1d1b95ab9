"""Host segments: sub-models on onnxruntime or LiteRT."""

from __future__ import annotations

import struct
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from furiosa_ir.backends.warboy.enf.records import HostSegment
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.onnxruntime_session import onnx_session, run_session
from furiosa_ir.runtime.tensor import Array


class HostEngine(Protocol):
    """Runs one sub-model; any thread may call it."""

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """The sub-model's outputs, in order."""
        ...


class OnnxEngine:
    """A sub-model on onnxruntime: one thread, nothing optimised, made when it is first needed."""

    def __init__(self, segment: HostSegment) -> None:
        self._segment = segment
        self._lock = threading.Lock()
        self._session: Any = None

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """The sub-model's outputs, in order.

        Raises:
            ExecutionFailure: onnxruntime refuses the sub-model or the inputs.
        """
        with self._lock:
            if self._session is None:
                self._session = self._load()
        session = self._session
        try:
            return run_session(session, inputs)
        except Exception as error:  # its exceptions share no other base
            raise ExecutionFailure(
                f"onnxruntime failed: {_first_line(error)}", layer=self._segment.name
            ) from error

    def _load(self) -> Any:
        try:
            return onnx_session(bytes(self._segment.model))
        except Exception as error:
            raise ExecutionFailure(
                f"onnxruntime refuses the host segment: {_first_line(error)}",
                layer=self._segment.name,
            ) from error


class TFLiteEngine:
    """A sub-model on LiteRT, made when it is first needed.

    LiteRT's reference kernels define what a TFLite network means. The reference resolver lacks
    some versions of operators that the optimised one has: networks with such operators, whose
    sub-models say so in their description, run on that one, without the delegates that would
    compute differently.

    An interpreter runs one inference at a time and may hold variables, so there is one, under a
    lock.
    """

    def __init__(self, segment: HostSegment) -> None:
        self._segment = segment
        self._lock = threading.Lock()
        self._interpreter: Any = None

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """The sub-model's outputs, in order.

        Raises:
            ExecutionFailure: LiteRT is not installed, or refuses the sub-model or the inputs.
        """
        with self._lock:
            if self._interpreter is None:
                self._interpreter = self._load()
            interpreter = self._interpreter
            try:
                self._set_inputs(interpreter, inputs)
                interpreter.invoke()
                return [
                    np.array(interpreter.get_tensor(detail["index"]))
                    for detail in interpreter.get_output_details()
                ]
            except (RuntimeError, ValueError) as error:
                raise ExecutionFailure(
                    f"LiteRT failed: {_first_line(error)}", layer=self._segment.name
                ) from error

    @staticmethod
    def _set_inputs(interpreter: Any, inputs: Sequence[Array]) -> None:
        details = interpreter.get_input_details()
        resized = [
            (detail, array)
            for detail, array in zip(details, inputs, strict=True)
            if tuple(detail["shape"]) != array.shape
        ]
        for detail, array in resized:
            interpreter.resize_tensor_input(detail["index"], array.shape)
        if resized:
            interpreter.allocate_tensors()
        for detail, array in zip(details, inputs, strict=True):
            interpreter.set_tensor(detail["index"], array)

    def _load(self) -> Any:
        try:
            from ai_edge_litert.interpreter import (  # noqa: PLC0415
                Interpreter,
                OpResolverType,
            )
        except ImportError:
            raise ExecutionFailure(
                "TFLite operators on the host need the package ai-edge-litert",
                hint="pip install 'furiosa-ir[litert]'",
            ) from None
        reason = ""
        model = bytes(self._segment.model)
        resolvers = [OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES]
        if not _means_optimized_kernels(model):
            resolvers.insert(0, OpResolverType.BUILTIN_REF)
        for resolver in resolvers:
            try:
                interpreter = Interpreter(
                    model_content=model,
                    experimental_op_resolver_type=resolver,
                    num_threads=1,
                )
                interpreter.allocate_tensors()
            except (RuntimeError, ValueError) as error:
                reason = _first_line(error)
            else:
                return interpreter
        raise ExecutionFailure(
            f"LiteRT refuses the host segment: {reason}", layer=self._segment.name
        )


def _means_optimized_kernels(model: bytes) -> bool:
    import tflite  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]

    try:
        return tflite.Model.GetRootAs(model, 0).Description() == b"kernels: optimized"
    except (struct.error, TypeError):  # no model at all, as LiteRT will say
        return False


_ENGINES: Mapping[str, type[OnnxEngine] | type[TFLiteEngine]] = {
    "onnx": OnnxEngine,
    "tflite": TFLiteEngine,
}


def host_engine(segment: HostSegment) -> HostEngine:
    """What runs a host segment.

    Raises:
        ExecutionFailure: its framework is unknown.
    """
    engine = _ENGINES.get(segment.framework)
    if engine is None:
        raise ExecutionFailure(
            f"host segment '{segment.name}' is of the unknown framework '{segment.framework}'"
        )
    return engine(segment)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
