"""onnxruntime with numpy arrays, of the element types too that its own conversion lacks.

onnxruntime takes and gives numpy's own dtypes and strings. Everything else (bfloat16, floats of 8
and 4 bits, integers of 4 and 2) passes as bytes: elements of less than a byte are packed there,
the first in the lowest bits; numpy holds each in a byte.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from typing import Any, cast

import ml_dtypes
import numpy as np

from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.element_types import BY_ONNX, by_dtype
from furiosa_ir.onnx_messages import check_complete
from furiosa_ir.unsigned_weights import unsigned_weights

_TYPES = {code: element for code, element in BY_ONNX.items() if not element.in_numpy}
"""`TensorProto.DataType` -> the element type, of those that onnxruntime's arrays do not have."""


_PLAIN = re.compile(
    r"tensor\((float|double|float16|u?int(8|16|32|64)|bool|string)\)|(seq|map|optional)\(.*"
)


def onnx_session(model: bytes) -> Any:
    """An `onnxruntime.InferenceSession` of one thread, without optimisations, and silent.

    Its products of 8-bit integers are exact on every processor (`unsigned_weights`).

    Raises:
        Exception: onnxruntime refuses the model; its exceptions share no other base.
        FormatFailure: the model is not complete in itself.
    """
    check_complete(model)
    import onnxruntime  # noqa: PLC0415  # takes 0.1 s; most networks need none

    options = cast("Any", onnxruntime.SessionOptions())
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.add_session_config_entry("session.load_model_format", "ONNX")  # else it guesses
    exact = unsigned_weights(model)
    return onnxruntime.InferenceSession(exact, options, providers=["CPUExecutionProvider"])


def run_session(session: Any, inputs: Sequence[Array]) -> list[Array]:
    """Runs an `onnxruntime.InferenceSession`.

    Args:
        session: the session; its inputs and outputs are tensors.
        inputs: in the order of `session.get_inputs()`.

    Returns:
        The outputs, in the order of `session.get_outputs()`; those of types that numpy lacks with
        dtypes of `ml_dtypes`.

    Raises:
        Exception: whatever onnxruntime raises.
    """
    names = [i.name for i in session.get_inputs()]
    values = [_to_ort(array) for array in inputs]
    if all(_PLAIN.fullmatch(o.type) for o in session.get_outputs()):
        return session.run(None, dict(zip(names, values, strict=True)))
    # `run` would convert the outputs to numpy's dtypes; a binding takes no strings, though.
    binding = session.io_binding()
    for name, value in zip(names, values, strict=True):
        if isinstance(value, np.ndarray):
            binding.bind_cpu_input(name, value)
        else:
            binding.bind_ortvalue_input(name, value)
    for output in session.get_outputs():
        binding.bind_output(output.name)
    session.run_with_iobinding(binding)
    return [_from_ort(value) for value in binding.get_outputs()]


def _to_ort(array: Array) -> Any:
    """An array that onnxruntime takes as it is, or the `OrtValue` of a copy."""
    element = by_dtype().get(array.dtype)
    if element is None or element.onnx not in _TYPES:
        return array
    import onnxruntime  # noqa: PLC0415

    data = _packed(np.ascontiguousarray(array).reshape(-1).view(np.uint8), element.bits)
    shape = list(array.shape)
    value: Any = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, element.onnx)
    if data.size:
        ctypes.memmove(value.data_ptr(), data.ctypes.data, data.size)
    return value


def _from_ort(value: Any) -> Array:
    """The elements of an `OrtValue` that holds a tensor, as an array of its own."""
    element = _TYPES.get(value.element_type())
    if element is None:
        return value.numpy()
    dtype = element.dtype
    shape = tuple(int(n) for n in value.shape())
    count = int(np.prod(shape, dtype=np.int64))
    size = value.tensor_size_in_bytes()
    data = np.frombuffer(ctypes.string_at(value.data_ptr(), size) if size else b"", np.uint8)
    return _unpacked(data, element.bits, count * dtype.itemsize).view(dtype).reshape(shape)


def _packed(elements: np.ndarray[Any, np.dtype[np.uint8]], bits: int) -> Array:
    if bits >= 8:
        return elements
    each = 8 // bits
    padded = np.zeros(-(-elements.size // each) * each, np.uint8)
    padded[: elements.size] = elements & (2**bits - 1)
    shifts = np.arange(each, dtype=np.uint8) * bits
    return np.bitwise_or.reduce(padded.reshape(-1, each) << shifts, axis=1).astype(np.uint8)


def _unpacked(data: Array, bits: int, size: int) -> Array:
    if bits >= 8:
        return data[:size].copy()
    shifts = np.arange(8 // bits, dtype=np.uint8) * bits
    return ((data[:, None] >> shifts) & (2**bits - 1)).astype(np.uint8).reshape(-1)[:size].copy()


_DECLARED: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(bfloat16)": ml_dtypes.bfloat16,
}


def as_declared(array: Array, declared: str) -> Array:
    """Reals as the float type of an input (the interpreter holds them as doubles); others as is."""
    dtype = _DECLARED.get(declared)
    return array if dtype is None else array.astype(dtype, copy=False)
