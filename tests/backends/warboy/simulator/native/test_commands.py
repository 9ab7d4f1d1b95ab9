"""Random commands: the compiled kernels leave the memory that numpy leaves, byte for byte.

`program_builder.simulate` compares; the tests beside this folder compare numpy with `ftensor`.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from furiosa_ir.backends.warboy.enf.records import (
    Copy,
    Dot,
    DramTile,
    DramView,
    Load,
    Pool,
    SramTile,
    Store,
    Vector,
)
from furiosa_ir.backends.warboy.enf.shapes import accumulator_shape
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.backends.warboy.vector_engine.elements import DTYPES, LIMITS
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.numerics import fixed_point
from furiosa_ir.program import Binding, Tensor
from tests.backends.warboy.simulator.program_builder import ProgramBuilder, simulate
from tests.backends.warboy.simulator.test_kernels import convolutions, layouts

ELEMENTS = st.sampled_from([1, 4, 8])
SEEDS = st.integers(0, 2**32 - 1)
REACH = {1: 1 << 7, 4: 1 << 31, 8: 1 << 47}
"""Bytes of an element -> the greatest magnitude that the machine's register holds."""
FARTHEST_ZERO_POINT = 1 << 25
ROUNDINGS = st.sampled_from(fixed_point.ROUNDINGS)


def bytes_in(b: ProgramBuilder, size: int) -> int:
    """The address of an input of so many bytes."""
    b.tensors.append(Tensor(f"x{len(b.tensors)}", "int8", (size,)))
    address = b._dram(size)
    b.inputs.append(Binding(len(b.tensors) - 1, address))
    return address


def wide_input(b: ProgramBuilder, shape, layout, element) -> SramTile:
    """An input of elements of any width, in SRAM."""
    address = bytes_in(b, math.prod(shape) * element)
    tile = b.tile(shape, element=element, **layout)
    _, h, w, c = shape
    strides = (h * w * c * element, w * c * element, c * element, element)
    b.commands.append(Load(DramTile("workspace", address, tuple(shape), strides, element), tile, 0))
    return tile


def window_of(draw, shape):
    """A window of the buffer, anywhere in it."""
    offset = tuple(draw(st.integers(0, s - 1)) for s in shape)
    extent = tuple(draw(st.integers(1, s - o)) for s, o in zip(shape, offset, strict=True))
    return offset, extent


@st.composite
def shapes(draw, most=(2, 6, 20, 40)):
    return tuple(draw(st.integers(1, m)) for m in most)


@st.composite
def tile_moves(draw):
    """Loads and stores of windows, by whatever strides."""
    shape, element = draw(shapes()), draw(ELEMENTS)
    offset, extent = window_of(draw, shape)
    order = draw(st.permutations(range(4)))
    strides, step = [0] * 4, element
    for axis in reversed(order):
        strides[axis] = step
        step *= extent[axis] + draw(st.integers(0, 2))
    return shape, element, offset, extent, tuple(strides), step, draw(layouts()), draw(layouts())


@given(tile_moves(), SEEDS)
def test_tiles_come_and_go(moves, seed):
    shape, element, offset, extent, strides, size, source_layout, target_layout = moves
    b = ProgramBuilder(slices=8)
    address = bytes_in(b, size)
    side = DramTile("workspace", address, extent, strides, element)
    for layout in (source_layout, target_layout):
        whole = b.tile(shape, element=element, **layout)
        tile = replace(whole, offset=offset, extent=extent)
        b.commands.append(Load(side, tile, 0))
        to = DramTile("workspace", b._dram(size), extent, strides, element)
        b.commands.append(Store(tile, to, 0, (len(b.commands) - 1,)))
    simulate(b, np.random.default_rng(seed).integers(-128, 128, size, np.int8))


@st.composite
def views(draw):
    """A source with strides of any sign, and a dense target."""
    rank = draw(st.integers(1, 5))
    extent = tuple(draw(st.integers(1, 9)) for _ in range(rank))
    element = draw(ELEMENTS)
    order = draw(st.permutations(range(rank)))
    strides, step, first = [0] * rank, element, 0
    for axis in reversed(order):
        kind = draw(st.sampled_from(["along", "along", "back", "again"]))
        if kind != "again":
            strides[axis] = step if kind == "along" else -step
            first += 0 if kind == "along" else step * (extent[axis] - 1)
            step *= extent[axis] + draw(st.integers(0, 1))
    dense, total = [0] * rank, element
    for axis in reversed(draw(st.permutations(range(rank)))):
        dense[axis] = total
        total *= extent[axis]
    return extent, element, tuple(strides), first, step, tuple(dense), total


