"""What was imported of an ONNX file beside onnxruntime on the file itself, layer by layer.

The reference evaluates the module as the importer made it; a misread attribute would be in it, too.
onnxruntime reads the original bytes, local functions included. It computes in float32, whose noise
flips quantisation steps, which depth amplifies; so the network is cut at every quantised tensor of
the graph: each layer gets the reference's exact values, all in one session.

Where calls of local functions hide the tensors, the network is cut as the importer has expanded it.
That this means what the file does, onnxruntime says itself: of both it must make the same values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import EncodeError
from onnx import helper
from xdsl.dialects.builtin import BFloat16Type, Float16Type

from furiosa_ir.comparison import Where, check_equal
from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp
from furiosa_ir.dialects.graph.structure import OpaqueOp
from furiosa_ir.errors import ExecutionFailure, FuriosaError
from furiosa_ir.importers.onnx.embedding import embed_external_data
from furiosa_ir.importers.onnx.file import read_model
from furiosa_ir.importers.onnx.part import take_part
from furiosa_ir.interpreter.elements import is_float
from furiosa_ir.ir.shaped_operation import DYNAMIC, element_of, shape_of
from furiosa_ir.limits import limit
from furiosa_ir.native_onnx import run_model
from furiosa_ir.native_process import NativeCrash, NativeRefusal
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.numerics.array import Array
from furiosa_ir.verification.reference import ReferenceValues
from furiosa_ir.verification.trace import CompileTrace

LEAST_EQUAL = 0.999
"""Of a tensor's elements, how many must lie within what float32's rounding explains; of quantised
ones the others by one step at most."""

LEAST_EQUAL_OF_DECISIONS = 0.95
"""Of an output that may hang on what floats decide (a comparison, a sort, a rounding): there one
bit more or less makes another value."""

FLOAT_TOLERANCE = 1e-3
"""Of the greatest element: what float outputs may differ by (many layers in float32)."""

ROUNDINGS = frozenset({"graph.ceil", "graph.floor", "graph.mod", "graph.round", "graph.sign"})
"""Operations that make steps of floats which stay floats."""


class OnnxFileCheck:
    """onnxruntime on the original file, cut at its quantised tensors.

    Args:
        source: the file.
        trace: the compile, whose values have tensors' names.
        part: of the network, that was compiled.
    """

    def __init__(self, source: Path, trace: CompileTrace, part: Part = WHOLE) -> None:
        self.failure = ""
        self._trace = trace
        self._cut_up: _Runnable | None = None
        self._cuts: dict[str, int] = {}
        try:
            original = onnx.load(source, load_external_data=False)
            take_part(original, part)
            embed_external_data(original, source.parent)
            _check_rounding(trace)
            self._whole = _runnable(original)
            model = _expanded(source, part) if original.functions else original
            initial = {str(t.name) for t in model.graph.initializer}
            self._inputs = [str(i.name) for i in model.graph.input if i.name not in initial]
            self._outputs = [str(o.name) for o in model.graph.output]
            self._expanded = _runnable(model) if original.functions else None
            self._raised = _operator_sets(original) != _operator_sets(model)
            self._decides = _decides(trace)
            self._cut(model, trace)
            self._cut_up = _runnable(model)
        except ExecutionFailure as error:
            self.failure = error.message

    @property
    def numbers(self) -> frozenset[int]:
        """Numbers of the values that it compares."""
        return frozenset(self._cuts.values())

    def _cut(self, model: Any, trace: CompileTrace) -> None:
        graph = model.graph
        made = {str(o) for node in graph.node for o in node.output}
        for number, known in enumerate(trace.values):
            q = quantization_of(known.value)
            name = known.tensor
            if q is None or not isinstance(name, str) or name not in made:
                continue
            if name in self._cuts or DYNAMIC in shape_of(known.value):
                continue
            self._cuts[name] = number
            kind = helper.np_dtype_to_tensor_dtype(np.dtype(q.dtype))
            shape = shape_of(known.value)
            graph.input.append(helper.make_tensor_value_info(_exact(name), kind, shape))
            if name not in self._outputs:
                graph.output.append(helper.make_tensor_value_info(name, kind, shape))
        for node in graph.node:
            for index, operand in enumerate(node.input):
                if operand in self._cuts:
                    node.input[index] = _exact(operand)

    def compare(self, feeds: Mapping[str, Array], want: ReferenceValues) -> list[Array] | None:
        """Compares the reference's values of one input with onnxruntime's.

        Returns:
            onnxruntime's outputs of the whole file, end to end; None if it does not run it
            (`failure` says why).

        Raises:
            Disagreement: the imported network means something else than the file.
        """
        if self._cut_up is None:
            return None
        exact = {_exact(name): want.values[number] for name, number in self._cuts.items()}
        names = [*self._cuts, *self._outputs]
        arrays = dict(zip(self._inputs, feeds.values(), strict=True))
        try:
            results = _run(self._cut_up, names, {**arrays, **exact})
            whole = _run(self._whole, self._outputs, arrays)
            expanded = self._expanded and _run(self._expanded, self._outputs, arrays)
        except ExecutionFailure as error:
            self.failure = error.message
            return None
        where = "onnxruntime on the file"
        for name, got, mine in zip(self._outputs, whole, expanded or whole, strict=True):
            # Both in float32, operator by operator: nothing is left to rounding, but where
            # operators were raised to a newer set.
            if self._raised and not outputs_differ_grossly(mine, got, LEAST_EQUAL_OF_DECISIONS):
                continue
            check_equal(mine, got, Where(f"output {name}", "graph", f"{where}, local functions"))
        for (name, number), got in zip(self._cuts.items(), results, strict=False):
            layer = self._trace.values[number].layer or name
            low, high = want.margins.get(number, (want.values[number],) * 2)
            self._check(got, want.values[number], low, high, Where(layer, "graph", where))
        outputs = results[len(self._cuts) :]
        for name, got, exactly in zip(self._outputs, outputs, want.outputs, strict=True):
            if name in self._cuts:
                continue
            if outputs_differ_grossly(exactly, got, self._least(exactly)):
                check_equal(exactly, got, Where(f"output {name}", "graph", where))
        return whole

    def _least(self, output: Array) -> float:
        """The share of an output's elements that must agree."""
        if self._decides or (output.dtype.kind in "iu" and output.itemsize == 1):
            return LEAST_EQUAL_OF_DECISIONS  # bytes are quantised floats, as a rule
        return LEAST_EQUAL if output.dtype.kind == "f" else 1.0

    def _check(self, got: Array, want: Array, low: Array, high: Array, where: Where) -> None:
        if got.shape != want.shape or got.dtype != want.dtype:
            check_equal(want, got, where)
            return
        wide = got.astype(np.int32)
        beyond = np.maximum(low.astype(np.int32) - wide, wide - high.astype(np.int32))
        share = float((beyond <= 0).mean()) if got.size else 1.0
        fine = share >= LEAST_EQUAL and int(beyond.max(initial=0)) <= 1
        if not fine:
            check_equal(np.where(beyond > 0, want, got), got, where)


