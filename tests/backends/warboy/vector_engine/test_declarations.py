"""Instructions as they are declared: numbers, names, and what all that is not as declared meets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects import test
from xdsl.dialects.builtin import TensorType, i8, i32

from furiosa_ir.backends.warboy.dialect.vector_operations import (
    ELEMENTWISE,
    VECTOR,
    axes_of,
    immediates_of,
    instruction_of,
    mode_of,
    tables_of,
)
from furiosa_ir.backends.warboy.vector_engine import INSTRUCTIONS, Instruction
from furiosa_ir.backends.warboy.vector_engine.elements import DTYPES, LIMITS
from furiosa_ir.backends.warboy.vector_engine.instruction import (
    TABLE,
    RegisterType,
    mode_names,
    vector_instruction,
)
from furiosa_ir.backends.warboy.vector_engine.lines import LineProgram, Register
from furiosa_ir.backends.warboy.vector_engine.program import result_register, run_program
from furiosa_ir.dialects.ftensor import TensorOp, arithmetic, contraction, movement
from furiosa_ir.numerics.fixed_point import ROUNDINGS

SHAPE = (2, 3, 4, 5)


@st.composite
def instructions(draw: st.DrawFn) -> tuple[Instruction, list[RegisterType]]:
    """Any instruction that keeps the rules, and its registers."""
    declared = INSTRUCTIONS[draw(st.sampled_from(sorted(INSTRUCTIONS)))]
    element = draw(st.sampled_from(sorted(DTYPES)))
    first = {"lookup": 1, "clamp": element, "gather": element}.get(declared.name)
    registers = [
        RegisterType((256,), element)
        if name == TABLE
        else RegisterType(SHAPE, first or draw(st.sampled_from(sorted(DTYPES))))
        for name in declared.operands
    ]
    axis = draw(st.integers(0, 3))
    index = st.integers(0, SHAPE[axis] - 1)
    bounds = sorted(draw(st.tuples(*[st.integers(*LIMITS[element])] * 2)))
    number = st.integers(*LIMITS[4])
    values: dict[str, int] = {"axis": axis, "minimum": bounds[0], "maximum": bounds[1]}
    immediates: list[int] = []
    for name in declared.immediates:
        plain, _, count = name.partition("[")
        if name == "n":
            values["n"] = draw(st.integers(1, 4))
        if plain == "axes":
            immediates += draw(st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True))
        elif count:
            size = values["n"] if count == "n]" else draw(st.integers(1, 4))
            kind = number if plain.endswith("weight") else index
            immediates += draw(st.lists(kind, min_size=size, max_size=size))
        else:
            immediates.append(values[plain] if plain in values else draw(number))
    mode = draw(st.sampled_from(sorted(declared.modes)))
    operands = tuple(range(len(registers)))
    return Instruction(declared.name, operands, tuple(immediates), mode, element), registers


@given(instructions())
def test_what_is_as_declared_is_accepted(made: tuple[Instruction, list[RegisterType]]) -> None:
    instruction, registers = made
    result = result_register([instruction], registers)
    assert result.element == instruction.element
    assert len(result.shape) == 4


CHANGES: list[tuple[str, Callable[[Instruction, list[RegisterType]], Instruction]]] = [
    ("no such instruction", lambda i, _: replace(i, opcode="nothing")),
    ("it takes . operands", lambda i, _: replace(i, operands=(*i.operands, 0))),
    ("it takes . operands", lambda i, _: replace(i, operands=i.operands[1:])),
    ("does not exist", lambda i, r: replace(i, operands=(len(r), *i.operands[1:]))),
    ("does not exist", lambda i, r: replace(i, operands=(-1, *i.operands[1:]))),
    ("elements of 2 bytes", lambda i, _: replace(i, element=2)),
    ("no mode 'sideways'", lambda i, _: replace(i, mode="sideways")),
]


@given(instructions(), st.sampled_from(CHANGES))
def test_what_is_not_is_refused_with_its_name(
    made: tuple[Instruction, list[RegisterType]],
    change: tuple[str, Callable[[Instruction, list[RegisterType]], Instruction]],
) -> None:
    instruction, registers = made
    message, changed = change
    with pytest.raises(ValueError, match=message) as caught:
        result_register([changed(instruction, registers)], registers)
    assert str(caught.value).startswith("instruction 0 (")


@given(instructions())
def test_a_wrong_number_of_immediates_is_refused(
    made: tuple[Instruction, list[RegisterType]],
) -> None:
    instruction, registers = made
    declared = INSTRUCTIONS[instruction.opcode]
    if declared.takes is not None:
        longer = replace(instruction, immediates=(*instruction.immediates, 0))
        with pytest.raises(ValueError, match=f"it takes {declared.takes} immediates"):
            result_register([longer], registers)
    else:
        none = replace(instruction, immediates=())
        with pytest.raises(ValueError, match="axis"):
            result_register([none], registers)


@given(instructions(), st.integers(0, 2**32 - 1))
def test_lines_are_the_same_as_the_meaning(
    made: tuple[Instruction, list[RegisterType]], seed: int
) -> None:
    """Where an instruction runs on lines at all; factors and tables are constants there."""
    instruction, registers = made
    rng = np.random.default_rng(seed)
    declared = INSTRUCTIONS[instruction.opcode]
    arrays = []
    for name, register in zip(declared.operands, registers, strict=True):
        low, high = (0, 62) if name == "shift" else (1, 120)
        shape = (1, 1, 1, 5) if name in ("multiplier", "shift") else register.shape
        arrays.append(rng.integers(low, high, shape).astype(DTYPES[register.element]))
    known = [
        Register.of_constant(a, a.itemsize)
        if name in ("multiplier", "shift", TABLE)
        else Register(a.shape, a.itemsize, (-128, 127))
        for name, a in zip(declared.operands, arrays, strict=True)
    ]
    try:
        lines = LineProgram([instruction], known, SHAPE)
    except ValueError:
        return
    out = np.empty(SHAPE, DTYPES[instruction.element])
    given_arrays = [a for a, r in zip(arrays, known, strict=True) if r.constant is None]
    lines.run(given_arrays, out, lines.scratch())
    np.testing.assert_array_equal(out, run_program([instruction], arrays))


def test_numbers_are_those_of_files_that_have_been_written() -> None:
    names = "rescale add sub mul minimum maximum divide clamp lookup reduce gather interpolate"
    assert [d.name for d in INSTRUCTIONS.values()] == names.split()
    assert [d.code for d in INSTRUCTIONS.values()] == list(range(12))
    modes = ["", "even", "up", "away", "double", "floor", "sum", "max", "near_even"]
    assert [name for _, name in sorted(mode_names().items())] == modes
    assert set(INSTRUCTIONS["rescale"].modes) == set(ROUNDINGS)
    assert all(d.description for d in INSTRUCTIONS.values())


@pytest.mark.parametrize(
    ("name", "code", "modes", "message"),
    [
        ("add", 99, {"": 0}, "'add' is instruction 99, 'add' is 1"),
        ("other", 3, {"": 0}, "'other' is instruction 3, 'mul' is 3"),
        ("other", 99, {"sideways": 4}, "mode 4 is 'sideways' and 'double'"),
    ],
)
def test_a_number_is_given_once(name: str, code: int, modes: dict[str, int], message: str) -> None:
    def evaluate() -> None:
        """Nothing."""

    evaluate.__name__ = name
    before = dict(INSTRUCTIONS)
    with pytest.raises(ValueError, match=message):
        vector_instruction(code, ("x",), modes=modes)(evaluate)
    assert dict(INSTRUCTIONS) == before


def test_operations_are_what_instructions_are_made_of() -> None:
    """Each instruction has its operation, and each property of that is an immediate or the mode."""
    assert {instruction_of(op).name for op in VECTOR} == set(INSTRUCTIONS)
    for op in VECTOR:
        declared = instruction_of(op)
        properties = {name.partition("[")[0] for name in declared.immediates} - {"n"}
        properties |= {declared.mode} - {""}
        definition = op.get_irdl_definition()
        assert properties == set(definition.properties), op.name
        assert tuple(name for name, _ in definition.operands) == declared.operands
        assert (op in ELEMENTWISE) != bool({"axis", "axes"} & properties)


def test_properties_become_immediates() -> None:
    x = test.TestOp(result_types=[TensorType(i8, (2, 3, 4))]).results[0]
    lists = {"lower": [0, 1], "upper": [1, 2], "lower_weight": [3, 4], "upper_weight": [5, 6]}
    moved = movement.InterpolateOp.make([x], [i32], axis=1, **lists)
    assert immediates_of(moved, lambda axes: [a + 1 for a in axes]) == (
        2, 2, 0, 1, 1, 2, 3, 4, 5, 6,
    )  # fmt: skip
    assert (mode_of(moved), axes_of(moved)) == ("", (False, (1,)))
    reduced: TensorOp = contraction.ReduceOp.make([x], [i32], kind="sum", axes=[0, 2], x_zp=7)
    assert immediates_of(reduced, lambda axes: [1, 3]) == (7, 1, 3)
    assert (mode_of(reduced), axes_of(reduced)) == ("sum", (True, (0, 2)))


def test_a_table_is_the_operand_of_that_name() -> None:
    x, table = test.TestOp(result_types=[TensorType(i8, (2, 3)), TensorType(i8, (256,))]).results
    looked_up = arithmetic.LookupOp.make([x, table], [i8])
    added = arithmetic.AddOp.make([x, looked_up.results[0]], [i8])
    assert tables_of([looked_up, added]) == {table}
