"""Host segments: sub-models on onnxruntime or LiteRT."""

from __future__ import annotations

import re
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.numerics.array import Array
from furiosa_ir.onnxruntime_session import onnx_session, run_session
from furiosa_ir.pool import Pool
from furiosa_ir.program import HostSegment, Tensor
from furiosa_ir.runtime.python_kernels import NEEDS_PLUGIN


class HostEngine(Protocol):
    """Runs one sub-model; any thread may call it."""

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """The sub-model's outputs, in order."""
        ...


MakeEngine = Callable[[HostSegment], HostEngine]
"""Makes what runs a host segment on its framework."""


class OnnxEngine:
    """A sub-model on onnxruntime: one thread, nothing optimised, made when it is first needed.

    Any number of threads may run one `InferenceSession`: it keeps nothing from one run to another.
    """

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
                f"onnxruntime failed: {_first_line(error)}", layer=self._layer(str(error))
            ) from error

    def _load(self) -> Any:
        try:
            return onnx_session(bytes(self._segment.model))
        except Exception as error:
            raise ExecutionFailure(
                f"onnxruntime refuses the host segment: {_first_line(error)}",
                layer=self._layer(str(error)),
                hint=NEEDS_PLUGIN if "is not a registered function/op" in str(error) else None,
            ) from error

    def _layer(self, message: str) -> str:
        """The layer of the node that a message speaks of: nodes are called like their layers."""
        found = re.search(r"Name:'((.+?)(#\d+)?)' Status Message:", message)
        if found is None:
            return layer_of(self._segment)
        layers = {layer for _, layer, _, _ in self._segment.operators}
        return found[1] if found[1] in layers else found[2]