@given(views(), SEEDS)
def test_copies(view, seed):
    extent, element, strides, first, size, dense, total = view
    b = ProgramBuilder(slices=8)
    address = bytes_in(b, size)
    target = b._dram(total)
    b.commands.append(
        Copy(
            DramView("workspace", address + first, extent, strides, element),
            DramView("workspace", target, extent, dense, element),
            0,
        )
    )
    simulate(b, np.random.default_rng(seed).integers(-128, 128, size, np.int8))


class Programs:
    """Draws instructions whose operands fit, and of rescales those whose products fit 64 bits.

    Attributes:
        registers: (shape, element) of each register that is no parameter.
        bounds: the greatest magnitude of each.
    """

    def __init__(self, draw, b: ProgramBuilder, rng) -> None:
        self.draw, self.b, self.rng = draw, b, rng
        self.registers = []
        self.bounds = []
        self.parameters = []
        self.pending = []

    def given(self, shape, element):
        """A register that the program is given."""
        self.registers.append((shape, element))
        self.bounds.append(REACH[element])

    def parameter(self, array) -> str:
        """A constant; its number is known when all instructions are drawn."""
        self.parameters.append(self.b.parameter(array))
        return f"p{len(self.parameters) - 1}"

    def program(self, count):
        """Up to `count` instructions, and the last register's shape and element."""
        given = len(self.registers)
        for _ in range(count):
            made = self._instruction()
            if made is not None:
                self.pending.append(made[0])
                self.registers.append(made[1])
                self.bounds.append(self._bound(*made[0]))
        size = len(self.parameters)

        def number(operand):
            if isinstance(operand, str):
                return given + int(operand[1:])
            return operand if operand < given else operand + size

        program = tuple(
            Instruction(name, tuple(map(number, operands)), immediates, mode, element)
            for name, operands, immediates, mode, element in self.pending
        )
        return program, *self.registers[-1]

    def _bound(self, name, operands, immediates, _mode, element):
        given = [self.bounds[o] if not isinstance(o, str) else REACH[8] for o in operands]
        match name:
            case "rescale" | "clamp" | "divide":
                bound = max(map(abs, immediates[-2:]))
            case "lookup":
                bound = REACH[element]
            case "mul":
                bound = given[0] * given[1]
            case _:
                # A sum of up to as many elements as a register has, each less a zero point.
                bound = (max(given) + 128) * (1 << 16)
        return bound if bound <= REACH[element] else 1 << (8 * element - 1)

    def _reach(self, x, element):
        """The greatest magnitude of an operand."""
        return REACH[element] if isinstance(x, str) else self.bounds[x]

    def _instruction(self):
        name = self.draw(st.sampled_from(
            ["rescale", "rescale", "rescale", "add", "sub", "mul", "minimum", "maximum", "clamp",
             "divide", "lookup", "reduce", "gather", "interpolate", "rescale_by"]
        ))  # fmt: skip
        x = self.draw(st.integers(-1, len(self.registers) - 1))
        if x < 0:  # of a constant, as an addition of one may have it
            shape, element = self.registers[0][0], self.draw(ELEMENTS)
            shape = tuple(s if self.draw(st.booleans()) else 1 for s in shape)
            x = self.parameter(self._values(shape, element))
        else:
            shape, element = self.registers[x]
        made = self.draw(ELEMENTS)
        axis = self.draw(st.integers(0, 3))
        index = st.integers(0, shape[axis] - 1)
        count = self.draw(st.integers(1, 5))
        along = (*shape[:axis], count, *shape[axis + 1 :])
        match name:
            case "rescale":
                return self._rescale(x, shape, made, self._reach(x, element))
            case "rescale_by":
                return self._rescale_by(x, shape, made, self._reach(x, element))
            case "clamp":
                limits = self._limits(element)
                return (name, (x,), limits, "", element), (shape, element)
            case "lookup" if element == 1:
                table = self._values(256, made)
                return (name, (x, self.parameter(table)), (), "", made), (shape, made)
            case "reduce":
                axes = self.draw(st.sets(st.integers(0, 3), min_size=1))
                kind = self.draw(st.sampled_from(["sum", "max"]))
                zp = self.draw(st.integers(*(LIMITS[1])))
                reduced = tuple(1 if a in axes else s for a, s in enumerate(shape))
                return (name, (x,), (zp, *sorted(axes)), kind, made), (reduced, made)
            case "gather":
                indices = tuple(self.draw(index) for _ in range(count))
                return (name, (x,), (axis, *indices), "", element), (along, element)
            case "interpolate":
                places = [self.draw(index) for _ in range(2 * count)]
                weights = [self.draw(st.integers(0, 1 << 12)) for _ in range(2 * count)]
                immediates = (axis, count, *places, *weights)
                return (name, (x,), immediates, "", max(made, 4)), (along, max(made, 4))
            case "add" | "sub" | "mul" | "minimum" | "maximum" | "divide":
                return self._pair(name, x, shape, made)
            case _:
                return None

    def _pair(self, name, x, shape, element):
        limits = self._limits(element)
        immediates = (self.draw(st.integers(-3, 3)), *limits) if name == "divide" else ()
        y = self.draw(st.integers(-1, len(self.registers) - 1))
        if y < 0:
            other = tuple(s if self.draw(st.booleans()) else 1 for s in shape)
            second = self.parameter(self._values(other, self.draw(ELEMENTS)))
        else:
            second, other = y, self.registers[y][0]
        try:
            result = np.broadcast_shapes(shape, other)
        except ValueError:
            return None
        if math.prod(result) > 4000:
            return None
        return (name, (x, second), immediates, "", element), (result, element)

    def _factors(self, shape, bound):
        """Multipliers and shifts, of which some make ties and some saturate."""
        multiplier = self.rng.integers(-(1 << 31), 1 << 31, shape) >> self.rng.integers(
            0, 31, shape
        )
        multiplier &= -1 << int(self.rng.integers(0, 20))
        multiplier >>= max(bound.bit_length() - 31, 0)
        return multiplier.astype(np.int32), self.rng.integers(0, 63, shape).astype(np.int8)

    def _rescale(self, x, shape, element, reach):
        channels = shape[3] if self.draw(st.booleans()) else 1
        bound = reach + FARTHEST_ZERO_POINT
        factors = self._factors((1, 1, 1, channels), bound)
        if bound < 1 << 31 and self.draw(st.booleans()):  # as networks have them
            scales = 2.0 ** self.rng.uniform(-14, 1, channels)
            pairs = [fixed_point.quantize_multiplier(s) for s in scales]
            factors = (
                np.array([p[0] for p in pairs], np.int32).reshape(1, 1, 1, -1),
                np.array([p[1] for p in pairs], np.int8).reshape(1, 1, 1, -1),
            )
        operands = (x, *(self.parameter(f) for f in factors))
        return self._rescaled(operands, shape, element)

    def _rescale_by(self, x, shape, element, reach):
        """A factor of which a part is computed."""
        computed = self.draw(st.integers(0, len(self.registers) - 1))
        other = self.registers[computed][0]
        bound = reach + FARTHEST_ZERO_POINT
        multiplier, shift = self._factors((1, 1, 1, shape[3]), bound)
        if bound * self.bounds[computed] >= 1 << 62:
            return None
        try:
            if np.broadcast_shapes(shape, other) != shape:
                return None
        except ValueError:
            return None
        pair = (computed, self.parameter(shift)), (self.parameter(multiplier), computed)
        return self._rescaled((x, *self.draw(st.sampled_from(pair))), shape, element)

    def _rescaled(self, operands, shape, element):
        zps = self.draw(st.tuples(*[st.sampled_from([0, 0, 3, -128, FARTHEST_ZERO_POINT])] * 2))
        if element == 1:
            zps = zps[0], max(min(zps[1], 127), -128)
        immediates = (*zps, *self._limits(element))
        mode = self.draw(ROUNDINGS)
        return ("rescale", operands, immediates, mode, element), (shape, element)

    def _limits(self, element):
        if self.draw(st.booleans()):
            return LIMITS[element] if element < 8 else (-(1 << 47), (1 << 47) - 1)
        limits = st.integers(*LIMITS[min(element, 4)])
        return tuple(sorted((self.draw(limits), self.draw(limits))))

    def _values(self, shape, element):
        low, high = LIMITS[element] if element < 8 else (-(1 << 47), (1 << 47) - 1)
        few = self.draw(st.booleans())
        return self.rng.integers(*((1, 9) if few else (low, high)), shape, DTYPES[element])


