"""Programs that break a rule between commands are refused with the layer's name."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from furiosa_ir.backends.warboy.checker import check_program
from furiosa_ir.backends.warboy.enf.records import Pool, Store, Vector
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.errors import VerificationFailure
from tests.backends.warboy.simulator.program_builder import ProgramBuilder
from tests.fuzz.hostile_enf import races


def copy_program(**layout):
    """load; vector; store."""
    b = ProgramBuilder(slices=8)
    x = b.input((1, 8, 8, 8), **layout)
    b.output(b.kernel(Vector((x,), (), (), b.tile((1, 8, 8, 8), (2, 3), "HWC"), 0)))
    return b.program()


def change(program, **changes):
    """The program with changed commands ("c1=...") or segment fields."""
    segment = program.segments[0]
    commands = list(segment.commands)
    fields = {}
    for key, value in changes.items():
        if key[1:].isdigit():
            commands[int(key[1:])] = value
        else:
            fields[key] = value
    return replace(program, segments=(replace(segment, commands=tuple(commands), **fields),))


def refuse(program, message):
    with pytest.raises(VerificationFailure, match=message) as caught:
        check_program(program)
    return caught.value


@pytest.mark.parametrize("order", ["HCW", "HWC"])
@pytest.mark.parametrize("slices", [(1, 1), (2, 4), (8, 1), (3, 2)])
def test_a_correct_program_passes(order, slices):
    check_program(copy_program(order=order, slices=slices))


@pytest.mark.parametrize("order", ["HCW", "HWC"])
def test_images_that_lie_apart(order):
    """A kernel may work on one while the other one is loaded, and not before it is there."""
    shape = (2, 8, 8, 8)
    b = ProgramBuilder(slices=8)
    x = b.input(shape, slices=(2, 2), order=order, apart=True)
    y = b.tile(shape, (4, 1), order, apart=True)
    one, other = (
        [replace(tile, offset=(n, 0, 0, 0), extent=(1, 8, 8, 8)) for tile in (x, y)] for n in (0, 1)
    )
    b.kernel(Vector((one[0],), (), (), one[1], 0))
    b.kernel(Vector((other[0],), (), (), other[1], 0))
    b.output(y)
    check_program(b.program())
    segment = b.program().segments[0]
    load, first, second, store = segment.commands
    halves = [
        replace(
            load,
            source=replace(load.source, address=n * 512, extent=(1, 8, 8, 8)),
            target=replace(x, offset=(n, 0, 0, 0), extent=(1, 8, 8, 8)),
        )
        for n in (0, 1)
    ]
    for waits, right in ((1, True), (0, False)):
        commands = (*halves, replace(first, waits=(0,)), replace(second, waits=(waits,)),
                    replace(store, waits=(3,)))  # fmt: skip
        program = replace(b.program(), segments=(replace(segment, commands=commands),))
        if right:
            check_program(program)
        else:
            refuse(program, "races with command 1")


def test_race_between_load_and_kernel():
    program = copy_program()
    vector = replace(program.segments[0].commands[1], waits=())
    error = refuse(change(program, c1=vector), "races with command 0")
    assert error.layer == "layer"


def test_many_commands_on_one_line_are_refused_soon():
    """Each would be compared with all of the other engine's: 0.3 MB took 20 s."""
    check_program(races(20))
    started = time.process_time()
    refuse(races(4000), "share lines of SRAM")
    assert time.process_time() - started < 5


def test_race_between_kernel_and_store():
    program = copy_program()
    store = replace(program.segments[0].commands[2], waits=())
    refuse(change(program, c2=store), "races with command 1")


def test_write_after_read_is_a_race_too():
    program = copy_program()
    load, vector, store = program.segments[0].commands
    refuse(_with(program, (load, vector, replace(load, waits=()), store)), "races with command 1")
    check_program(_with(program, (load, vector, replace(load, waits=(1,)), store)))


def _with(program, commands):
    segment = replace(program.segments[0], commands=tuple(commands))
    return replace(program, segments=(segment,))


def test_reading_sram_that_nothing_wrote():
    program = copy_program()
    load = program.segments[0].commands[0]
    half = replace(load.target, extent=(1, 8, 8, 7))
    source = replace(load.source, extent=(1, 8, 8, 7))
    changed = change(program, c0=replace(load, source=source, target=half))
    refuse(changed, "reads SRAM that nothing wrote")


