"""Text that would take the parser for ever, or memory without end, is refused before."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from furiosa_ir.errors import FuriosaError, ImportFailure
from furiosa_ir.ir.constant_file import read_constants
from furiosa_ir.ir.shaped_operation import DYNAMIC
from furiosa_ir.ir.text import parse_module, print_module, read_module
from furiosa_ir.ir.verifier import verify_module

CONSTANT = '"graph.constant"() <{{value = #graph.blob<i8 [1] (1)>}}> : () -> {}'
HOSTILE = {
    # xDSL's own expression for strings takes 2^n steps.
    "a string without an end": 'builtin.module attributes {a = "' + "x" * 5000 + "\n}",
    "escapes without an end": 'builtin.module attributes {a = "' + '\\"' * 50_000,
    "brackets": "builtin.module {" + "(" * 100_000,
    "regions": "builtin.module {" * 1000 + "}" * 1000,
    "arrays": f"builtin.module attributes {{a = {'[' * 2000}{']' * 2000}}} {{}}",
    "types": f"func.func private @f({'tuple<' * 500}i8{'>' * 500})",
    "wide integers": "func.func private @f(i1000000000)",
    "wider integers": "builtin.module attributes {a = 1 : i99999999999999999999} {}",
    "a wide literal": f"builtin.module attributes {{a = {'9' * 100_000} : i64}} {{}}",
    "a tensor of 2^60 elements": CONSTANT.format("tensor<1073741824x1073741824xi8>"),
    "a tensor of 10^5 dimensions": CONSTANT.format(f"tensor<{'1x' * 100_000}i8>"),
    "a splat of 2^60 elements": (
        "builtin.module attributes "
        "{a = dense<0> : tensor<1073741824x1073741824xi8>} {}\n" + CONSTANT.format("tensor<2xi8>")
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_refused_at_once(case: str) -> None:
    started = time.process_time()
    with pytest.raises(FuriosaError) as caught:
        parse_module(HOSTILE[case])
    assert time.process_time() - started < 5
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1200


def test_brackets_in_strings_and_comments_nest_nothing() -> None:
    text = f'// {"(" * 500}\nbuiltin.module attributes {{a = "{"[" * 500}"}} {{}} // {"<" * 500}\n'
    parse_module(text)


def test_the_nesting_that_is_allowed_is_parsed_verified_and_printed() -> None:
    """Nothing between a text and its module runs out of Python's stack."""
    text = "builtin.module {" * 60 + "}" * 60
    module = parse_module(text, verify=False)
    verify_module(module)
    assert print_module(module).count("builtin.module") == 60
    array = f"builtin.module attributes {{a = {'[' * 60}{']' * 60}}} {{}}"
    print_module(parse_module(array))


def test_limits_are_settable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FURIOSA_MAX_NESTING", "3")
    with pytest.raises(ImportFailure, match=r":2:50: .*FURIOSA_MAX_NESTING"):
        parse_module("builtin.module {\nbuiltin.module { builtin.module { builtin.module {}}}}")
    monkeypatch.setenv("FURIOSA_MAX_TEXT_BYTES", "20")
    with pytest.raises(ImportFailure, match="FURIOSA_MAX_TEXT_BYTES"):
        parse_module("builtin.module {              }")
    (tmp_path / "a.mlir").write_text("builtin.module {              }")
    with pytest.raises(ImportFailure, match=r"a\.mlir: the text has 31 bytes"):
        read_module(tmp_path / "a.mlir")


def test_an_open_extent_prints_as_a_question_mark() -> None:
    """It printed as -1, which does not parse."""
    text = "func.func private @f(tensor<?x3xf32>)"
    module = parse_module(text, verify=False)
    (function,) = module.ops
    (argument,) = function.function_type.inputs.data
    assert argument.get_shape() == (DYNAMIC, 3)
    assert "tensor<?x3xf32>" in print_module(module)


@pytest.mark.parametrize(
    "header",
    [
        "[" * 100_000,
        '{"a":{"dtype":"I8","shape":[1e999],"data_offsets":[0,16]}}',
        '{"a":{"dtype":"I8","shape":[NaN],"data_offsets":[0,16]}}',
        '{"a":{"dtype":"I8","shape":[' + "4611686018427387904," * 99_999 + '1],"data_offsets":[]}}',
        '{"a":{"dtype":"I8","shape":[4611686018427387904,4],"data_offsets":[0,0]}}',
        '{"a":{"dtype":"I8","shape":[16],"data_offsets":[0,16]},"__metadata__":3}',
        '{"a":{"dtype":"I8","shape":[16],"data_offsets":[-16,0]}}',
    ],
)
def test_hostile_constant_files(tmp_path: Path, header: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(16))
    started = time.process_time()
    with pytest.raises(ImportFailure):
        read_constants(path)
    assert time.process_time() - started < 5