def values_of(rng, shape, element):
    """Bytes of elements, of which wide ones are at times small."""
    low, high = LIMITS[element] if element < 8 else (-(1 << 47), (1 << 47) - 1)
    if element > 1 and rng.integers(2):
        low, high = -1000, 1000
    return rng.integers(low, high, shape, DTYPES[element]).reshape(-1).view(np.int8)


def simulate_whatever_happens(b, *arrays):
    """A divisor may be zero; then all say so."""
    with suppress(ExecutionFailure):
        simulate(b, *arrays)


@given(st.data())
def test_vector_programs(data):
    draw = data.draw
    rng = np.random.default_rng(draw(SEEDS))
    b = ProgramBuilder(slices=8)
    shape = draw(shapes((2, 4, 6, 9)))
    programs, tiles, arrays = Programs(draw, b, rng), [], []
    for _ in range(draw(st.integers(1, 3))):
        own, element = shape, draw(ELEMENTS)
        if tiles and draw(st.booleans()):
            own = tuple(s if draw(st.booleans()) else 1 for s in shape)
        tiles.append(wide_input(b, own, draw(layouts()), element))
        arrays.append(values_of(rng, own, element))
        programs.given(own, element)
    program, result, element = programs.program(draw(st.integers(1, 6)))
    if not program:
        result, element = programs.registers[0]
    layout = draw(layouts())
    command = Vector(
        tuple(tiles), tuple(programs.parameters), program,
        b.tile(result, element=element, **layout), 0,
    )  # fmt: skip
    b.output(b.kernel(command), dtype=f"int{8 * element}")
    simulate_whatever_happens(b, *arrays)