@pytest.mark.parametrize("share", [1, 2, 4, 1000])
def test_what_lies_beyond_a_segments_sram_was_not_written(share):
    """Wherever it is, up to the end of the slice: the shadow may be as small as the segment's."""
    program = copy_program()
    last = program.machine["size_actual_sram_slice"]
    vector = program.segments[0].commands[1]
    (x,) = vector.operands
    at = max(last // share // 32 * 32 - x.slice_bytes, program.segments[0].sram_bytes)
    changed = change(program, c1=replace(vector, operands=(replace(x, address=at),)))
    refuse(changed, "reads SRAM that nothing wrote")


def test_reading_dram_that_nothing_wrote():
    program = copy_program()
    refuse(change(program, inputs=()), "reads DRAM that nothing wrote")


def test_outputs_are_written_whole():
    program = copy_program()
    store = program.segments[0].commands[2]
    assert isinstance(store, Store)
    part = replace(
        store,
        source=replace(store.source, extent=(1, 7, 8, 8)),
        target=replace(store.target, extent=(1, 7, 8, 8)),
    )
    refuse(change(program, c2=part), "does not write all of its output 'y'")


def test_a_kernel_may_work_in_place_only_on_the_same_tile():
    b = ProgramBuilder(slices=8)
    x = b.input((1, 8, 8, 8))
    b.output(b.kernel(Vector((x,), (), (), x, 0)))
    check_program(b.program())
    b = ProgramBuilder(slices=8)
    x = b.input((1, 8, 8, 8))
    b.output(b.kernel(Vector((x,), (), (), replace(x, order="HWC"), 0)))
    refuse(b.program(), "overwrites SRAM that it reads")


def test_only_what_is_taken_element_by_element_is_worked_on_in_place():
    """An axis is read behind what is written; windows are read more than once."""
    largest = (Instruction("reduce", (0,), (0, 3), "max"), Instruction("sub", (0, 1)))
    b = ProgramBuilder(slices=8)
    x = b.input((1, 8, 8, 8))
    b.output(b.kernel(Vector((x,), (), largest, x, 0)))
    refuse(b.program(), "overwrites SRAM that it reads")
    pool = ("max", (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 0)
    for operands in ((), ("x",)):
        b = ProgramBuilder(slices=8)
        x = b.input((1, 8, 8, 8))
        program = (Instruction("maximum", (0, 1)),) if operands else ()
        b.output(b.kernel(Pool(x, *pool, (x,) * len(operands), (), program, x, 0)))
        refuse(b.program(), "overwrites SRAM that it reads")
    b = ProgramBuilder(slices=8)
    x, y = b.input((1, 8, 8, 8)), b.input((1, 8, 8, 8), name="y")
    b.output(b.kernel(Pool(x, *pool, (y,), (), (Instruction("maximum", (0, 1)),), y, 0)))
    check_program(b.program())


def test_sram_bounds_and_alignment():
    program = copy_program()
    load = program.segments[0].commands[0]
    for address, message in ((16, "multiple of 32"), (262144, "beyond the slice's")):
        moved = replace(load, target=replace(load.target, address=address))
        refuse(change(program, c0=moved), message)
    refuse(change(program, sram_bytes=32), "beyond the SRAM that its segment declares")


def test_dram_bounds():
    program = copy_program()
    load = program.segments[0].commands[0]
    moved = replace(load, source=replace(load.source, address=4096))
    refuse(change(program, c0=moved), "outside of the workspace region")


def test_strides_are_numbers_that_a_file_can_hold():
    """Along an extent of 1 any stride stays in its region."""
    program = copy_program()
    load = program.segments[0].commands[0]
    assert load.source.extent[0] == 1
    for stride, ok in ((1 << 63, False), ((1 << 63) - 1, True), (-(1 << 63), False)):
        strides = (stride, *load.source.strides[1:])
        changed = change(program, c0=replace(load, source=replace(load.source, strides=strides)))
        if ok:
            check_program(changed)
        else:
            refuse(changed, f"a stride of {stride} bytes is out of range")


def test_windows_of_one_line_do_not_race():
    """Two engines write different channels of the same 32-byte line."""
    b = ProgramBuilder(slices=8)
    x = b.input((1, 4, 4, 4))
    whole = b.tile((1, 4, 4, 8), (1, 1), "HWC")
    left = replace(whole, extent=(1, 4, 4, 4))
    right = replace(whole, offset=(0, 0, 0, 4), extent=(1, 4, 4, 4))
    b.kernel(Vector((x,), (), (), left, 0))
    load = b.commands[0]
    b.commands.append(replace(load, target=right))
    b.output(whole)
    program = b.program()
    check_program(program)
    clash = replace(load, target=replace(right, offset=(0, 0, 0, 3)))
    refuse(change(program, c2=clash), "races with command 1")


def test_thousands_of_commands_are_checked_in_seconds():
    b = ProgramBuilder("warboy-2pe")
    x = b.input((1, 56, 56, 64), slices=(8, 16))
    y = b.tile((1, 56, 56, 64), (8, 16))
    for _ in range(1000):
        b.kernel(Vector((x,), (), (), y, 0))
        b.kernel(Vector((y,), (), (), x, 0))
    b.output(x)
    program = b.program()
    start = time.process_time()
    check_program(program)
    assert time.process_time() - start < 3  # 0.2 s where this was written
