"""Programs of the targets mlir and iree-cpu: the same as the simulator's, and as files."""

from __future__ import annotations

import io
import re
import subprocess
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import helper, numpy_helper

from furiosa.runtime import session
from furiosa.runtime.errors import NativeException
from furiosa_ir.backends import read_program
from furiosa_ir.backends.mlir.archive import MAGIC, read_head, write_program
from furiosa_ir.backends.mlir.executor import NativeExecutor, load_module
from furiosa_ir.backends.mlir.native_code import native_code
from furiosa_ir.backends.mlir.segment import MlirSegment
from furiosa_ir.backends.mlir.text_safety import check_text
from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import ExecutionFailure, FormatFailure, FuriosaError
from furiosa_ir.ir.constants import INLINE_ELEMENTS
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import Binding
from furiosa_ir.tools import furiosa, opt
from tests.conftest import ROOT

binaries: Any = pytest.importorskip(
    "iree.compiler.tools.binaries", reason="the extra `iree` is not installed"
)

DIGITS = ROOT / "examples" / "digits"
NETWORKS = {"digits_int8.tflite": "tflite_images", "digits_qdq_int8.onnx": "onnx_images"}

both = pytest.mark.parametrize("network", NETWORKS)


@pytest.fixture(autouse=True, scope="module")
def native_code_is_kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """IREE's compiler takes seconds of each network: once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FC_CACHE_ENABLED", "1")
        patch.setenv("FC_CACHE_STORE_URL", f"file://{tmp_path_factory.mktemp('cache')}")
        yield


@cache
def program_of(network: str, target: str = "mlir") -> bytes:
    return compile_model(DIGITS / network, target=target)


def images(network: str) -> Array:
    with np.load(DIGITS / "digits_inputs.npz") as arrays:
        return arrays[NETWORKS[network]][:20]


def results(program: bytes, inputs: Array) -> Array:
    with session.create(program) as running:
        return np.stack([running.run([image[None]])[0].numpy() for image in inputs])


def upstream(path: Path, *flags: str) -> str:
    """What iree-opt makes of a file, which it verifies."""
    tool = binaries.find_tool("iree-opt")
    done = subprocess.run([tool, *flags, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ran(command: Any, *arguments: object) -> str:
    done = CliRunner().invoke(command, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return done.output


@both
def test_the_same_as_the_simulator(network: str) -> None:
    inputs = images(network)
    native = results(program_of(network, "iree-cpu"), inputs)
    np.testing.assert_array_equal(native, results(program_of(network, "warboy"), inputs))


@both
def test_the_text_is_for_upstreams_tools(network: str, tmp_path: Path) -> None:
    path = tmp_path / "net.mlir"
    ran(furiosa.main, "compile", DIGITS / network, "--target-npu", "mlir", "-o", path, "-q")
    assert (tmp_path / "net.safetensors").stat().st_size > 1000
    text = path.read_text()
    assert "#flow.parameter.named" in upstream(path)
    for dense in re.findall(r"dense<\[(.*?)\]>", text):
        assert dense.count(",") < INLINE_ELEMENTS
    # It is IR of ours as well: passes take it, and generic text of it goes there, too.
    plain = tmp_path / "plain.mlir"
    ran(opt.main, path, "-p", "linalg-parameters-to-arguments", "-o", plain)
    assert "util." not in upstream(plain)
    generic = tmp_path / "generic.mlir"
    ran(opt.main, path, "--print-op-generic", "-o", generic)
    assert upstream(generic) == upstream(path)


@both
def test_the_level_parses_back_and_a_compile_goes_on_from_it(network: str, tmp_path: Path) -> None:
    path, made = tmp_path / "net.mlir", tmp_path / "net.mlirz"
    asked = ["--target-npu", "mlir", "-q", "--no-cache"]
    ran(furiosa.main, "compile", DIGITS / network, *asked, "--target-ir", "linalg", "-o", path)
    ran(furiosa.main, "compile", path, "-q", "--no-cache", "-o", made)
    ours, again = read_program(program_of(network)), read_program(made)
    assert [s.name for s in again.segments] == [s.name for s in ours.segments]
    for a, b in zip(again.segments, ours.segments, strict=True):
        if isinstance(a, MlirSegment):
            assert isinstance(b, MlirSegment)
            assert a.text == b.text
            assert a.parameters == b.parameters
    failed = CliRunner().invoke(
        opt.main, [str(path), "-p", "linalg-parameters-to-arguments", "-o", "-"]
    )
    assert failed.exit_code == 1
    assert "@npu_" in failed.stderr
    assert "is called, with what it takes now" in failed.stderr


@both
def test_it_is_verified_as_every_program(network: str) -> None:
    text = ran(
        furiosa.main,
        "compile",
        DIGITS / network,
        "--target-npu",
        "mlir",
        "--verify",
        "-o",
        "/dev/null",
    )
    assert "equal" in text


@both
def test_the_same_program_gives_the_same_bytes(network: str) -> None:
    first = program_of(network)
    assert compile_model((DIGITS / network).read_bytes(), target="mlir") == first
    assert first.startswith(MAGIC)


def segment_of(network: str) -> MlirSegment:
    program = read_program(program_of(network))
    return next(s for s in program.segments if isinstance(s, MlirSegment))


@both
def test_what_we_write_is_safe(network: str) -> None:
    check_text(segment_of(network))


HOSTILE: Sequence[tuple[str, str, str]] = [
    (r"arith.minsi (%\S+), (%\S+) : i32", r"arith.maxsi \1, \2 : i32", "may lie outside"),
    (r"arith.divsi (%\S+), (%\S+) : i64", r"arith.divsi \1, \1 : i64", "may be 0"),
    (r"func.func public @npu_\d", "func.func public @other", "is not one function of that name"),
    (r"func.return", "util.unfoldable_constant 1 : i32\n    func.return", "there is no operation"),
]


@pytest.mark.parametrize(("found", "put", "cause"), HOSTILE)
def test_other_text_is_not_compiled(found: str, put: str, cause: str) -> None:
    """Of a file that somebody else wrote; what follows any index is in no text of ours."""
    segment = segment_of("digits_qdq_int8.onnx")
    text = re.sub(found, put, segment.function)
    changed = replace(segment, function=text)
    assert text != segment.function
    with pytest.raises(FuriosaError, match=cause):
        check_text(changed)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    whole = program_of("digits_int8.tflite")
    rng = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole)
        if rng.random() < 0.3:
            del data[int(rng.integers(len(MAGIC), len(data))) :]
        else:
            for place in rng.integers(len(MAGIC), len(data), 3):
                data[place] ^= int(rng.integers(1, 256))
        try:
            again = read_program(bytes(data))
        except FormatFailure:
            continue
        # Bytes that the archive says nothing by.
        assert again == read_program(whole)
    packed = tmp_path / "packed.mlirz"
    with packed.open("wb") as file:
        file.write(MAGIC)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("program.json", " " * (1 << 20))
    with pytest.raises(FormatFailure, match="is packed"):
        read_program(packed)


def test_a_program_that_says_more_outputs_than_its_text_gives(tmp_path: Path) -> None:
    """Its text is in the cache already, and nobody looks at it again."""
    program = read_program(program_of("digits_int8.tflite", "iree-cpu"))
    results(program_of("digits_int8.tflite", "iree-cpu"), images("digits_int8.tflite")[:1])
    (last,) = program.outputs
    more = replace(program.tensors[last], name="more"), len(program.tensors)
    segments = [
        replace(s, outputs=(*s.outputs, Binding(more[1], 1))) if last in s.makes else s
        for s in program.segments
    ]
    path = tmp_path / "other.mlirz"
    with path.open("wb") as file:
        tensors = (*program.tensors, more[0])
        write_program(replace(program, tensors=tensors, segments=tuple(segments)), file)
    with (
        session.create(str(path)) as running,
        pytest.raises(NativeException, match="gives other tensors than the program says"),
    ):
        running.run(images("digits_int8.tflite")[:1])


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_scalars(dtype: str) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["real"]),
        helper.make_node("Relu", ["real"], ["positive"]),
        helper.make_node("QuantizeLinear", ["positive", "s", "z"], ["y"]),
    ]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    ends = [[helper.make_tensor_value_info(name, kind, [])] for name in "xy"]
    constants = {"s": np.array(0.5, np.float32), "z": np.array(7, dtype)}
    held = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "scalars", *ends, held),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    with session.create(model.SerializeToString(), device="iree-cpu") as running:
        made = [running.run([np.array(x, dtype)])[0].numpy() for x in (0, 9)]
    assert [(array.shape, int(array)) for array in made] == [((), 7), ((), 9)]


def test_constants_beside_text_that_is_in_the_cache_are_looked_at() -> None:
    segment = segment_of("digits_int8.tflite")
    code = native_code(segment)
    cut = bytes(segment.parameters)[:100]
    program = read_program(program_of("digits_int8.tflite"))
    segments = tuple(
        replace(s, parameters=cut) if isinstance(s, MlirSegment) else s for s in program.segments
    )
    with pytest.raises(FuriosaError, match=r"the constants of npu_\d: is not a sound safetensors"):
        NativeExecutor(replace(program, segments=segments))
    with pytest.raises(ExecutionFailure, match="IREE cannot load npu"):
        load_module(code, cut, [segment.name])


@pytest.mark.parametrize("half", [b"\\ud800", "\ud800".encode("utf-8", "surrogatepass")])
def test_half_a_character_is_no_text(half: bytes) -> None:
    whole, changed = program_of("digits_int8.tflite"), io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(whole)) as given,
        zipfile.ZipFile(changed, "w") as archive,
    ):
        for name in given.namelist():
            archive.writestr(name, given.read(name).replace(b'"mlir"', b'"' + half + b'"'))
    with pytest.raises(FormatFailure, match="it is no JSON of a program: 'utf-8' codec"):
        read_program(MAGIC + changed.getvalue())
    with pytest.raises(FormatFailure, match="its head cannot be read: 'utf-8' codec"):
        read_head(MAGIC + changed.getvalue(), 0)
