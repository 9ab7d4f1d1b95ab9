"""Networks in TOSA: read by other tools, exact on Arm's reference model, else refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from furiosa.runtime import session
from furiosa_ir.backends import read_program
from furiosa_ir.backends.mlir import archive
from furiosa_ir.backends.mlir.segment import MlirSegment
from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import FormatFailure, FuriosaError
from furiosa_ir.tools import furiosa
from tests.backends.mlir.tosa.reference_model import iree_opt, model_of, run_tool, tools
from tests.conftest import DIGITS

NETWORK = DIGITS / "digits_int8.tflite"

needs_tools = pytest.mark.skipif(
    tools() is None, reason="tosa-tools is not installed (make tosa-tools)"
)


def program() -> bytes:
    return compile_model(NETWORK, target="tosa")


@needs_tools
def test_digits_are_exact_on_the_reference_model() -> None:
    (segment,) = read_program(program()).segments
    assert isinstance(segment, MlirSegment)
    with np.load(DIGITS / "digits_inputs.npz") as arrays:
        images = arrays["tflite_images"][:20]
    with session.create(compile_model(NETWORK)) as simulated, model_of(segment) as model:
        for image in images[:, None]:
            (made,) = model.run([image])
            np.testing.assert_array_equal(made, simulated.run([image])[0].numpy())


def written(folder: Path) -> Path:
    path = folder / "net.mlir"
    arguments = ["compile", str(NETWORK), "--target-npu", "tosa", "-q", "-o", str(path)]
    done = CliRunner().invoke(furiosa.main, arguments)
    assert done.exit_code == 0, done.output
    return path


def test_the_text_holds_its_constants(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert sorted(tmp_path.iterdir()) == [path]
    text = path.read_text()
    assert '"tosa.conv2d"(%arg0, ' in text
    assert 'dense<"0x' in text
    assert "@npu_0(image) -> (probabilities)" in text


def test_iree_opt_reads_the_text(tmp_path: Path) -> None:
    tool = iree_opt()
    if tool is None:
        pytest.skip("the extra `iree` is not installed")
    assert run_tool(tool, written(tmp_path), "-o", tmp_path / "read.mlir") is None


@needs_tools
def test_tosa_opt_reads_the_text(tmp_path: Path) -> None:
    folder = tools()
    assert folder is not None
    assert run_tool(folder / "tosa-opt", written(tmp_path), "-o", tmp_path / "read.mlir") is None


def test_the_level_parses_back_and_a_compile_goes_on_from_it(tmp_path: Path) -> None:
    path, made = tmp_path / "level.mlir", tmp_path / "net.tosaz"
    for arguments in (
        [NETWORK, "--target-npu", "tosa", "--target-ir", "tosa", "-o", path],
        [path, "-o", made],
    ):
        asked = ["compile", *map(str, arguments), "-q", "--no-cache"]
        done = CliRunner().invoke(furiosa.main, asked)
        assert done.exit_code == 0, done.output
    ours, again = read_program(program()), read_program(made)
    assert [getattr(s, "text", None) for s in again.segments] == [
        getattr(s, "text", None) for s in ours.segments
    ]


def test_what_is_not_exact_is_refused_with_operation_and_layer() -> None:
    with pytest.raises(FuriosaError) as caught:
        compile_model(DIGITS / "digits_qdq_int8.onnx", target="tosa")
    sentence = str(caught.value)
    assert "layer '" in sentence
    assert "'ftensor.rescale' has no exact form in TOSA: ties that are rounded to even" in sentence


def test_a_session_says_who_runs_it() -> None:
    with pytest.raises(FuriosaError, match="is text for other tools"):
        session.create(program())


def test_its_files_are_not_those_of_mlir() -> None:
    assert program() == program()
    with pytest.raises(FormatFailure, match="does not begin with 'furiosa-mlir 1'"):
        archive.read_program(program())
