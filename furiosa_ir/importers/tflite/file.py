"""A TFLite file as checked records: nothing behind this module follows an offset of the file.

The file is untrusted. The flatbuffers reader raises on most offsets that lead outside, but it cuts
strings silently and would loop over vectors of any claimed length, so lengths, tensor and buffer
indices, shapes and the extents of the data are checked here, before anything uses them.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.utils.exceptions import VerifyException

from furiosa_ir.errors import ImportFailure
from furiosa_ir.formats import TFLITE_IDENTIFIER
from furiosa_ir.importers.tflite.operator_record import (
    OperatorCode,
    OperatorRecord,
    read_code,
    read_operator,
)
from furiosa_ir.importers.tflite.part import given_shapes, select, without_double
from furiosa_ir.importers.tflite.tensor_names import boundary_names
from furiosa_ir.importers.tflite.vectors import LEAST_OPERATOR, Vectors, checked_length, enum_names
from furiosa_ir.input_files import open_input
from furiosa_ir.ir.shaped_operation import Shape
from furiosa_ir.ir.sizes import check_shape
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.element_types import BY_TFLITE
from furiosa_ir.tflite_schema import tflite

"""Bytes 4 to 8 of every TFLite file."""

CORRUPTION = (
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    VerifyException,
)
"""What the flatbuffers reader, numpy and the operations raise on nonsense."""

_NARROW = {number: element.bits for number, element in BY_TFLITE.items() if element.is_packed}
"""Bits of types whose elements share bytes."""


_TYPE_NAMES = enum_names(tflite.TensorType)


@dataclass(frozen=True, slots=True)
class QuantizationRecord:
    """Scales and zero points, one of each or one for each index of `axis`."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int


@dataclass(frozen=True, slots=True, eq=False)
class TensorRecord:
    """A tensor of the subgraph.

    Attributes:
        index: its place in the subgraph.
        name: as in the file; empty if it has none.
        dtype: of its elements; int4 and int2 are int8 here.
        bits: of an element in the file.
        is_resource: its elements are handles of variables.
        shape: extents; a dimension of unknown extent is 1.
        signature: the same with -1 for unknown extents.
        quantization: None for plain numbers.
        data: its elements (a view of the file where it holds them so), or None.
        stored: the bytes of its elements as the file holds them, or None.
        is_variable: it keeps its elements from one run to the next.
        reader: the flatbuffers reader.
    """

    index: int
    name: str
    dtype: np.dtype[Any]
    bits: int
    is_resource: bool
    shape: Shape
    signature: Shape
    quantization: QuantizationRecord | None
    data: Array | None
    stored: Array | None
    is_variable: bool
    reader: Any


@dataclass(frozen=True, slots=True, eq=False)
class SubgraphRecord:
    """A subgraph of a TFLite file.

    Attributes:
        index: its place in the file.
        tensors: all of them.
        operators: in the order in which they run.
        inputs: tensor indices.
        outputs: tensor indices.
        reader: the flatbuffers reader.
    """

    index: int
    tensors: list[TensorRecord]
    operators: list[OperatorRecord]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    reader: Any


