"""Text parses back to the same IR: types, constants, origins, locations, whatever their content."""

from __future__ import annotations

import time
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import FileLineColLoc, IntAttr, ModuleOp, StringAttr, TensorType, f32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region

from furiosa_ir.dialects.graph.base import OriginAttr
from furiosa_ir.dialects.graph.elementwise import ClipOp, ReluOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import Quantization, UniformType
from furiosa_ir.errors import FuriosaError, ImportFailure
from furiosa_ir.importers import load
from furiosa_ir.ir.constant_file import read_constants, write_constants
from furiosa_ir.ir.constants import BlobAttr, Constant, ConstantTable
from furiosa_ir.ir.equivalence import difference
from furiosa_ir.ir.location import fuse, name_loc
from furiosa_ir.ir.positions import Positions
from furiosa_ir.ir.text import (
    large_constants,
    parse_module,
    print_module,
    read_module,
    write_module,
)
from furiosa_ir.ir.text_format import constants_path, is_ir_text
from furiosa_ir.ir.verifier import verify_module

DTYPES = [
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64", "complex64"),
    *(ml_dtypes.bfloat16, ml_dtypes.int4, ml_dtypes.float8_e4m3fn),
]

scales = st.floats(min_value=float(np.float32(1e-38)), max_value=float(np.float32(1e30)), width=32)


@st.composite
def quantizations(draw: st.DrawFn) -> Quantization:
    storage = draw(st.sampled_from(["i8", "u8", "i16", "u16", "i32"]))
    axis = draw(st.none() | st.integers(0, 5))
    n = 1 if axis is None else draw(st.integers(1, 5))
    info = np.iinfo({"i": "int", "u": "uint"}[storage[0]] + storage[1:])
    held = st.integers(int(info.min), int(info.max))
    zero_points = draw(st.lists(held, min_size=n, max_size=n))
    return Quantization(
        storage,
        tuple(draw(st.lists(scales, min_size=n, max_size=n))),
        tuple(zero_points),
        axis,
    )


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=3)))
    size = int(np.prod(shape, dtype=np.int64))
    raw = draw(st.binary(min_size=size * dtype.itemsize, max_size=size * dtype.itemsize))
    array = np.frombuffer(raw, np.uint8)
    if dtype == np.bool_ or dtype.name == "int4":
        array = array & 1
    return array.view(dtype).reshape(shape)


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
locations = st.one_of(
    names.map(name_loc),
    st.lists(names, max_size=4).map(lambda parts: fuse(*map(name_loc, parts))),
    st.builds(
        lambda f, n: FileLineColLoc(StringAttr(f), IntAttr(n), IntAttr(1)), names, st.integers(0, 9)
    ),
)


def module_of(element: Attribute, array: np.ndarray, **attributes: Attribute) -> ModuleOp:
    op = ConstantOp.make([], [element], value=BlobAttr.of(array))
    op.attributes.update(attributes)
    function = FuncOp("main", ((), (op.result.type,)), Region(Block([op, ReturnOp(op.result)])))
    return ModuleOp([function])


def assert_round_trip(module: ModuleOp, table: ConstantTable | None = None) -> ModuleOp:
    if table is None:
        table = ConstantTable()
        for constant in large_constants(module):
            table.add(constant)
    again = parse_module(print_module(module), table)
    assert difference(module, again) is None
    assert print_module(again) == print_module(module)
    return again


@given(quantizations())
def test_quantised_types_round_trip(quantization: Quantization):
    shape = [1] * 6
    if quantization.axis is not None:
        shape[quantization.axis] = len(quantization.scales)
    array = np.zeros(shape, quantization.dtype)
    again = assert_round_trip(module_of(UniformType(quantization), array))
    types = [r.type for op in again.walk() for r in op.results]
    assert types == [TensorType(UniformType(quantization), shape)]


@pytest.mark.parametrize("scale", [1e-05, 1e16, 1e22, 5e-324, 0.1, 3.0, 1.5e-07])
def test_scales_that_python_writes_with_an_exponent(scale: float):
    element = UniformType(Quantization("i8", (scale,), (0,)))
    again = assert_round_trip(module_of(element, np.array([[1e-05, 1e20, -3e-9, 7e30]])))
    assert [r.type for op in again.walk() for r in op.results] == [TensorType(element, [1, 4])]