def outputs_differ_grossly(got: Array, want: Array, least: float) -> bool:
    """Whether outputs differ by more than float32 arithmetic explains.

    Args:
        got: one of them.
        want: the other.
        least: the share of elements that must agree.
    """
    if got.shape != want.shape:
        return True
    if got.dtype.kind not in "biuf" or not got.size:
        return False
    if got.dtype.kind != "f":
        return float(np.asarray(got == want).mean()) < least
    x, y = got.astype(np.float64), want.astype(np.float64)
    finite = np.abs(y[np.isfinite(y)])
    greatest = float(finite.max()) if finite.size else 0.0
    same = np.isclose(x, y, rtol=FLOAT_TOLERANCE, atol=FLOAT_TOLERANCE * greatest, equal_nan=True)
    return float(same.mean()) < least


def _expanded(source: Path, part: Part) -> Any:
    """The model as the importer has it, whose values have the names that the trace knows."""
    model = read_model(source, part).model
    embed_external_data(model, source.parent)
    return model


def _operator_sets(model: Any) -> set[int]:
    """The versions of ONNX's own operator set that a model or its functions ask for."""
    asked = (model, *model.functions)
    sets = [o for m in asked for o in m.opset_import if o.domain in ("", "ai.onnx")]
    return {int(o.version) for o in sets}


def _decides(trace: CompileTrace) -> bool:
    """Whether a network makes something else of floats than floats, or steps.

    Its quantised tensors aside, which it is cut at.
    """
    assert trace.source is not None
    for op in trace.source.walk():
        if not isinstance(op, GraphOp) or isinstance(op, QuantizeOp):
            continue
        if any(is_float(element_of(v)) for v in op.operands) and (
            op.name in ROUNDINGS or not all(is_float(element_of(v)) for v in op.results)
        ):
            return True
    return False


def _exact(name: str) -> str:
    return f"{name}/exact"


@dataclass(frozen=True)
class _Runnable:
    """A model that a process which may be lost is given.

    Attributes:
        content: its bytes.
        inputs, outputs: the names of those.
    """

    content: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def _runnable(model: Any) -> _Runnable:
    try:
        content = model.SerializeToString()
    except EncodeError:
        raise ExecutionFailure("it is larger than 2 GiB with its external data inside") from None
    constants = {str(t.name) for t in model.graph.initializer}
    inputs = tuple(str(i.name) for i in model.graph.input if i.name not in constants)
    return _Runnable(content, inputs, tuple(str(o.name) for o in model.graph.output))


def _run(model: _Runnable, outputs: list[str], feeds: dict[str, Array]) -> list[Array]:
    """The values of outputs.

    Raises:
        ExecutionFailure: onnxruntime refuses the model, or does not survive it.
    """
    inputs = [feeds[name] for name in model.inputs]
    try:
        results, _ = run_model(model.content, inputs, seconds=limit("HOST_SECONDS"), bounded=False)
    except (NativeRefusal, FuriosaError) as error:
        raise ExecutionFailure(_first_line(error)) from error
    except NativeCrash as crash:
        raise ExecutionFailure(f"its process {crash}", hint=crash.hint) from None
    by_name = dict(zip(model.outputs, results, strict=True))
    return [np.asarray(by_name[name]) for name in outputs]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _check_rounding(trace: CompileTrace) -> None:
    """Refuses a comparison in which onnxruntime rounds what the program computes exactly.

    Raises:
        ExecutionFailure: the network casts what it dequantises from float16 to float32.
    """
    for known in trace.values:
        owner = known.value.owner
        if not isinstance(owner, OpaqueOp) or owner.operator.data != "Cast":
            continue
        halves = isinstance(element_of(owner.operands[0]), Float16Type | BFloat16Type)
        if halves and isinstance(owner.operands[0].owner, DequantizeOp):
            raise ExecutionFailure("onnxruntime rounds dequantised values to 16 bits")
