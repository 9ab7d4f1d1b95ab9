"""`furiosa run --dump` and `--until`: what layers make, to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.backends import write_program
from furiosa_ir.debugging.execution import run
from furiosa_ir.debugging.tensors import chosen_layers, tensors_of_module, tensors_of_program
from furiosa_ir.driver import compile_source
from furiosa_ir.errors import FuriosaError
from furiosa_ir.importers import load
from furiosa_ir.ir.text import write_module
from furiosa_ir.tools.furiosa import main
from tests.conftest import DIGITS


@pytest.fixture(scope="module")
def image() -> Any:
    with np.load(DIGITS / "digits_inputs.npz") as arrays:
        return arrays["onnx_images"][:1]


@pytest.fixture(scope="module")
def inputs(image: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inputs") / "inputs.npz"
    np.savez(path, image=image)
    return path


def dumped(file: Path, inputs: Path, output: Path, *options: str) -> dict[str, Any]:
    arguments = ["run", str(file), "--inputs", str(inputs), "-o", str(output), *options]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    with np.load(output) as arrays:
        return dict(arrays)


def test_layers_of_a_network_and_of_its_text_agree(
    digits: Path, inputs: Path, levels: dict[str, ModuleOp], tmp_path: Path
) -> None:
    layers = "stem_QuantizeLinear,body_QuantizeLinear"
    network = dumped(digits, inputs, tmp_path / "a.npz", "--dump", layers)
    assert list(network) == layers.split(",")
    assert network["stem_QuantizeLinear"].dtype == np.int8
    assert network["stem_QuantizeLinear"].shape == (1, 16, 8, 8)
    assert np.ptp(network["body_QuantizeLinear"].astype(int)) > 10
    for level in ("graph", "ftensor"):
        text = tmp_path / f"{level}.mlir"
        write_module(levels[level], text)
        same = dumped(text, inputs, tmp_path / "b.npz", "--dump", layers)
        for name, array in network.items():
            np.testing.assert_array_equal(same[name], array)


def test_floats_have_their_type_and_the_last_layer_is_the_output(digits: Path, image: Any) -> None:
    module = load(digits)
    found = tensors_of_module(module, {"image": image})
    assert found["stem_conv"].dtype == np.float32
    (output,) = run(module, {"image": image}).values()
    np.testing.assert_array_equal(list(found.values())[-1], output)


def test_until_runs_nothing_behind_a_layer(digits: Path, image: Any) -> None:
    module = load(digits)
    found = tensors_of_module(module, {"image": image}, until="stem_QuantizeLinear")
    assert list(found)[-1] == "stem_QuantizeLinear"
    assert "body_conv" not in found


def test_patterns_and_names_that_there_are_not(digits: Path) -> None:
    module = load(digits)
    assert next(iter(chosen_layers(module, ["stem_*"]))) == "stem_conv"
    assert len(chosen_layers(module, ["*"])) > 20
    with pytest.raises(FuriosaError, match="no layer 'stem_con'") as raised:
        chosen_layers(module, ["stem_con"])
    assert raised.value.hint == "did you mean 'stem_conv'?"


def test_a_program_has_what_segments_exchange(
    digits: Path, image: Any, inputs: Path, tmp_path: Path
) -> None:
    program = compile_source(digits).program
    assert program is not None
    tensors = tensors_of_program(program, [image])
    assert tensors["image_QuantizeLinear"].dtype == np.int8
    file = tmp_path / "digits.enf"
    with file.open("w+b") as opened:
        write_program(program, opened)
    found = dumped(file, inputs, tmp_path / "t.npz", "--dump", "image_*")
    np.testing.assert_array_equal(found["image_QuantizeLinear"], tensors["image_QuantizeLinear"])
    wrong = ["run", str(file), "--inputs", str(inputs), "-o", str(tmp_path / "u.npz")]
    inside = CliRunner().invoke(main, [*wrong, "--dump", "body_conv"])
    assert inside.exit_code == 1
    assert "never leaves the device" in inside.stderr
    unknown = CliRunner().invoke(main, [*wrong, "--until", "nowhere"])
    assert "there is no tensor 'nowhere'" in unknown.stderr
    nothing = CliRunner().invoke(main, [*wrong[:4], "--dump", "image_*"])
    assert nothing.exit_code == 1
    assert "write a file" in nothing.stderr


def test_samples_lie_along_the_first_axis(digits: Path, tmp_path: Path) -> None:
    with np.load(DIGITS / "digits_inputs.npz") as arrays:
        np.savez(tmp_path / "three.npz", image=arrays["onnx_images"][:3])
    found = dumped(digits, tmp_path / "three.npz", tmp_path / "t.npz", "--until", "stem_conv")
    assert found["stem_conv"].shape == (3, 1, 16, 8, 8)