def same_bytes(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def check_constant(array: np.ndarray) -> None:
    module = module_of(f32, array)
    table = ConstantTable()
    for constant in large_constants(module):
        table.add(constant)
    again = parse_module(print_module(module), table)
    value = next(op.value.array for op in again.walk() if isinstance(op, ConstantOp))
    assert same_bytes(value, array)


@given(arrays())
def test_constants_round_trip(array: np.ndarray):
    check_constant(array)


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7FC00001, 0xFFC00000, 0x7F800001])
@pytest.mark.parametrize("shape", [(), (3,), (3, 40)])
def test_nans_keep_their_bits(bits: int, shape: tuple[int, ...]):
    check_constant(np.broadcast_to(np.array(bits, np.uint32).view(np.float32), shape))


@given(st.lists(arrays(), max_size=4))
def test_constant_files_round_trip(
    tmp_path_factory: pytest.TempPathFactory, items: list[np.ndarray]
):
    path = tmp_path_factory.mktemp("c") / "x.safetensors"
    constants = [Constant(a) for a in items]
    write_constants(constants, path)
    table = read_constants(path)
    for constant in constants:
        found = table.get(constant.digest)
        assert found is not None
        assert same_bytes(found.array, constant.array)
        assert Constant(found.array).digest == constant.digest
    first = path.read_bytes()
    write_constants(reversed(constants), path)
    assert path.read_bytes() == first


def test_constant_files_are_safetensors(tmp_path: Path):
    from safetensors.numpy import load_file

    array = np.arange(100, dtype=np.float32).reshape(4, 25)
    write_constants([Constant(array)], tmp_path / "x.safetensors")
    (loaded,) = load_file(tmp_path / "x.safetensors").values()
    np.testing.assert_array_equal(loaded, array)


@given(st.binary(max_size=40), st.sampled_from(["onnx", "tflite"]))
def test_origins_round_trip(data: bytes, framework: str):
    blob = BlobAttr.of(np.frombuffer(data, np.uint8))
    module = module_of(f32, np.zeros(1))
    for op in module.walk():
        if isinstance(op, ConstantOp):
            op.origin = OriginAttr((framework, blob))
    assert_round_trip(module)


@given(locations, names)
def test_locations_and_strings_round_trip(location, text: str):
    module = module_of(f32, np.zeros(1), text=StringAttr(text))
    for op in module.walk():
        op.location = location
    assert_round_trip(module)


@given(st.floats(), st.floats(allow_nan=False))
def test_float_properties_round_trip(a: float, b: float):
    block = Block(arg_types=[TensorType(f32, [2])])
    op = ClipOp.make([block.args[0]], [f32], minimum=b, maximum=a)
    block.add_ops([op, ReturnOp(op.result)])
    types = ([TensorType(f32, [2])], [TensorType(f32, [2])])
    module = ModuleOp([FuncOp("main", types, Region(block))])
    again = parse_module(print_module(module))
    (clip,) = [o for o in again.walk() if isinstance(o, ClipOp)]
    assert clip.minimum is not None
    assert clip.maximum is not None
    np.testing.assert_array_equal(
        [clip.minimum.value.data, clip.maximum.value.data], [b, a], strict=True
    )


def test_files_keep_large_constants_beside_the_text(tmp_path: Path):
    array = np.arange(5000, dtype=np.float32)
    module = module_of(f32, array)
    write_module(module, tmp_path / "a.mlir")
    assert (tmp_path / "a.mlir").stat().st_size < 500
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mlir", "a.safetensors"]
    again = read_module(tmp_path / "a.mlir")
    verify_module(again)
    assert difference(module, again) is None
    value = next(op.value.array for op in again.walk() if isinstance(op, ConstantOp))
    np.testing.assert_array_equal(value, array)
    assert not value.flags.writeable


def test_paths_of_constants():
    assert constants_path(Path("d/a.mlir")) == Path("d/a.safetensors")
    assert constants_path(Path("output.graph")) == Path("output.graph.safetensors")


