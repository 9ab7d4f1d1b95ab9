"""Which kernels a process has, and how they are made."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest

import compile_kernels
from furiosa_ir.backends.warboy.enf.records import Copy, DramView, Vector
from furiosa_ir.backends.warboy.simulator.native import library
from furiosa_ir.backends.warboy.simulator.native.library import SWITCH, load_kernels
from furiosa_ir.backends.warboy.simulator.simulator import Simulator
from furiosa_ir.backends.warboy.vector_engine import Instruction, arithmetic, instruction
from furiosa_ir.backends.warboy.vector_engine.instruction import vector_instruction
from tests.backends.warboy.simulator.program_builder import ProgramBuilder, rescale

needs_kernels = pytest.mark.skipif(
    compile_kernels.compiler() is None and load_kernels("") is None, reason="there is no C compiler"
)


@needs_kernels
def test_kernels_are_made_where_there_is_a_compiler():
    assert compile_kernels.LIBRARY == library.LIBRARY
    assert load_kernels("") is not None, "run `make kernels`"


def test_the_environment_switches_them_off(monkeypatch):
    monkeypatch.setenv(SWITCH, "0")
    assert load_kernels() is None


@needs_kernels
def test_a_missing_library_leaves_numpy(monkeypatch, tmp_path):
    monkeypatch.setattr(library, "LIBRARY", tmp_path / "kernels.so")
    library._load.cache_clear()
    try:
        assert load_kernels("") is None
    finally:
        library._load.cache_clear()


@needs_kernels
def test_a_library_of_another_version_leaves_numpy(monkeypatch, caplog):
    """Words of one version read by kernels of another would write anywhere."""
    assert library._source_digest().decode() == compile_kernels.source_digest(
        compile_kernels.FOLDER / "source"
    )
    monkeypatch.setattr(library, "_source_digest", lambda: b"another")
    library._load.cache_clear()
    try:
        assert load_kernels("") is None
    finally:
        library._load.cache_clear()
    assert "make kernels" in caplog.text


@needs_kernels
def test_a_compiler_that_refuses_says_why(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "cc -no-such-option")
    with pytest.raises(compile_kernels.subprocess.CalledProcessError) as failure:
        compile_kernels.build(tmp_path / "kernels.so")
    assert "no-such-option" in failure.value.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_compiler_is_an_error_that_names_the_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(OSError, match="CC"):
        compile_kernels.build(tmp_path / "kernels.so")


def steps_in_numpy(simulator):
    return simulator._segments[0]._plan.steps_in_numpy


def doubled(opcode):
    """A program with one instruction of two operands, then a rescale."""
    b = ProgramBuilder(slices=8)
    tile = b.input((1, 2, 3, 4))
    factor = b.parameter(np.full((1, 1, 1, 1), 1 << 30, np.int32))
    shift = b.parameter(np.full((1, 1, 1, 1), 31, np.int8))
    program = (Instruction(opcode, (0, 0), element=4), rescale(3, 1, 2))
    b.output(b.kernel(Vector((tile,), (factor, shift), program, b.tile((1, 2, 3, 4)), 0)))
    return b


@needs_kernels
def test_kernels_run_all_commands_of_one_program():
    assert steps_in_numpy(Simulator(doubled("add").program(), kernels="")) == 0
    simulator = Simulator(doubled("add").program(), kernels="0")
    assert steps_in_numpy(simulator) == len(simulator.program.segments[0].commands)


@needs_kernels
def test_numpy_runs_an_instruction_that_they_do_not_know():
    @vector_instruction(99, ("a", "b"))
    def test_sum(i, a, b):
        return np.add(*arithmetic.in_result_type(i, a, b))

    try:
        x = np.arange(24, dtype=np.int8).reshape(1, 2, 3, 4)
        new = Simulator(doubled("test_sum").program(), kernels="")
        assert steps_in_numpy(new) == 1
        expected = Simulator(doubled("add").program(), kernels="").run_segment(0, {0: x})
        np.testing.assert_array_equal(new.run_segment(0, {0: x})[1], expected[1])
    finally:
        instruction._DECLARED.pop("test_sum")


@needs_kernels
def test_others_go_on_while_commands_run():
    """The kernels hold no lock of Python's: a thread that waits sees a run before it has ended."""
    b = ProgramBuilder(slices=8)
    first, second = b._dram(1 << 20), b._dram(1 << 20)
    extent = (1 << 20,)
    copy = Copy(
        DramView("workspace", first, extent, (1,), 1),
        DramView("workspace", second, extent, (1,), 1),
        0,
    )
    b.commands += [copy] * 50
    simulator = Simulator(b.program(), check=False, kernels="")
    assert steps_in_numpy(simulator) == 0
    seen = False
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # threads change where one lets go, and nowhere else
    try:
        for _ in range(500):
            started, ended = threading.Event(), []

            def run(started=started, ended=ended):
                started.set()
                simulator.run_segment(0, {})
                ended.append(True)

            thread = threading.Thread(target=run)
            thread.start()
            started.wait()
            seen = not ended
            thread.join()
            if seen:
                break
    finally:
        sys.setswitchinterval(interval)
    assert seen


@needs_kernels
def test_many_threads_run_one_plan():
    """Each in a memory of its own."""
    simulator = Simulator(doubled("add").program(), kernels="")
    rng = np.random.default_rng(0)
    inputs = rng.integers(-128, 128, (8, 1, 2, 3, 4), np.int8)
    expected = [simulator.run_segment(0, {0: x})[1] for x in inputs]
    wrong = []

    def work(x, y):
        found = [simulator.run_segment(0, {0: x})[1] for _ in range(50)]
        wrong.extend(again for again in found if not np.array_equal(again, y))

    threads = [
        threading.Thread(target=work, args=pair) for pair in zip(inputs, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
