"""The table of element types says what numpy, ONNX, TFLite, MLIR and safetensors say."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
import tflite
from hypothesis import given
from hypothesis import strategies as st
from xdsl.context import Context
from xdsl.dialects.builtin import Builtin, IntegerType, Signedness, i64
from xdsl.parser import Parser

from furiosa_ir.dialects.ftensor import i48
from furiosa_ir.dialects.quant import STORAGE_OF_DTYPE
from furiosa_ir.ir.constant_file import read_constants, write_constants
from furiosa_ir.ir.constants import Constant
from furiosa_ir.ir.element_types import (
    builtin_type,
    dtype_of_element,
    element_of_dtype,
    element_type_of,
)
from furiosa_ir.numerics.element_types import (
    BY_NAME,
    BY_ONNX,
    BY_TFLITE,
    COMMON,
    ELEMENT_TYPES,
    ElementType,
    by_dtype,
)
from furiosa_ir.runtime.tensor import DataType

KINDS = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}
each = pytest.mark.parametrize("element", ELEMENT_TYPES, ids=lambda e: e.name)


@each
def test_numpy(element: ElementType):
    assert element.dtype == np.dtype(getattr(ml_dtypes, element.name, element.name))
    assert element.dtype.name == element.name
    assert element.dtype.itemsize == element.size
    assert element.in_numpy == (not hasattr(ml_dtypes, element.name))
    assert by_dtype()[element.dtype] is BY_NAME[element.name] is element
    if element.in_numpy:
        assert KINDS[element.dtype.kind] == element.kind
    elif element.kind == "float":
        assert ml_dtypes.finfo(element.dtype).bits == element.bits
    else:
        info = ml_dtypes.iinfo(element.dtype)
        assert (info.bits, info.min < 0) == (element.bits, element.kind == "int")


@each
def test_onnx(element: ElementType):
    assert BY_ONNX[element.onnx] is element
    if element.onnx in onnx.TensorProto.DataType.values():
        assert onnx.helper.tensor_dtype_to_np_dtype(element.onnx) == element.dtype


def test_tflite():
    """INT2 and UINT4 are newer than the package `tflite`."""
    theirs = {v: k.lower() for k, v in vars(tflite.TensorType).items() if k.isupper()}
    not_numbers = {"string", "resource", "variant"}
    assert {n for n, name in theirs.items() if name not in not_numbers} <= BY_TFLITE.keys()
    assert all(theirs.get(n, e.name) == e.name for n, e in BY_TFLITE.items())


@each
def test_mlir(element: ElementType):
    context = Context()
    context.load_dialect(Builtin)
    attribute = builtin_type(element)
    assert str(attribute) == element.mlir
    assert Parser(context, element.mlir).parse_type() == attribute
    assert element_type_of(attribute) is element
    assert element_of_dtype(element.dtype) == attribute
    assert dtype_of_element(attribute) == element.dtype


def test_what_is_no_plain_element():
    assert element_type_of(i48) is None
    assert dtype_of_element(IntegerType(128)) is None
    assert element_type_of(IntegerType(64, Signedness.SIGNED)) is element_type_of(i64)
    with pytest.raises(KeyError):
        element_of_dtype(np.dtype(object))


def test_sessions_name_each():
    assert {d.value for d in DataType} == {*BY_NAME, "string"}
    assert all(d.numpy == BY_NAME[d.value].dtype for d in DataType if d.value in BY_NAME)


def test_storage_of_quantised_types():
    assert sorted(STORAGE_OF_DTYPE.values()) == ["i16", "i32", "i8", "u16", "u8"]
    for dtype, storage in STORAGE_OF_DTYPE.items():
        assert storage.replace("i", "int").replace("u", "uint") == dtype.name


def test_safetensors_has_the_common_ones():
    assert {e.safetensors for e in ELEMENT_TYPES} == {e.safetensors for e in COMMON} | {None}


@given(data=st.data(), element=st.sampled_from(ELEMENT_TYPES))
def test_constants_of_each_are_kept_in_files(data, element: ElementType, tmp_path_factory):
    """int2, uint2 and float8_e8m0fnu were written and not read."""
    shape = data.draw(st.lists(st.integers(0, 3), max_size=3))
    size = int(np.prod(shape, dtype=np.int64)) * element.size
    raw = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), np.uint8).copy()
    if element.is_packed or element.kind == "bool":
        raw &= 1
    constant = Constant(raw.view(element.dtype).reshape(shape))
    path = tmp_path_factory.mktemp("constants") / "constants.safetensors"
    write_constants([constant], path)
    read = read_constants(path).get(constant.digest)
    assert read is not None
    assert (read.dtype, read.shape) == (element.dtype, tuple(shape))
    assert read.array.tobytes() == constant.array.tobytes()