def test_an_unknown_constant_is_named(tmp_path: Path):
    write_module(module_of(f32, np.arange(99)), tmp_path / "a.mlir")
    (tmp_path / "a.safetensors").unlink()
    with pytest.raises(ImportFailure, match=r"a\.mlir:\d+:\d+: no constant \w+… in the safetens"):
        read_module(tmp_path / "a.mlir")


PERMUTED = (
    "func.func @f(%%a : tensor<1xf32>) {\n"
    "  %%0 = graph.transpose %%a {perm = %s} : tensor<1xf32>\n"
    "  func.return\n}"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("func.func @f() {\n  oops\n}", "t:2:3: .*oops"),
        ('%0 = "graph.nope"() : () -> ()', "t:1:.*graph.nope"),
        ('%0 = "shlo.add"() : () -> ()', "t:1:.*shlo"),
        (
            '"graph.constant"() <{value = #graph.blob<i99 [] (1)>}> : () -> ()',
            "unknown element type",
        ),
        ('"graph.constant"() <{value = #graph.blob<i8 [] (1, 2)>}> : () -> ()', "do not fill"),
        ("func.func private @f(!quant.uniform<i8:f32, x>)", "t:1:"),
        ("func.func @f(%a : tensor<1xf32>) { func.return %b : tensor<1xf32> }", "t:1:"),
        ('"func.return"(', "t:1:"),
        ("builtin.module attributes {a = array<f128: 1.0>} {}", "numbers of that type cannot"),
        *(
            (PERMUTED % f"[{item}]", "is no number of that type")
            for item in ("0x7ff0000000000000 : f64", "1 : f32", "1.5 : i8", "1 : tensor<1xi8>")
        ),
        ("\x00\x01", "t:1:1: "),
    ],
)
def test_errors_say_where(text: str, message: str):
    with pytest.raises(FuriosaError, match=message) as caught:
        parse_module(text, name="t")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"12345678", b"\xff" * 100, b"\x02" + b"\0" * 7 + b"[]"])
def test_unsound_constant_files_are_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ImportFailure, match="safetensors file"):
        read_constants(path)


@pytest.mark.parametrize(
    "entry",
    [
        '{"dtype":"F32","shape":[3],"data_offsets":[0,16]}',
        '{"dtype":"F32","shape":[-1,-4],"data_offsets":[0,16]}',
        '{"dtype":"F32","shape":[400],"data_offsets":[0,1600]}',
        '{"dtype":"OBJ","shape":[4],"data_offsets":[0,16]}',
        '{"shape":[4],"data_offsets":[0,16]}',
        "17",
    ],
)
def test_unsound_tensors_are_refused(tmp_path: Path, entry: str):
    header = f'{{"a":{entry}}}'.encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with pytest.raises(ImportFailure, match="safetensors file"):
        read_constants(path)


def test_positions_of_operations():
    positions = Positions()
    module = parse_module("\n  func.func private @f()", positions=positions)
    (function,) = module.ops
    assert positions[function] == 3


GENERIC = """"builtin.module"() ({
  "func.func"() <{sym_name = "main", function_type = (tensor<4xi8>) -> tensor<4xi8>}> ({
  ^bb0(%x: tensor<4xi8>):
    "func.return"(%x) : (tensor<4xi8>) -> ()
  }) : () -> ()
}) {graph.source = "onnx"} : () -> ()
"""
CUSTOM = """module {
  func.func @main(%x: tensor<4xi8>) -> tensor<4xi8> {
    return %x : tensor<4xi8>
  }
}
"""
# What mlir-opt and xdsl-opt may print in front of the first operation.
PREAMBLES = [
    *("\ufeff", "\n", "  \t\n", "// a comment\n", "// -----\n"),
    *("#loc = loc(unknown)\n", '#loc1 = loc("a.mlir":1:2)\n#loc2 = loc(fused[#loc1])\n'),
    *("#map = affine_map<(d0) -> (d0)>\n", "#d = dense<1> : tensor<2xi8>\n", "#n = -3 : i64\n"),
    *("#a = array<i64: 1, 2>\n", '#s = "text"\n', "#d2 = {a = 1 : i64}\n", "#l = [1 : i64]\n"),
    *("!t = tensor<4xi8>\n", "!q = !quant.uniform<i8:f32, 0.5:3>\n", "!i = i8\n"),
]


