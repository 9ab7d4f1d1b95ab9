"""The planner's parts by themselves: views, strides, addresses, tokens."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.backends.warboy import planning
from furiosa_ir.backends.warboy.command_cost import busiest_slice
from furiosa_ir.backends.warboy.commands.constant_section import ALIGNMENT, build_section, lay_out
from furiosa_ir.backends.warboy.dialect.kernels import CopyOp, KernelOp
from furiosa_ir.backends.warboy.enf.commands import ENGINE, kind_of
from furiosa_ir.backends.warboy.enf.records import Copy
from furiosa_ir.backends.warboy.planning import geometry, layout_choice, views
from furiosa_ir.backends.warboy.planning.layout_choice import whole_tile
from furiosa_ir.backends.warboy.planning.layouts import best_layout, layouts
from furiosa_ir.compiler import compile_source
from furiosa_ir.ir.constants import Constant
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Instrumentation
from tests.backends.warboy.networks import Pieces
from tests.backends.warboy.segments import WARBOY, check, small_machine
from tests.conftest import DIGITS


def test_the_package_says_what_each_module_answers() -> None:
    assert planning.__file__ is not None
    modules = {p.stem for p in Path(planning.__file__).parent.glob("*.py")} - {"__init__"}
    rows = [line for line in (planning.__doc__ or "").splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall("`(.+?)`", row.split("|")[1])} == modules


EXTENTS = st.lists(st.integers(1, 4), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("shape", "view", "target", "expected"),
    [
        ((1, 8, 4, 4), "NCHW", (1, 8, 16), None),
        ((2, 8, 1, 1), "NCHW", (2, 8), "NC"),
        ((2, 5, 8), "NWC", (2, 5, 2, 4), "NWCC"),
        ((2, 5, 2, 4), "NWCC", (2, 5, 8), "NWC"),
        ((2, 6), "HC", (12,), None),
        ((1, 1), "HC", (), ""),
    ],
)
def test_view_through_reshape(shape, view, target, expected) -> None:
    found = views.through_reshape(shape, view, target)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert views.layout_key(target, found) == views.layout_key(shape, view)
    assert views.layout_key(target, found) == views.layout_key(target, expected)


@st.composite
def regrouped(draw: st.DrawFn, shape: Sequence[int]) -> list[int]:
    """Another shape of as many elements: axes joined, those of 4 torn apart before."""
    factors = [f for n in shape for f in ([2, 2] if n == 4 else [n])]
    cuts = draw(st.lists(st.booleans(), min_size=len(factors), max_size=len(factors)))
    target: list[int] = []
    for factor, cut in zip(factors, cuts, strict=True):
        if cut or not target:
            target.append(factor)
        else:
            target[-1] *= factor
    return target


@given(shape=EXTENTS, data=st.data())
def test_strides_of_reshapes(shape: list[int], data: st.DataObject) -> None:
    """Where strides are found, they address the same elements; dense tensors always have some."""
    perm = data.draw(st.permutations(range(len(shape))))
    array = np.arange(np.prod(shape)).reshape(shape).transpose(perm)
    target = data.draw(regrouped(array.shape))
    found = views.reshape_strides(array.shape, array.strides, target)
    if array.flags.c_contiguous:
        assert found is not None
    if found is not None:
        seen = np.lib.stride_tricks.as_strided(array, target, found)
        np.testing.assert_array_equal(seen, array.reshape(target))


@given(shape=EXTENTS, data=st.data())
def test_runs_of_reshapes(shape: list[int], data: st.DataObject) -> None:
    """Of a part of an array, each axis of another shape has the elements that its runs say."""
    axis = data.draw(st.integers(0, len(shape) - 1))
    outer = [n + (d == axis) for d, n in enumerate(shape)]
    whole = np.arange(np.prod(outer)).reshape(outer)
    array, target = np.delete(whole, -1, axis), data.draw(regrouped(shape))
    strides = [s // whole.itemsize for s in whole.strides]
    axes = views.reshape_runs(shape, strides, target)
    if axes is None:
        return
    event("in runs" if max(map(len, axes)) > 1 else "by strides")
    at = np.zeros((), np.int64)
    for extent, runs in zip(target, axes, strict=True):
        along = np.zeros(1, np.int64)
        for count, stride in runs:
            along = (along[:, None] + np.arange(count) * stride).reshape(-1)
        assert along.size == extent
        at = at[..., None] + along
    np.testing.assert_array_equal(whole.reshape(-1)[at], array.reshape(target))


@given(shape=EXTENTS)
def test_strides_of_views(shape: list[int]) -> None:
    view = views.default_view(shape)
    dense = views.row_major(shape, 1)
    folded = views.strides4(shape, view, dense)
    assert folded is not None
    again = views.axis_strides(shape, view, folded)
    for extent, stride, expected in zip(shape, again, dense, strict=True):
        assert extent == 1 or stride == expected


@given(st.tuples(*[st.integers(1, 70)] * 4), st.sampled_from([1, 4, 8]))
def test_layouts_hold_the_buffer(shape: tuple[int, int, int, int], element: int) -> None:
    for layout in layouts(shape, element, 64, 32):
        slices = layout.images * layout.slices[0] * layout.slices[1]
        assert slices <= 64
        assert layout.slice_bytes % 32 == 0
        assert layout.slice_bytes * slices >= np.prod(shape) * element
        tile = whole_tile(shape, layout, element)
        assert tile.slice_bytes == layout.slice_bytes
        n, rows, _, channels = busiest_slice(tile)
        assert (n * rows, channels) == (layout.rows, layout.channels)
    assert best_layout(shape, element, WARBOY) in layouts(shape, element, 64, 32)


@pytest.mark.parametrize("name", ["digits_int8.tflite", "digits_qdq_int8.onnx"])
def test_geometry_is_computed_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `plan-tiles`; what comes later reads the plan, which says the same."""
    computed: list[KernelOp] = []

    def counted(kernel: KernelOp) -> geometry.Geometry:
        computed.append(kernel)
        return kernel_geometry(kernel)

    kernel_geometry = geometry.kernel_geometry
    for module in [m for n, m in sys.modules.items() if n.startswith("furiosa_ir.")]:
        if vars(module).get("kernel_geometry") is kernel_geometry:
            monkeypatch.setattr(module, "kernel_geometry", counted)
    plans = _Plans()
    compile_source(DIGITS / name, instrumentation=(plans,))
    assert computed == plans.kernels
    assert plans.planned == [kernel_geometry(kernel) for kernel in plans.fresh]