@given(
    st.sampled_from([(1 << 30) - 2, (1 << 31) - 2, (1 << 30) - 1, 5000]),
    st.lists(st.integers(31, 62), min_size=1, max_size=40),
    st.integers(-128, 127),
    SEEDS,
)
def test_double_rounding_at_the_ends_of_32_bits(reach, shifts, zp, seed):
    """What fits 32 bits all the way is rescaled so, and what just does not is not."""
    rng = np.random.default_rng(seed)
    channels = len(shifts)
    b = ProgramBuilder(slices=8)
    x = wide_input(b, (1, 3, 5, channels), {"slices": (3, 1), "order": "HWC"}, 4)
    ends = [-(1 << 31), 1 - (1 << 31), -1, 0, 1, (1 << 31) - 1]
    data = np.concatenate([rng.choice(ends, 7 * channels), rng.integers(*LIMITS[4], 8 * channels)])
    multipliers = rng.choice([-(1 << 31), (1 << 31) - 1, 1 << 30, 0, -1], (1, 1, 1, channels))
    parameters = (
        b.parameter(multipliers.astype(np.int32)),
        b.parameter(np.array(shifts, np.int8).reshape(1, 1, 1, -1)),
    )
    program = (
        Instruction("clamp", (0,), (-reach, reach), element=4),
        Instruction("rescale", (3, 1, 2), (0, zp, -128, 127), "double", 1),
    )
    result = b.tile((1, 3, 5, channels), (3, 1), "HWC")
    b.output(b.kernel(Vector((x,), parameters, program, result, 0)))
    simulate(b, data.astype(np.int32).view(np.int8))


