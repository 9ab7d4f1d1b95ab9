"""`furiosa reduce`: a module made smaller, every step verified, while it stays interesting."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.debugging.command_test import CommandTest
from furiosa_ir.debugging.execution import run
from furiosa_ir.debugging.inputs import debugging_inputs, inputs_of
from furiosa_ir.debugging.numerics_test import NumericsTest
from furiosa_ir.debugging.part import operations_of, part_of, with_calls
from furiosa_ir.debugging.reduce import NotInteresting, reduce_module
from furiosa_ir.debugging.shrinking import SHRINKS
from furiosa_ir.debugging.workers import ParallelTest
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.passes import parse_passes
from furiosa_ir.ir.text import print_module, read_module, write_module
from furiosa_ir.ir.verifier import verify_module
from furiosa_ir.tools.furiosa import main
from tests.debugging.conftest import FOLDER


def has(name: str, modules: Sequence[ModuleOp]) -> list[bool]:
    return [any(op.name == name for op in module.walk()) for module in modules]


@pytest.mark.parametrize(
    ("level", "name"),
    [
        ("ftensor", "ftensor.reduce_window"),
        ("ftensor", "ftensor.divide"),
        ("graph", "graph.softmax"),
        ("graph", "graph.max_pool"),
    ],
)
def test_what_is_looked_for_is_left_alone(
    levels: dict[str, ModuleOp], level: str, name: str
) -> None:
    module = levels[level]
    before = print_module(module)

    def test(modules: Sequence[ModuleOp]) -> list[bool]:
        for each in modules:
            verify_module(each)
        return has(name, modules)

    reduction = reduce_module(module, test, batch=2)
    assert print_module(module) == before
    assert reduction.after == 2  # the operation, and the call of its segment
    assert has(name, [reduction.module]) == [True]
    extents = [n for line in print_module(reduction.module).split("<")[1:] for n in line.split("x")]
    assert "16" not in extents


def test_parts_of_a_network_run(levels: dict[str, ModuleOp]) -> None:
    """Each single operation is a module that verifies, prints and runs."""
    module = levels["ftensor"]
    for op in operations_of(module):
        part = part_of(module, with_calls(module, {op}))
        if part is None:
            continue
        verify_module(part)
        (on,) = debugging_inputs(inputs_of(part), 1)
        assert run(part, on.feeds)


def test_every_candidate_that_verifies_can_be_read_again(
    levels: dict[str, ModuleOp], tmp_path: Path
) -> None:
    for shrink in SHRINKS:
        for candidate in [c for c, _ in zip(shrink(levels["graph"]), range(3), strict=False)]:
            try:
                verify_module(candidate)
            except FuriosaError:
                continue
            write_module(candidate, tmp_path / "part.mlir")
            again = read_module(tmp_path / "part.mlir")
            assert again.is_structurally_equivalent(candidate)


def test_what_is_not_interesting_is_refused(levels: dict[str, ModuleOp]) -> None:
    with pytest.raises(NotInteresting, match="does not show"):
        reduce_module(levels["ftensor"], lambda modules: has("ftensor.gather", modules))


def test_a_command_says_what_is_interesting(levels: dict[str, ModuleOp], tmp_path: Path) -> None:
    script = tmp_path / "interesting.py"
    script.write_text(
        "import sys\nfound = 'ftensor.lookup' in open(sys.argv[2]).read()\n"
        "sys.exit(not found or sys.argv[1] != 'a b')\n"
    )
    test = CommandTest.of(f"{sys.executable} -S -E {script} 'a b'", 2, 60.0)
    assert test([levels["ftensor"], levels["graph"]]) == [True, False]
    slow = CommandTest.of("sleep 30", 1, 0.01)
    assert slow([levels["graph"]]) == [False]
    with pytest.raises(FuriosaError, match="cannot be run"):
        CommandTest.of("no-such-command-here", 1, 1.0)([levels["graph"]])
    with pytest.raises(FuriosaError, match="cannot be read"):
        CommandTest.of("'open", 1, 1.0)


def test_a_command_that_takes_too_long_ends_with_all_it_has_started(
    levels: dict[str, ModuleOp], tmp_path: Path
) -> None:
    """A pipe that its child holds as well comes to its end."""
    pipe, script = tmp_path / "pipe", tmp_path / "slow.sh"
    os.mkfifo(pipe)
    script.write_text(f"sleep 300 > {pipe} &\necho > {pipe}\nwait\n")
    read = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert CommandTest.of(f"sh {script}", 1, 1.0)([levels["graph"]]) == [False]
        os.set_blocking(read, True)
        written = b"".join(iter(lambda: os.read(read, 64), b""))  # until nobody holds it
        assert written in (b"", b"\n")
    finally:
        os.close(read)


def test_processes_say_the_same(
    levels: dict[str, ModuleOp], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("furiosa_ir.debugging.workers.LEAST_OPERATIONS", 1)
    plugin = str(FOLDER / "swapped_operands.py")
    test = NumericsTest(parse_passes("wrong-swapped-operands"), count=1)
    part = part_of(
        levels["ftensor"],
        with_calls(
            levels["ftensor"],
            {op for op in operations_of(levels["ftensor"]) if op.name == "ftensor.conv"},
        ),
    )
    assert part is not None
    modules = [levels["ftensor"], part]
    assert ParallelTest(test, (plugin,), 2)(modules) == test(modules) == [True, False]


def test_the_command_line(levels: dict[str, ModuleOp], tmp_path: Path) -> None:
    text, plugin = tmp_path / "net.mlir", str(FOLDER / "swapped_operands.py")
    write_module(levels["ftensor"], text)
    arguments = [
        "reduce",
        str(text),
        "--numerics",
        "--load",
        plugin,
        "-p",
        "wrong-swapped-operands",
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    reduced = tmp_path / "net.reduced.mlir"
    assert len(operations_of(read_module(reduced))) < 10
    assert reduced.read_text(encoding="utf-8").startswith("// RUN: furiosa-opt %s --load ")
    for wrong, sentence in (
        (["reduce", str(text)], "say what is interesting"),
        (["reduce", str(text), "--numerics", "--test", "true"], "say what is interesting"),
        (["reduce", str(text), "--test", "false"], "there is nothing to reduce"),
        (["reduce", str(text), "--test", "true", "-o", str(text)], "would"),
    ):
        failed = CliRunner().invoke(main, wrong)
        assert failed.exit_code == 1
        assert sentence in failed.stderr