class _Plans(Instrumentation):
    """The kernels with steps as `schedule` finds them."""

    def before_pass(self, what: Pass, module: ModuleOp) -> None:
        if what.name == "schedule":
            self.kernels = [op for op in module.walk() if isinstance(op, KernelOp)]
            self.kernels = [op for op in self.kernels if not isinstance(op, CopyOp)]
            self.planned = [geometry.planned_geometry(op) for op in self.kernels]
            copy = module.clone()
            self.fresh = [op for op in copy.walk() if isinstance(op, KernelOp)]
            self.fresh = [op for op in self.fresh if not isinstance(op, CopyOp)]


def test_small_images_take_little_room() -> None:
    """7x7x2048 is held by channels in order HWC: 64 channels a line, no padding."""
    layout = best_layout((1, 7, 7, 2048), 1, WARBOY)
    assert layout.slice_bytes <= 7 * 7 * 2048 // 64 * 1.2
    assert best_layout((1, 1, 1, 2048), 1, WARBOY).slice_bytes == 32


def test_waits_cover_every_hazard() -> None:
    """Of two commands of different engines on the same bytes, the later one waits."""

    def build(e, a):
        p = Pieces(e)
        x = p.conv(a[0], 12)
        return p.add(p.conv(p.conv(x, 12), 12), x)

    program = check([(2, 4, 12, 12)], build, small_machine(2048, 4))
    segment = program.segments[0]
    commands = segment.commands
    done: dict[str, int] = {"dma": -1, "npu": -1}
    waited: list[dict[str, int]] = []
    for command in commands:
        engine = ENGINE[type(command)]
        for wait in command.waits:
            other = ENGINE[type(commands[wait])]
            assert other != engine, "an engine's own order needs no token"
            assert wait > done[engine], "a wait that an earlier one implies"
            done[engine] = wait
        waited.append(dict(done))
    for later, command in enumerate(commands):
        if isinstance(command, Copy):
            continue
        reads, writes = _reads(command), _writes(command)
        for earlier, other in enumerate(commands[:later]):
            if ENGINE[type(other)] == ENGINE[type(command)] or isinstance(other, Copy):
                continue
            theirs = _writes(other)
            conflict = _meet(theirs, [*reads, *writes]) or _meet(_reads(other), writes)
            if conflict:
                assert waited[later][ENGINE[type(command)]] >= earlier


def _reads(command):
    return kind_of(command).sram_read(command)


def _writes(command):
    place = kind_of(command).sram_written(command)
    return [] if place is None else [place]


def _meet(some, others) -> bool:
    return any(
        a.address < b.address + b.slice_bytes and b.address < a.address + a.slice_bytes
        for a in some
        for b in others
    )


def test_constants_lie_once_and_aligned() -> None:
    rng = np.random.default_rng(0)
    big = rng.integers(-128, 128, (64, 200), dtype=np.int8)
    arrays = [big, np.arange(5, dtype=np.int32), big.copy(), np.arange(5, dtype=np.int32), big + 1]
    constants = [Constant(array) for array in arrays]
    layout = lay_out(constants)
    assert layout.addresses[0] == layout.addresses[2]
    assert layout.addresses[1] == layout.addresses[3]
    assert layout.addresses[4] not in layout.addresses[:4]
    assert all(address % ALIGNMENT == 0 for address in layout.addresses)
    section = bytes(build_section(constants, layout))
    for array, address in zip(arrays, layout.addresses, strict=True):
        assert section[address : address + array.nbytes] == array.tobytes()


def test_what_is_known_of_kernels_changes_no_program():
    """Costs are kept by kernel shape for the next plan of this process, whichever came before."""
    sources = sorted(DIGITS.glob("digits*int8.*"))
    alone: list[bytes] = []
    for source in sources:
        layout_choice.forget()
        alone.append(compile_source(source).enf or b"")
    layout_choice.forget()
    for source, program in [*zip(sources, alone, strict=True)] * 2:
        assert compile_source(source).enf == program