@given(st.lists(st.sampled_from(PREAMBLES), unique=True), st.booleans(), st.booleans())
def test_mlir_in_custom_and_generic_form(preambles: list[str], generic: bool, crlf: bool):
    mark = "\ufeff" if "\ufeff" in preambles else ""
    front = "".join(p for p in preambles if p != mark)
    text = mark + front + (GENERIC if generic else CUSTOM)
    if crlf:
        text = text.replace("\n", "\r\n")
    assert is_ir_text(text.encode())
    assert len(list(load(text.encode()).ops)) == 1


def test_location_aliases_behind_the_module():
    """mlir-opt --mlir-print-debuginfo puts them there."""
    text = """#loc2 = loc("x")
    module {
      func.func @main(%x: tensor<4xi8> loc(#loc2)) -> tensor<4xi8> {
        return %x : tensor<4xi8> loc(#loc3)
      } loc(#loc)
    } loc(#loc)
#loc = loc(unknown)
#loc1 = loc("a.mlir":3:4)
// a comment
#loc3 = loc(fused[#loc1, #loc2])
"""
    (function,) = parse_module(text).ops
    assert isinstance(function, FuncOp)
    (returned,) = function.body.block.ops
    assert str(returned.location) == 'loc(fused["a.mlir":3:4, "x"])'
    for line, message in {
        "#loc3 = loc(unknown)\n": "re-declaration of alias '#loc3'",
        "#loc4 = loc(#loc5)\n": "undefined symbol alias '#loc5'",
        "#loc2 = loc(unknown)\n": "re-declaration of alias '#loc2'",
    }.items():
        with pytest.raises(ImportFailure, match=message):
            parse_module(text + line)
    with pytest.raises(ImportFailure, match="an operation expected"):
        parse_module('#loc = loc("x")\n')


@pytest.mark.parametrize(
    "text",
    [
        *("builtin.module {", "// RUN: x", "\n\nmodule {", "func.func @a", "module @a {"),
        *("module attributes {a} {", "module{", '"graph.relu"(%x)', '%0 = "a.b"() : () -> i8'),
        *("%0:2 = a.b", "arith.constant @x", "builtin.module @x", "#a = 1 : i8\n", "{-# x"),
    ],
)
def test_ir_text_is_recognised(text: str):
    assert is_ir_text(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "\n",
            "hello",
            "module foo(input a);",
            "modules {",
            "#!/bin/bash\nmodule {",
            "<html>",
        ),
        *("# title\n", "#port = 8080\n", '{"a": 1}', '"quoted" text', '"a.b" text', "a.b = c"),
        *("// js\nconst x = 1;", "#include <x>\n", "%PDF-1.4", "---\na: b", "example.com is it"),
    ],
)
def test_other_text_is_said_to_be_text(text: str):
    assert not is_ir_text(text.encode())
    with pytest.raises(ImportFailure, match="this is a text file" if text else "empty"):
        load(text.encode())


@pytest.mark.parametrize("data", [b"\x08\x07\x12", b"\x1c\0\0\0TFL3", b"enf"])
def test_other_content_is_not_ir_text(data: bytes):
    assert not is_ir_text(data)


def test_text_in_another_encoding():
    with pytest.raises(ImportFailure, match="text in UTF-16"):
        load(CUSTOM.encode("utf-16"))


def test_recognising_takes_linear_time():
    started = time.process_time()
    for piece in (b"#a = ", b"//", b" ", b"#a = 1", b"!a = loc(\n", b"%a, ", b"a.", b'"a.'):
        is_ir_text(piece * 20_000)
    assert time.process_time() - started < 2


def test_difference_says_where():
    a, b = (module_of(f32, np.full(3, i)) for i in (1.0, 2.0))
    assert "'value' of graph.constant" in (difference(a, b) or "")
    relu = Block(arg_types=[TensorType(f32, [3])])
    relu.add_op(ReluOp.make([relu.args[0]], [f32], location=name_loc("l")))
    assert difference(a, ModuleOp([])) is not None
