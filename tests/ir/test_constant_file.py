"""Constants beside IR text are what their digests say, whenever somebody looks at them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st

from furiosa_ir.compiler import compile_source
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp, RescaleOp
from furiosa_ir.errors import ImportFailure
from furiosa_ir.ir.constant_file import constants_of, read_constants, write_constants
from furiosa_ir.ir.constants import Constant
from furiosa_ir.ir.text import large_constants, parse_module, print_module, write_module
from tests.conftest import DIGITS
from tests.draws import draws


@pytest.fixture(scope="module", params=["graph", "ftensor", "warboy"])
def text(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled network at a level, in files of its own."""
    path = tmp_path_factory.mktemp("text") / "digits.mlir"
    module = compile_source(DIGITS / "digits_int8.tflite", target_ir=request.param).module
    write_module(module, path)
    return path


@settings(max_examples=draws(10), phases=[Phase.explicit, Phase.generate])
@given(st.data())
def test_a_flipped_bit_changes_no_program(text: Path, data: st.DataObject) -> None:
    """One of a weight was compiled to another program; one that nobody reads does no harm."""
    beside = text.with_suffix(".safetensors")
    content = beside.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    entries = [e for n, e in json.loads(content[8:begin]).items() if n != "__metadata__"]
    first, last = data.draw(st.sampled_from(entries))["data_offsets"]
    flipped = bytearray(content)
    flipped[begin + data.draw(st.integers(first, last - 1))] ^= 1 << data.draw(st.integers(0, 7))
    program = compile_source(text).enf
    try:
        beside.write_bytes(flipped)
        assert compile_source(text).enf == program
        event("nobody reads it")
    except ImportFailure as error:
        message = str(error)
        assert message.startswith(f"{beside}: ")
        assert "is not what its name says: the file was damaged or edited" in message
        assert "write text and constants again" in message
    finally:
        beside.write_bytes(content)


@pytest.mark.parametrize("level", ["graph", "ftensor"])
def test_the_message_names_the_layer(level: str, tmp_path: Path) -> None:
    path = tmp_path / "digits.mlir"
    write_module(compile_source(DIGITS / "digits_int8.tflite", target_ir=level).module, path)
    beside = path.with_suffix(".safetensors")
    content = bytearray(beside.read_bytes())
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    weights = [name for name, entry in header.items() if entry["dtype"] == "I8"]
    largest = max(weights, key=lambda name: header[name]["shape"])
    content[begin + header[largest]["data_offsets"][0]] ^= 1
    beside.write_bytes(content)
    with pytest.raises(ImportFailure, match=f"the constant {largest[:16]}") as caught:
        compile_source(path)
    assert caught.value.layer
    assert caught.value.file == str(beside)


def test_elements_are_looked_at_when_they_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    right, wrong = Constant(np.arange(100)), Constant(np.arange(100, 200))
    wrong.__dict__["digest"] = "ab" * 32
    write_constants([right, wrong], path)
    table = read_constants(path)
    known, lie = table.get(right.digest), table.get("ab" * 32)
    assert known is not None
    assert lie is not None
    np.testing.assert_array_equal(known.array, right.array)
    assert (lie.shape, lie.dtype, lie.digest) == ((100,), np.dtype(np.int64), "ab" * 32)
    with pytest.raises(ImportFailure, match="the constant abababababababab"):
        lie.array  # noqa: B018
    with pytest.raises(ImportFailure, match="abababababababab"):
        write_constants([lie], tmp_path / "d.safetensors")
    assert not (tmp_path / "d.safetensors").exists()


def test_text_that_nobody_computes_with_is_not_hashed(text: Path) -> None:
    """Reading and printing take no more time than they did."""
    content = text.with_suffix(".safetensors").read_bytes()
    table = constants_of(memoryview(content))
    module = parse_module(text.read_text(), table)
    print_module(module)
    # The verifier looks at shifts, which are a few bytes a channel.
    shifts = [op.shift.owner for op in module.walk() if isinstance(op, RescaleOp)]
    looked_at = {op.value.data.digest for op in shifts if isinstance(op, ConstantOp)}
    # Lists of scales are types, and compared.
    found = [
        c
        for c in large_constants(module)
        if c.digest not in looked_at and c.dtype not in (np.float64, np.int32)
    ]
    assert found
    assert all(constant._array is None for constant in found)