class TFLiteEngine:
    """A sub-model on LiteRT, made when it is first needed.

    LiteRT's reference kernels define what a TFLite network means. The reference resolver lacks
    some versions of operators that the optimised one has: networks with such operators, whose
    sub-models say so in their description, run on that one, without the delegates that would
    compute differently.

    An interpreter runs one inference at a time: threads that run at once have one each. None keeps
    anything: variable tensors of a sub-model are inputs and outputs of it as well, and a session
    holds what they hold.
    """

    def __init__(self, segment: HostSegment) -> None:
        self._source = _InterpreterSource(segment)
        # The pool refers to the source, not to the engine: the engine is freed with its last
        # reference, and not when Python next looks for cycles.
        self._pool = Pool(self._source.make)

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """The sub-model's outputs, in order.

        Raises:
            ExecutionFailure: LiteRT is not installed, or refuses the sub-model or the inputs.
        """
        with self._pool.lend() as interpreter:
            try:
                self._set_inputs(interpreter, inputs)
                interpreter.invoke()
                return [
                    np.array(interpreter.get_tensor(detail["index"]))
                    for detail in interpreter.get_output_details()
                ]
            except (RuntimeError, ValueError) as error:
                raise ExecutionFailure(
                    f"LiteRT failed: {_first_line(error)}", layer=self._source.layer(str(error))
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


class _InterpreterSource:
    """Makes the interpreters of a sub-model, which share one copy of it."""

    def __init__(self, segment: HostSegment) -> None:
        self._segment = segment

    @cached_property
    def _model(self) -> bytes:
        return bytes(self._segment.model)

    def make(self) -> Any:
        """An interpreter.

        Raises:
            ExecutionFailure: LiteRT is not installed, or refuses the sub-model.
        """
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
        resolvers = [OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES]
        if not _means_optimized_kernels(self._model):
            resolvers.insert(0, OpResolverType.BUILTIN_REF)
        for resolver in resolvers:
            try:
                interpreter = Interpreter(
                    model_content=self._model,
                    experimental_op_resolver_type=resolver,
                    num_threads=1,
                )
                interpreter.allocate_tensors()
            except (RuntimeError, ValueError) as error:
                reason = str(error)
            else:
                return interpreter
        raise ExecutionFailure(
            f"LiteRT refuses the host segment: {_first_line(reason)}",
            layer=self.layer(reason),
            hint=NEEDS_PLUGIN if "unresolved custom op" in reason else None,
        )

    def layer(self, message: str) -> str:
        """The layer of the operator that a message speaks of: its first result is called so."""
        # Of an operator inside of a subgraph LiteRT speaks first, and last of who calls it.
        found = re.findall(r"Node number (\d+) ", message)
        if found:
            from furiosa_ir.tflite_schema import tflite  # noqa: PLC0415

            with suppress(*_NO_MODEL):
                graph: Any = tflite.Model.GetRootAs(self._model, 0).Subgraphs(0)
                return graph.Tensors(graph.Operators(int(found[-1])).Outputs(0)).Name().decode()
        return layer_of(self._segment)


def check_declared(
    segment: HostSegment, declared: Sequence[Tensor], results: Sequence[Array]
) -> None:
    """Checks that a segment's results have the shapes that the compiler was told.

    Nobody but the framework knows what the operators make that it alone has; a file may say wrong.
    What a Loop collects in no rounds is a vector of no elements, whatever it would be.

    Raises:
        ExecutionFailure: one has another shape.
    """
    for tensor, result in zip(declared, results, strict=True):
        fits = len(tensor.shape) == result.ndim and all(
            n < 0 or n == extent for n, extent in zip(tensor.shape, result.shape, strict=True)
        )
        nothing = result.shape == (0,) and any(n < 0 for n in tensor.shape)
        if not fits and not nothing:
            raise ExecutionFailure(
                f"'{tensor.name}' is declared with shape {list(tensor.shape)}, but the framework "
                f"makes {list(result.shape)}",
                layer=layer_of(segment),
                hint="correct the shape in the model",
            )


def layer_of(segment: HostSegment) -> str:
    """The layer of a segment's only operator; of several, all their layers and the segment's name.

    What a failure names when nobody knows which operator failed.
    """
    layers = list(dict.fromkeys(layer for _, layer, _, _ in segment.operators))
    if len(layers) == 1:
        return layers[0]
    shown = ", ".join(layers[:4]) + (f" and {len(layers) - 4} more" if len(layers) > 4 else "")
    return f"{segment.name} ({shown})" if layers else segment.name


_NO_MODEL = (struct.error, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What the flatbuffers reader raises on bytes that are no sound model."""


def hides_state(segment: HostSegment) -> bool:
    """Whether a sub-model keeps variables from one run to the next by itself.

    Only TFLite has them. What a program keeps, its own variables say: a variable tensor of a
    sub-model is one of its inputs, which are set before each run.
    """
    if segment.framework != "tflite":
        return False
    try:
        from furiosa_ir.tflite_schema import tflite  # noqa: PLC0415

        model: Any = tflite.Model.GetRootAs(segment.model, 0)
        graphs = [model.Subgraphs(i) for i in range(_bounded(model.SubgraphsLength(), segment))]
        count = _bounded(model.OperatorCodesLength(), segment)
        keeping = tflite.BuiltinOperator.CALL_ONCE, tflite.BuiltinOperator.VAR_HANDLE
        if any(model.OperatorCodes(i).BuiltinCode() in keeping for i in range(count)):
            return True
        set_before = {
            graphs[0].Inputs(i) for i in range(_bounded(graphs[0].InputsLength(), segment))
        }
        for number, graph in enumerate(graphs):
            for i in range(_bounded(graph.TensorsLength(), segment)):
                if graph.Tensors(i).IsVariable() and (number or i not in set_before):
                    return True
    except _NO_MODEL:  # as LiteRT will say
        return False
    return False


def _bounded(count: int, segment: HostSegment) -> int:
    """The length of a vector of a sub-model.

    Raises:
        ValueError: no file of its size bears it out.
    """
    if 4 * count > len(segment.model):
        raise ValueError("corrupt")
    return count


def _means_optimized_kernels(model: bytes) -> bool:
    from furiosa_ir.tflite_schema import tflite  # noqa: PLC0415

    try:
        return tflite.Model.GetRootAs(model, 0).Description() == b"kernels: optimized"
    except _NO_MODEL:  # as LiteRT will say
        return False


_ENGINES: Mapping[str, type[OnnxEngine] | type[TFLiteEngine]] = {
    "onnx": OnnxEngine,
    "tflite": TFLiteEngine,
}


def engine_here(segment: HostSegment) -> HostEngine:
    """What runs a framework's sub-model in this process.

    Raises:
        ExecutionFailure: its framework is unknown, or the sub-model keeps a state of its own.
    """
    return engine_type(segment)(segment)


def engine_type(segment: HostSegment) -> type[OnnxEngine] | type[TFLiteEngine]:
    """What a host segment's framework needs.

    Raises:
        ExecutionFailure: its framework is unknown, or the sub-model keeps a state of its own.
    """
    engine = _ENGINES.get(segment.framework)
    if engine is None:
        raise ExecutionFailure(
            f"host segment '{segment.name}' is of the unknown framework '{segment.framework}'"
        )
    if hides_state(segment):
        raise ExecutionFailure(
            f"host segment '{segment.name}' keeps a state of its own from run to run, which no "
            "session could hold or clear",
            layer=layer_of(segment),
            hint="compile the network again",
        )
    return engine


def _first_line(error: BaseException | str) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