class FileRecord:
    """A TFLite file. Its subgraphs are read when somebody asks for them: not all need be used.

    Args:
        model: the flatbuffers reader.
        data: the file.
        part: what of subgraph 0 is looked at.

    Attributes:
        codes: what operators can be, used or not.
        repaired: names of the tensors whose quantised dimension was impossible.

    Raises:
        ImportFailure: a contradiction that has a name.
        CORRUPTION: the reader ran into a corrupt offset.
    """

    def __init__(self, model: Any, data: bytes | mmap.mmap, part: Part = WHOLE) -> None:
        self.data = data
        self._part = part
        self.repaired: list[str] = []
        self._model = model
        self._vectors = Vectors(len(data))
        self._buffers = read_buffers(model, data)
        count = checked_length(model.OperatorCodesLength(), len(data), "operator codes")
        self.codes = [read_code(model.OperatorCodes(i), self._vectors) for i in range(count)]
        self._subgraphs: dict[int, SubgraphRecord] = {}

    @property
    def resolved_codes(self) -> list[OperatorCode]:
        """The codes that LiteRT wants kernels for: all; of a part, its own and other subgraphs'."""
        if not self._part.is_cut:
            return self.codes
        found = [op.code for op in self.main.operators]
        size = len(self.data)
        for index in range(1, checked_length(self._model.SubgraphsLength(), size, "subgraphs")):
            graph = self._model.Subgraphs(index)
            count = checked_length(graph.OperatorsLength(), size, "operators")
            found += [self.codes[graph.Operators(i).OpcodeIndex()] for i in range(count)]
        return found

    @property
    def main(self) -> SubgraphRecord:
        """The network: subgraph 0."""
        return self.subgraph(0)

    def subgraph(self, index: int) -> SubgraphRecord:
        """A checked subgraph.

        Raises:
            ImportFailure: it is not there, or a contradiction that has a name.
            CORRUPTION: the reader ran into a corrupt offset.
        """
        if index not in self._subgraphs:
            count = checked_length(self._model.SubgraphsLength(), len(self.data), "subgraphs")
            if not 0 <= index < count:
                raise ImportFailure(f"corrupt: subgraph {index} does not exist")
            self._subgraphs[index] = self._read(self._model.Subgraphs(index), index)
        return self._subgraphs[index]

    def text(self, raw: bytes | None) -> str:
        """A string of the file; empty if it is left out.

        Raises:
            ImportFailure: what is read of the file has become too much.
        """
        return self._vectors.text(raw)

    def _read(self, reader: Any, index: int) -> SubgraphRecord:
        size, vectors = len(self.data), self._vectors
        count = checked_length(reader.TensorsLength(), size, "tensors")
        operator_count = checked_length(reader.OperatorsLength(), size, "operators", LEAST_OPERATOR)
        part = WHOLE if index else self._part
        chosen = select(self._model, reader, vectors, part) if part.is_cut else None
        tensors = [
            read_tensor(reader.Tensors(i), i, self._buffers, vectors, self.repaired)
            if chosen is None or i in chosen.tensors
            else _left_out(reader.Tensors(i), i)
            for i in range(count)
        ]
        operators = [
            read_operator(reader.Operators(i), self.codes, count, self.data, vectors)
            for i in (range(operator_count) if chosen is None else chosen.operators)
        ]
        what = f"subgraph {index}" if index else "the network"
        inputs = vectors.indices(reader.InputsAsNumpy(), count, f"{what}'s inputs")
        outputs = vectors.indices(reader.OutputsAsNumpy(), count, f"{what}'s outputs")
        names = [tensor.name for tensor in tensors]
        for i in inputs:  # of one that the part leaves out, too
            names[i] = vectors.text(reader.Tensors(i).Name())
        for i, name in boundary_names(names, inputs, outputs).items():
            names[i] = name
            tensors[i] = replace(tensors[i], name=name)
        file_inputs = [names[i] for i in inputs]
        if chosen is not None:
            inputs, outputs = chosen.inputs, chosen.outputs
            operators = without_double(operators, inputs, tensors)
        rows = [(tensors[i].name, tensors[i].shape, tensors[i].signature) for i in inputs]
        _resize(tensors, inputs, given_shapes(part, rows, file_inputs))
        return SubgraphRecord(index, tensors, operators, inputs, outputs, reader)


def open_model(source: bytes | Path) -> bytes | mmap.mmap:
    """The file's bytes, mapped.

    Raises:
        ImportFailure: it cannot be read, or it is no TFLite file.
    """
    data = _map(source) if isinstance(source, Path) else bytes(source)
    if not data:
        raise ImportFailure("the file is empty")
    if len(data) < 8 or data[4:8] != TFLITE_IDENTIFIER:
        raise ImportFailure("not a TFLite model (bytes 4 to 8 are not 'TFL3')")
    return data


