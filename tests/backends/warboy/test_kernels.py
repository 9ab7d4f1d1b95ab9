"""Every kind of kernel, in SRAM and tiled: the simulator agrees with `evaluate`."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.dialects.ftensor import arithmetic, contraction, i48
from furiosa_ir.lowering.registry import Emitter
from tests.backends.warboy.networks import Pieces
from tests.backends.warboy.segments import WARBOY, check, small_machine

LIMIT = 1 << 30

MACHINES = {
    "warboy": WARBOY,
    "8x4096": small_machine(4096, 8),
    "4x1024": small_machine(1024, 4),
    "3x1536": small_machine(1536, 3),
}


@pytest.fixture(params=MACHINES.values(), ids=MACHINES)
def machine(request: pytest.FixtureRequest) -> Machine:
    return request.param


CONVS = {
    "plain": {},
    "one": {"kernel": (1, 1), "pads": (0, 0, 0, 0)},
    "stride": {"strides": (2, 2), "pads": (0, 0, 1, 1)},
    "stride_one": {"kernel": (1, 1), "strides": (2, 2), "pads": (0, 0, 0, 0)},
    "stride_3": {"strides": (3, 2), "pads": (1, 0, 2, 1)},
    "dilated": {"dilations": (2, 3), "pads": (2, 3, 2, 3)},
    "group": {"group": 2},
    "depthwise": {"group": 4, "outputs": 4},
    "multiplier": {"group": 4, "outputs": 12, "strides": (2, 1)},
    "weight_zp": {"weight_zp": 7, "bias": False},
    "transposed": {"input_dilation": (2, 2), "pads": (1, 1, 2, 2)},
    "transposed_3": {"input_dilation": (3, 2), "pads": (2, 1, 0, 1), "kernel": (3, 2)},
    "transposed_cropped": {"input_dilation": (2, 2), "pads": (-1, 0, -1, 1), "kernel": (2, 2)},
    "wide_kernel": {"kernel": (5, 1), "pads": (2, 0, 2, 0)},
}


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("form", CONVS)
def test_conv(form: str, layout: str, machine: Machine) -> None:
    options = dict(CONVS[form])
    outputs = options.pop("outputs", 8)
    at = {"N": 2, "C": 4, "H": 9, "W": 10}
    shape = [at[d] for d in layout]
    check(
        [shape],
        lambda e, a: Pieces(e).conv(a[0], outputs, layout=layout, **options),
        machine,
    )


def test_conv_raw_accumulator_in_two_uses(machine: Machine) -> None:
    def build(e, a):
        acc = Pieces(e).conv(a[0], 4, rescale=False)
        first = e.rescale(acc, 1, 9, rounding="even")
        second = e.rescale(acc, 1, 10, rounding="up")
        return [first, second]

    check([(1, 3, 6, 5)], build, machine)


@pytest.mark.parametrize("slices", [1, 2, 3])
@pytest.mark.parametrize("width", [100, 200])
@pytest.mark.parametrize(("pad", "dilation"), [(3, 1), (5, 1), (6, 2)])
def test_more_padding_than_a_step_has_rows(
    slices: int, width: int, pad: int, dilation: int
) -> None:
    def build(e: Emitter, a: list[SSAValue]) -> SSAValue:
        kernel = (pad // dilation + 1, 1)
        pads = (pad, 0, pad, 0)
        return Pieces(e).conv(a[0], 1, kernel, pads=pads, dilations=(dilation, 1))

    check([[1, 1, 22, width]], build, small_machine(2048, slices))


@pytest.mark.parametrize("kind", ["max", "sum"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_pool(kind: str, layout: str, machine: Machine) -> None:
    at = {"N": 2, "C": 5, "H": 11, "W": 7}
    shape = [at[d] for d in layout]
    check([shape], lambda e, a: Pieces(e).pool(a[0], kind, layout=layout, x_zp=3), machine)


@pytest.mark.parametrize("shape", [(1, 24), (5, 24), (2, 3, 24), (2, 3, 4, 24), (2, 2, 3, 2, 24)])
@pytest.mark.parametrize("transpose_b", [0, 1])
def test_fully_connected(shape: tuple[int, ...], transpose_b: int, machine: Machine) -> None:
    check(
        [shape],
        lambda e, a: Pieces(e).matmul(a[0], 10, transpose_b=transpose_b, bias=True),
        machine,
    )


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((4, 6), (6, 5)),
        ((3, 4, 6), (3, 6, 5)),
        ((2, 3, 4, 6), (2, 3, 6, 5)),
        ((2, 3, 4, 6), (6, 5)),
        ((2, 3, 4, 6), (3, 6, 5)),
        ((2, 1, 4, 6), (1, 3, 6, 5)),
        ((2, 1, 3, 4, 6), (2, 2, 3, 6, 5)),
    ],
)
@pytest.mark.parametrize("transpose_b", [0, 1])
def test_matmul_of_activations(
    a: tuple[int, ...], b: tuple[int, ...], transpose_b: int, machine: Machine
) -> None:
    if transpose_b:
        b = (*b[:-2], b[-1], b[-2])
    check(
        [a, b],
        lambda e, x: Pieces(e).matmul(x[0], x[1], transpose_b=transpose_b),
        machine,
    )


def test_matmul_with_itself(machine: Machine) -> None:
    check([(3, 6, 6)], lambda e, x: Pieces(e).matmul(x[0], x[0], transpose_b=1), machine)


@pytest.mark.parametrize(
    ("shape", "axis"), [((1, 10), 1), ((2, 5, 6), 2), ((1, 4, 5, 6), 1), ((2, 3, 4, 5, 6), 2)]
)
def test_softmax(shape: tuple[int, ...], axis: int, machine: Machine) -> None:
    if machine.sram_bytes < 8192:
        machine = small_machine(2048, 4)  # the two tables of exp take 4 KiB
    check([shape], lambda e, a: Pieces(e).softmax(a[0], axis), machine)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((1, 6, 7, 7), (2, 3)),
        ((2, 7, 7, 6), (1, 2)),
        ((3, 8), (1,)),
        ((2, 3, 4, 5, 6), (2, 3, 4)),
        ((2, 3, 4, 5, 6, 2), (4, 5)),
        ((9,), (0,)),
    ],
)
def test_mean(shape: tuple[int, ...], axes: tuple[int, ...], machine: Machine) -> None:
    check([shape], lambda e, a: Pieces(e).mean(a[0], axes), machine)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((), ()),
        ((7,), (7,)),
        ((3, 7), (7,)),
        ((3, 7), (3, 1)),
        ((2, 3, 4, 5), (3, 1, 1)),
        ((2, 3, 4, 5), (2, 1, 1, 5)),
        ((1, 3, 1, 5), (2, 1, 4, 1)),
        ((2, 3, 4, 5, 6), (5, 6)),
        ((2, 3, 4, 5, 6), (2, 1, 4, 5, 6)),
        ((2, 3, 4, 5, 6, 2), (2, 3, 4, 5, 6, 2)),
        ((2, 3, 2, 2, 3, 2), (3, 2, 2, 1, 1)),
    ],
)
def test_broadcasting_sum(a: tuple[int, ...], b: tuple[int, ...], machine: Machine) -> None:
    check([a, b], lambda e, x: Pieces(e).add(x[0], x[1]), machine)


@pytest.mark.parametrize(
    "shape", [(), (4,), (6, 1), (6, 4), (2, 5, 1, 1), (1, 5, 6, 4), (2, 1, 6, 4), (2, 5, 6, 4)]
)
def test_sum_with_constant(shape: tuple[int, ...], machine: Machine) -> None:
    def build(e, a):
        other = e.constant(np.random.default_rng(3).integers(-128, 128, shape), i8)
        return Pieces(e).add(a[0], other)

    check([(2, 5, 6, 4)], build, machine)


@pytest.mark.parametrize("axis", range(4))
def test_constant_along_a_reduced_axis(axis: int, machine: Machine) -> None:
    """No tile cuts the axis, so a parameter along it is read whole."""

    def build(e, a):
        shape = (2, 5, 6, 4)
        other = np.random.default_rng(3).integers(-999, 999, shape[axis])
        wide = e.rescale(
            a[0], 1000, 0, rounding="floor", minimum=-LIMIT, maximum=LIMIT, element=i32
        )
        key = e.emit(arithmetic.AddOp, [wide, e.constant(e.along(other, axis, 4), i32)], i32)
        key = e.emit(contraction.ReduceOp, [key], i32, kind="max", axes=[axis], x_zp=0)
        return e.rescale(key, 1, 10, rounding="floor")

    check([(2, 5, 6, 4)], build, machine)


def test_elementwise_of_one_tensor(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        x = p.lookup(a[0])
        product = e.emit(arithmetic.MulOp, [p.wide(x), p.wide(p.lookup(x))], i48)
        y = e.rescale(product, 1, 46, rounding="away", output_zp=3)
        top = e.emit(arithmetic.MaximumOp, [y, a[0]], i8)
        return e.emit(arithmetic.ClampOp, [top], i8, minimum=-100, maximum=50)

    check([(2, 6, 5, 7)], build, machine)


def test_silu_epilogue_is_one_kernel(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        x = p.conv(a[0], 6)
        gate = p.lookup(x)
        product = e.emit(arithmetic.MulOp, [p.wide(x), p.wide(gate)], i48)
        return e.rescale(product, 1, 46, rounding="even")

    program = check([(1, 3, 8, 8)], build, machine)
    assert len(program.layers) == 1


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (2, 1, 6, 3), (1, 8, 3, 3)])
def test_resize(shape: tuple[int, ...], machine: Machine) -> None:
    check([shape], lambda e, a: Pieces(e).bilinear(a[0], (2, 3)), machine)
    check(
        [shape],
        lambda e, a: Pieces(e).gather(
            Pieces(e).gather(a[0], 2, [i // 2 for i in range(2 * shape[2])]), 3, [0, 0, 2, 1]
        ),
        machine,
    )
