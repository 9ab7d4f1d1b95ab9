"""TFLite sub-models of custom operators, for their Python kernels."""

from __future__ import annotations

import struct
from typing import Any

from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.host_kernels import HostOperator, HostTensor
from furiosa_ir.host_kernels.sub_model import Step, SubModel
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.element_types import BY_TFLITE
from furiosa_ir.tflite_schema import tflite

_ELEMENTS = {number: e for number, e in BY_TFLITE.items() if not e.is_packed}

_MOST_OPTIONS = 256


def read_steps(data: bytes) -> SubModel:
    """A sub-model's operators.

    Raises:
        FuriosaError: it holds others than custom ones.
        Exception: it is no sound TFLite model.
    """
    model: Any = tflite.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    constants: dict[int, Array] = {}
    tensors: list[HostTensor] = []
    for index in range(_count(graph.TensorsLength(), data)):
        reader = graph.Tensors(index)
        tensors.append(_tensor(reader))
        elements = model.Buffers(reader.Buffer()).DataAsNumpy()
        if not isinstance(elements, int) and elements.size:
            shape = tensors[-1].shape or ()
            constants[index] = elements.view(tensors[-1].dtype).reshape(shape)
    steps: list[Step] = []
    for index in range(_count(graph.OperatorsLength(), data)):
        reader = graph.Operators(index)
        code = model.OperatorCodes(reader.OpcodeIndex())
        if code.BuiltinCode() != tflite.BuiltinOperator.CUSTOM:
            raise ExecutionFailure("an operator of TFLite's own stands among custom ones")
        inputs = tuple(None if i < 0 else i for i in _vector(reader.InputsAsNumpy()))
        outputs = tuple(_vector(reader.OutputsAsNumpy()))
        options = reader.CustomOptionsAsNumpy()
        content = b"" if isinstance(options, int) else options.tobytes()
        operator = HostOperator(
            code.CustomCode().decode(errors="replace"),
            tensors[outputs[0]].name if outputs else "",
            tuple(None if i is None else tensors[i] for i in inputs),
            tuple(tensors[i] for i in outputs),
            options_of(content),
            content,
        )
        steps.append(Step(operator, inputs, outputs))
    return SubModel(
        tuple(_vector(graph.InputsAsNumpy())),
        tuple(_vector(graph.OutputsAsNumpy())),
        constants,
        tuple(steps),
    )


def _count(count: int, data: bytes) -> int:
    if 4 * count > len(data):
        raise ValueError(count)
    return count


def _vector(array: Any) -> list[int]:
    return [] if isinstance(array, int) else [int(n) for n in array]


def _tensor(reader: Any) -> HostTensor:
    shape = tuple(_vector(reader.ShapeSignatureAsNumpy()) or _vector(reader.ShapeAsNumpy()))
    scale, zero_point = 0.0, 0
    quantization = reader.Quantization()
    if quantization is not None and quantization.ScaleLength() == 1:
        scale = float(quantization.Scale(0))
        zero_point = int(quantization.ZeroPoint(0)) if quantization.ZeroPointLength() else 0
    name = (reader.Name() or b"").decode(errors="replace")
    return HostTensor(name, shape, _ELEMENTS[reader.Type()].dtype, scale, zero_point)


def options_of(content: bytes) -> dict[str, Any]:
    """The numbers, texts and vectors of numbers of a custom operator's options, if it has any.

    Others than a flexbuffer map are the kernel's own to read (`HostOperator.custom_options`).
    """
    from flatbuffers import flexbuffers  # noqa: PLC0415  # few networks have custom operators

    try:
        given = flexbuffers.GetRoot(bytearray(content)).AsMap
        keys = [key.AsKey for key in given.Keys][:_MOST_OPTIONS]
        values = {key: _value(given[key], len(content)) for key in keys}
    except (IndexError, KeyError, TypeError, ValueError, RecursionError, struct.error):
        return {}
    return {key: value for key, value in values.items() if value is not None}


def _value(reference: Any, most: int) -> Any:
    """A number, a text, or a list of at most so many of them; None of anything else."""
    if reference.IsString:
        return reference.AsString
    if reference.IsNumeric or reference.IsBool:
        return reference.Value
    if reference.IsTypedVector:
        vector = reference.AsTypedVector
    elif reference.IsVector:
        vector = reference.AsVector
    else:
        return None
    if len(vector) > most:
        return None
    plain = [e for e in vector if e.IsNumeric or e.IsBool or e.IsString]
    return [_value(e, 0) for e in plain] if len(plain) == len(vector) else None