def _map(path: Path) -> bytes | mmap.mmap:
    try:
        with open_input(path) as file:
            if path.stat().st_size == 0:
                return b""
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise ImportFailure("the file does not exist") from None
    except IsADirectoryError:
        raise ImportFailure("it is a directory, not a model file") from None
    except OSError as error:
        raise ImportFailure(f"cannot be read: {error.strerror or error}") from None


def read_file(data: bytes | mmap.mmap, part: Part = WHOLE) -> FileRecord:
    """Reads a file and checks its network, subgraph 0, or a part of it.

    Args:
        data: the file's content.
        part: what is left out of it is not looked at.

    Raises:
        ImportFailure: a contradiction that has a name, or there is no such part.
        CORRUPTION: the reader ran into a corrupt offset.
    """
    model = tflite.Model.GetRootAs(data, 0)
    if model.Version() != 3:
        raise ImportFailure(f"TFLite schema version {model.Version()} is not 3")
    if model.SubgraphsLength() == 0:
        raise ImportFailure("the model has no subgraph")
    file = FileRecord(model, data, part)
    if not file.main.outputs:
        raise ImportFailure("the network has no outputs")
    return file


def _resize(
    tensors: list[TensorRecord], inputs: Sequence[int], shapes: Mapping[str, Shape]
) -> None:
    """Gives inputs other shapes, as LiteRT's `resize_tensor_input` does.

    What operators make of them counts anew: whatever the file says of their results is open.
    """
    changed = False
    for index in inputs:
        tensor = tensors[index]
        shape = shapes.get(tensor.name)
        if shape is not None:
            changed = changed or shape != tensor.shape
            tensors[index] = replace(tensor, shape=shape, signature=shape)
    for index, tensor in enumerate(tensors) if changed else ():
        if tensor.data is None and index not in inputs:
            tensors[index] = replace(tensor, signature=(-1,) * len(tensor.shape))


def _left_out(reader: Any, index: int) -> TensorRecord:
    """A tensor that no operator of the part has."""
    dtype = np.dtype(np.float32)
    return TensorRecord(index, "", dtype, 32, False, (), (), None, None, None, False, reader)


def read_buffers(model: Any, data: bytes | mmap.mmap) -> list[Array | None]:
    """The bytes of each buffer, inside the flatbuffer or (large models) behind it.

    Raises:
        ImportFailure: one ends behind the file.
    """
    buffers: list[Array | None] = []
    for i in range(checked_length(model.BuffersLength(), len(data), "buffers")):
        buffer = model.Buffers(i)
        offset, size = buffer.Offset(), buffer.Size()
        if offset > 1:
            if offset + size > len(data):
                raise ImportFailure(f"truncated: buffer {i} ends behind the file")
            buffers.append(np.frombuffer(data, np.uint8, size, offset))
            continue
        inside = buffer.DataAsNumpy()
        buffers.append(None if isinstance(inside, int) else inside)
    return buffers


def read_tensor(
    reader: Any,
    index: int,
    buffers: Sequence[Array | None],
    vectors: Vectors,
    repaired: list[str],
) -> TensorRecord:
    """A tensor of the subgraph.

    Args:
        reader: the flatbuffers reader.
        index: its number.
        buffers: the model's.
        vectors: copies vectors of the file.
        repaired: gets its name if its quantised dimension is impossible, and mended.

    Raises:
        ImportFailure: shape, type, quantisation and elements contradict each other, or are not
            supported.
    """
    raw_name = reader.Name()
    if raw_name is not None and len(raw_name) > vectors.size:
        raise ImportFailure(f"corrupt: the name of tensor {index} ends behind the file")
    name = vectors.text(raw_name)
    layer = name or f"tensor {index}"
    kind = reader.Type()
    dtype = _dtype_of(kind)
    if dtype is None:
        type_name = _TYPE_NAMES.get(kind, kind)
        raise ImportFailure(f"tensors of type {type_name} are not supported", layer=layer)
    shape = tuple(vectors.numbers(reader.ShapeAsNumpy()))
    signature = tuple(vectors.numbers(reader.ShapeSignatureAsNumpy())) or shape
    if len(signature) != len(shape) or any(n < 0 for n in shape):
        raise ImportFailure(
            f"contradictory shapes {list(shape)} and {list(signature)}", layer=layer
        )
    check_shape(shape, f"the tensor '{layer}'")
    quantization = None
    if dtype.kind in "iu" and dtype.itemsize <= 4:
        quantization = _quantization(reader.Quantization(), dtype, shape, layer, vectors, repaired)
    buffer: int = reader.Buffer()
    if buffer >= len(buffers):
        raise ImportFailure(f"corrupt: buffer {buffer} does not exist", layer=layer)
    contents: Array | None = buffers[buffer]
    data = None
    if contents is not None and contents.size and not reader.IsVariable():
        data = _elements(reader, contents, dtype, shape, layer, vectors)
    return TensorRecord(
        index,
        name,
        dtype,
        _NARROW.get(kind, 8 * dtype.itemsize),
        kind == tflite.TensorType.RESOURCE,
        shape,
        signature,
        quantization,
        data,
        contents,
        bool(reader.IsVariable()),
        reader,
    )