@given(st.data(), convolutions(), st.booleans())
def test_convolutions_with_operands(data, conv, large):
    """An operand beside the accumulator, programs of several instructions, or none at all."""
    draw = data.draw
    rng = np.random.default_rng(draw(SEEDS))
    x_shape, weight_shape = conv["x"], conv["weight"]
    if large:  # several blocks of outputs, and terms enough for tiles of matrices
        group = conv["properties"]["group"]
        inner = draw(st.sampled_from([20, 40, 64, 70]))
        x_shape = (*x_shape[:3], group * inner)
        weight_shape = (group * draw(st.sampled_from([3, 17, 70])), *weight_shape[1:3], inner)
    weight = rng.integers(-128, 128, weight_shape, np.int8)
    b = ProgramBuilder(slices=8)
    x_layout = draw(layouts())
    x = b.input(x_shape, **x_layout)
    command = Dot(
        x=x, weight=b.constant(weight), weight_shape=weight_shape, bias=None, batched=False,
        operands=(), parameters=(), program=(), result=x, layer=0, **conv["properties"],
    )  # fmt: skip
    finish(draw, rng, b, command, 4, [rng.integers(-128, 128, x_shape, np.int8)])


@given(st.data())
def test_pools_with_operands(data):
    draw = data.draw
    rng = np.random.default_rng(draw(SEEDS))
    shape = draw(shapes((2, 7, 8, 20)))
    b = ProgramBuilder(slices=8)
    x = b.input(shape, **draw(layouts()))
    window = tuple(draw(st.integers(1, s)) for s in shape[1:3])
    kind = draw(st.sampled_from(["max", "sum"]))
    command = Pool(
        x, kind, window, draw(st.tuples(*[st.integers(1, 3)] * 2)), (1, 1),
        tuple(draw(st.integers(0, k - 1)) for k in window * 2), draw(st.integers(-128, 127)),
        (), (), (), x, 0,
    )  # fmt: skip
    finish(draw, rng, b, command, 1 if kind == "max" else 4, [
        rng.integers(-128, 128, shape, np.int8)
    ])  # fmt: skip


def finish(draw, rng, b, command, element, arrays):
    """Gives a kernel an epilogue and runs it."""
    try:
        shape = accumulator_shape(command)
    except ValueError:  # the window does not fit
        return
    programs, tiles = Programs(draw, b, rng), []
    programs.given(shape, element)
    if draw(st.booleans()):
        own = shape if draw(st.booleans()) else (1, 1, 1, shape[3])
        tiles.append(wide_input(b, own, draw(layouts()), 1))
        arrays.append(values_of(rng, own, 1))
        programs.given(own, 1)
    count = draw(st.integers(0, 4))
    program, result, made = programs.program(count) if count else ((), shape, element)
    if not program:
        result, made = shape, element
    layout = draw(layouts())
    command = replace(
        command, operands=tuple(tiles), parameters=tuple(programs.parameters), program=program,
        result=b.tile(result, element=made, **layout),
    )  # fmt: skip
    b.output(b.kernel(command), dtype=f"int{8 * made}")
    assume(b.sram <= b.machine.slice_bytes)  # a large one need not fit
    simulate_whatever_happens(b, *arrays)


@pytest.mark.parametrize("given", [1, 4])
@pytest.mark.parametrize("made", [1, 4])
@pytest.mark.parametrize("zero_point", [-(1 << 31), -129, 0, 129, (1 << 31) - 1])
def test_limits_that_a_zero_point_moves_out_of_32_bits(given, made, zero_point):
    """Every rounding, of numbers that 32 bits hold until the zero point is taken from them."""
    data = np.random.default_rng(0).integers(-128, 128, 16 * given).astype(np.int8)
    low, high = LIMITS[made]
    for limits in ((low, high), (high, high), (low, low), (0, high), (low, 0), (-5, 7)):
        for mode in fixed_point.ROUNDINGS:
            for multiplier, shift in ((1 << 30, 31), (-(1 << 31), 62), (3, 1)):
                b = ProgramBuilder(slices=8)
                x = wide_input(b, (1, 2, 4, 2), {"slices": (1, 1), "order": "HWC"}, given)
                factors = (
                    b.parameter(np.full((1, 1, 1, 1), multiplier, np.int32)),
                    b.parameter(np.full((1, 1, 1, 1), shift, np.int8)),
                )
                immediates = (0, zero_point, *limits)
                program = (Instruction("rescale", (0, 1, 2), immediates, mode, made),)
                result = b.tile((1, 2, 4, 2), element=made, slices=(1, 1), order="HWC")
                b.output(
                    b.kernel(Vector((x,), factors, program, result, 0)), dtype=f"int{8 * made}"
                )
                simulate(b, data)