def _dtype_of(kind: int) -> np.dtype[Any] | None:
    if kind == tflite.TensorType.RESOURCE:
        # A handle; only operators that run in one sub-model on the host exchange them.
        return np.dtype(np.intp)
    element = BY_TFLITE.get(kind)
    # Narrow weights are unpacked; every kernel that takes them computes with int8.
    return np.dtype(np.int8) if kind in _NARROW else element and element.dtype


def _elements(
    reader: Any,
    contents: Array,
    dtype: np.dtype[Any],
    shape: Shape,
    layer: str,
    vectors: Vectors,
) -> Array:
    sparsity, bits = reader.Sparsity(), _NARROW.get(reader.Type())
    if sparsity is not None and bits is None and not contents.size % dtype.itemsize:
        from furiosa_ir.importers.tflite.sparsity import dense_elements  # noqa: PLC0415  # few are

        try:
            return dense_elements(sparsity, contents.view(dtype), shape, vectors)
        except ImportFailure as error:
            raise error.at(layer=layer) from None
    count = prod(shape)
    expected = count * dtype.itemsize if bits is None else -(-count * bits // 8)
    if contents.size != expected:
        raise ImportFailure(
            f"{contents.size} bytes do not fill a {dtype.name} tensor of shape {list(shape)}",
            layer=layer,
        )
    if bits is not None:
        return vectors.unpacked(contents, count, bits).reshape(shape)
    return contents.view(dtype).reshape(shape)


def _quantization(
    reader: Any,
    dtype: np.dtype[Any],
    shape: Shape,
    layer: str,
    vectors: Vectors,
    repaired: list[str],
) -> QuantizationRecord | None:
    if reader is None:
        return None
    scales = tuple(vectors.numbers(reader.ScaleAsNumpy()))
    if not scales:
        return None
    zero_points = tuple(vectors.numbers(reader.ZeroPointAsNumpy())) or (0,) * len(scales)
    if len(zero_points) == 1:
        zero_points *= len(scales)
    if len(zero_points) != len(scales):
        raise ImportFailure(f"{len(scales)} scales and {len(zero_points)} zero points", layer=layer)
    if not all(map(isfinite, scales)) or min(scales) < 0:
        raise ImportFailure("a scale is negative or not a number", layer=layer)
    if scales == (0.0,) and dtype.itemsize > 2:
        return None  # how older files say that there is none
    limits = np.iinfo(dtype)
    if min(zero_points) < limits.min or max(zero_points) > limits.max:
        raise ImportFailure(f"a zero point is no {dtype.name}", layer=layer)
    axis = reader.QuantizedDimension()
    if len(scales) > 1:
        if len(shape) == 1 and axis != 0:
            # A vector has one dimension, so it is clear what is meant.
            axis = 0
            repaired.append(layer)
        if not 0 <= axis < len(shape) or shape[axis] != len(scales):
            raise ImportFailure(
                f"{len(scales)} scales do not fit dimension {axis} of shape {list(shape)}",
                layer=layer,
            )
    return QuantizationRecord(scales, zero_points, axis)
