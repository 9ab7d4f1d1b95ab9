"""What passes say of layers: that it is said where it holds, and that its figures are true."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from furiosa_ir.backends.warboy.enf.commands import ENGINE, kind_of
from furiosa_ir.backends.warboy.enf.records import (
    Command,
    Copy,
    DramFlat,
    Load,
    NpuSegment,
    SramFlat,
    Store,
)
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.layouts import sram_bytes
from furiosa_ir.backends.warboy.simulator.timeline import timeline
from furiosa_ir.compiler import default_pipeline
from furiosa_ir.dialects.ftensor.arithmetic import ClampOp
from furiosa_ir.driver import compile_source
from furiosa_ir.instrumentation.layers import LayerFilter
from furiosa_ir.instrumentation.remarks import Remarks
from furiosa_ir.instrumentation.rewrite_log import RewriteLog
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.remarks import heard, held_remarks, missed, passed, say_all
from furiosa_ir.ir.rewrite_watch import RewriteListener, watched_rewrites
from furiosa_ir.ir.rewriting import Rewrite, rule
from furiosa_ir.ir.text import parse_module
from furiosa_ir.program import Program
from furiosa_ir.tools.opt import main
from tests.conftest import DIGITS

ROOT = Path(__file__).parents[2]
FILECHECK = ROOT / "tests" / "filecheck"
T = "tensor<4xi8>"


def said(text: str, passes: str, *options: str) -> list[str]:
    """The remarks of a pipeline on a module, without their `REMARK: `."""
    result = CliRunner().invoke(main, ["-p", passes, "--remarks=all", *options], input=text)
    assert result.exit_code == 0, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("REMARK: ")]
    return [line.removeprefix("REMARK: ") for line in lines]


def of_file(name: str) -> list[str]:
    """The remarks of a lit test's pipeline."""
    text = (FILECHECK / name).read_text(encoding="utf-8")
    passes = re.search(r"// RUN: furiosa-opt %s -p \"?([^ \"]+)", text)
    assert passes, text
    return said(text, passes[1])


NUMBERS = f"""
  %m = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
  %s = ftensor.constant #graph.blob<i8 [] (31)> : tensor<i8>
  %r = ftensor.rescale %x, %m, %s {{rounding = "double"}} : {T} loc("scaled")
"""


def test_a_clamp_with_a_second_reader():
    text = f"""func.func @f(%x: tensor<4xi32>) -> ({T}, {T}) {{ {NUMBERS}
      %c = ftensor.clamp %r {{minimum = 0, maximum = 9}} : {T} loc("relu")
      func.return %c, %r : {T}, {T}
    }}"""
    assert said(text, "ftensor-fold-clamps") == [
        (
            "missed: layer relu: ftensor-fold-clamps/clamp: it is no range of the rescale before "
            "it, which is read by func.return as well; let all of them read what is clamped"
        )
    ]
    assert said(text.replace("%c, %r", "%c, %c"), "ftensor-fold-clamps") == [
        "passed: layer relu: ftensor-fold-clamps/clamp: it is the range of the rescale before it"
    ]


def silu(result: str) -> str:
    return f"""func.func @silu(%x : {T}) -> ({T}, tensor<4xi32>) {{
      %one = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
      %zero = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
      %a = ftensor.rescale %x, %one, %zero {{minimum = -1024, maximum = 1023, rounding = "floor"}}
        : tensor<4xi32>
      %p = ftensor.mul %a, %a : tensor<4xi32>
      %y = ftensor.rescale %p, %one, %zero {{rounding = "double"}} : {T} loc("square")
      %q = ftensor.add %one, %one : tensor<i32>
      %w = ftensor.rescale %x, %one, %zero {{minimum = -9, maximum = 9, rounding = "floor"}}
        : tensor<4xi32>
      func.return %y, {result} : {T}, tensor<4xi32>
    }}"""


def test_a_table_whose_steps_are_read_elsewhere():
    (refused,) = said(silu("%p"), "ftensor-fuse-tables")
    assert refused == (
        "missed: layer square: ftensor-fuse-tables/table: 3 operations on one 8-bit value are no "
        "lookup: what is computed on the way is read by func.return"
    )
    (fused,) = said(silu("%w"), "ftensor-fuse-tables")
    assert fused == "passed: layer square: ftensor-fuse-tables/table: 3 operations are one lookup"


SCALED = "!quant.uniform<i8:f32, 0.5>"


def network(body: str, results: str, count: int = 1) -> str:
    """A TFLite network of a convolution %conv of 1x4x4x8, and what follows it."""
    y = f"tensor<1x4x4x8x{SCALED}>"
    types = ", ".join([y] * count)
    attributes = ", ".join(f'{y} {{graph.name = "y{i}"}}' for i in range(count))
    return f"""builtin.module attributes {{graph.source = "tflite"}} {{
      func.func @main(%x: tensor<1x4x4x4x{SCALED}> {{graph.name = "x"}}) -> ({attributes}) {{
        %w = graph.constant #graph.blob<i8 [8, 1, 1, 4] (1)> : tensor<8x1x1x4x{SCALED}>
        %conv = graph.conv %x, %w {{layout = "NHWC", kernel_layout = "OHWI"}} : {y} loc("conv")
        {body.replace("Y", y)}
        func.return {results} : {types}
      }}
    }}"""


KERNELS = (
    "assign-target{npu=warboy},graph-partition,lower-to-ftensor,ftensor-fold-clamps,fuse-kernels"
)


def test_a_kernel_of_its_own_for_a_second_reader():
    tanh = '%t = graph.tanh %conv : tensor<1x4x4x8x!quant.uniform<i8:f32, 0.0078125>> loc("tanh")'
    add = '%a = graph.add %conv, %t : Y loc("add")'
    both = said(network(f"{tanh} {add}", "%a"), KERNELS)
    assert [line for line in both if line.startswith("missed")] == []
    two = said(network('%a = graph.relu %conv : Y loc("relu")', "%a, %conv", 2), KERNELS)
    assert (
        "missed: layer relu: fuse-kernels/second-use: a kernel of its own (1 operation) beside "
        "ftensor.rescale of layer conv, whose 128 bytes it reads: it is read by func.return, too, "
        "and one result leaves a kernel"
    ) in two


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (
            "backends/warboy/passes/fuse_kernels-pad.mlir",
            (
                "missed: ftensor.reduce_window in @npu_3: fuse-kernels/pad: ftensor.pad in front "
                "of it is no padding of its window: it is of -100, and what the window reads may "
                "be less"
            ),
        ),
        (
            "backends/warboy/passes/assign_views.mlir",
            (
                "missed: warboy.pool in @npu_2: assign-views/relayout: its operand of an argument "
                "is copied, 64 bytes by way of DRAM: it comes with the axes NCHW of [1, 4, 4, 4], "
                "and is read with NHWC"
            ),
        ),
        (
            "backends/warboy/passes/assign_views.mlir",
            (
                "missed: ftensor.reshape in @npu_1: assign-views/copy: it is a copy of 48 bytes by "
                "way of DRAM, no view: [1, 2, 3, 8] with the axes NHWC is no renaming of [1, 2, 4, "
                "6] with the axes NCHW"
            ),
        ),
        (
            "backends/warboy/passes/assign_views.mlir",
            (
                "missed: ftensor.concat in @npu_4: assign-views/part: its part of an argument, 48 "
                "bytes, is copied in SRAM: no kernel has it for its own result"
            ),
        ),
        (
            "backends/warboy/four_dimensions.mlir",
            (
                "missed: ftensor.maximum in @npu_1: fuse-kernels/movement-between: a kernel of its "
                "own (1 operation) beside ftensor.broadcast, whose 720 bytes it reads"
            ),
        ),
        (
            "lowering/exact/movement/concat.mlir",
            (
                "missed: layer y: lower-to-ftensor/requantised: operand 1 passes a table before "
                "it: its scale and zero point are 0.25:-5, the result's 0.5:3"
            ),
        ),
        (
            "passes/fold_space_to_batch.mlir",
            (
                "missed: graph.batch_to_space in @npu_1: graph-fold-space-to-batch/dilated: it "
                "makes no dilated convolution of graph.conv: more is cropped than padded"
            ),
        ),
        (
            "passes/sink_movement.mlir",
            "missed: graph.add in @npu_3: graph-sink-movement/movement: transposes stay before it",
        ),
        (
            "backends/warboy/passes/plan_tiles-columns.mlir",
            "passed: layer y: plan-tiles/overlap: in 4 tiles of 1x128x32x64: while one is made, ",
        ),
        (
            "backends/warboy/passes/plan_tiles-tiles.mlir",
            "missed: layer y: plan-tiles/tiles: in 4 tiles of 1x112x448x64, the result being ",
        ),
        (
            "backends/warboy/passes/copy_parts.mlir",
            "passed: warboy.pool in @npu_0: copy-parts/part: its result is copied into a ",
        ),
        (
            "backends/warboy/passes/pair_kernels.mlir",
            "passed: warboy.pool in @npu_0: pair-kernels/beside: it runs on one PE while the ",
        ),
    ],
)
def test_what_small_modules_are_told(file: str, expected: str):
    assert any(line.startswith(expected) for line in of_file(file)), "\n".join(of_file(file))


def test_a_rule_that_applies_later_has_said_nothing():
    """The first clamp is refused while the second reads its rescale, and then is not."""
    text = f"""func.func @f(%x: tensor<4xi32>) -> {T} {{ {NUMBERS}
      %c = ftensor.clamp %r {{minimum = 0, maximum = 9}} : {T} loc("first")
      %d = ftensor.clamp %r {{minimum = 1, maximum = 8}} : {T} loc("dead")
      func.return %c : {T}
    }}"""
    assert [line.partition(":")[0] for line in said(text, "ftensor-fold-clamps")] == ["passed"]


def test_remarks_that_are_held_are_said_by_whom_they_are_handed_to():
    module = parse_module(f"func.func @f(%x: {T}) -> {T} {{ func.return %x : {T} }}")
    (function,) = module.ops
    heard_of: list[str] = []
    with watched_rewrites("mine", [Remarks(heard_of.append)]):
        assert heard()
        with held_remarks() as first:
            missed(function, "one", "first {n}", n=1)
        with held_remarks() as second, held_remarks() as inner:
            missed(function, "two", "second")
        assert second == []
        assert heard_of == []
        say_all([*first, *inner])
    assert heard_of == [
        "REMARK: missed: func.func in @f: mine/one: first 1",
        "REMARK: missed: func.func in @f: mine/two: second",
    ]


def test_nothing_is_made_where_nobody_listens(monkeypatch: pytest.MonkeyPatch):
    """Also while a log of rewrites does."""

    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("furiosa_ir.ir.remarks.Remark", fail)
    compile_source(DIGITS / "digits_int8.tflite", instrumentation=[RewriteLog(lambda _: None)])
    with watched_rewrites("mine", [RewriteListener()]):
        assert not heard()


def test_the_kinds_the_passes_and_the_layers_that_are_asked_for():
    def shown(*options: str) -> list[str]:
        network = str(DIGITS / "digits_qdq_int8.onnx")
        result = CliRunner().invoke(main, [network, "--to", "warboy", *options])
        assert result.exit_code == 0, result.stderr
        return result.stderr.splitlines()

    everything = shown("--remarks=all")
    kinds = Counter(re.findall(r"^REMARK: (\w+): ", "\n".join(everything), re.MULTILINE))
    assert set(kinds) == {"passed", "missed", "analysis"}
    for kind in kinds:
        assert shown(f"--remarks={kind}") == [n for n in everything if f"REMARK: {kind}:" in n]
    assert shown("--remarks") == shown("--remarks=missed")
    of_fusion = [line for line in everything if " fuse-kernels/" in line]
    assert shown("--remarks=all", "--remarks-from", "fuse-kernels") == of_fusion
    one = [line for line in everything if " schedule/slices:" in line]
    assert one
    assert shown("--remarks=all", "--remarks-from=schedule/slices") == one
    assert all("stem" in line for line in shown("--remarks=all", "--only", "stem*"))
    entries = [json.loads(line) for line in shown("--remarks=all,json")]
    assert len(entries) == len(everything)
    for entry, line in zip(entries, everything, strict=True):
        assert f"{entry['pass']}/{entry['name']}: " in line
        assert entry["message"] in line
        for value in entry["figures"].values():
            text = value if isinstance(value, str) else f"{value:,}".removesuffix(".0")
            assert text in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--remarks=lost"], "'lost' is none of 'passed'"),
        (["--remarks=text,json"], "exclude each other"),
        (["--remarks", "--remarks-from=plan-tile"], "did you mean 'plan-tiles'?"),
        (["--remarks-from=plan-tiles"], "give --remarks, too"),
    ],
)
def test_what_is_wrong_is_refused(options: list[str], message: str):
    network = str(DIGITS / "digits_int8.tflite")
    result = CliRunner().invoke(main, [network, "--to", "graph", *options])
    assert result.exit_code in (1, 2)
    assert message in result.stderr


def test_remarks_say_why_an_operator_stays_on_the_host():
    text: list[str] = []
    lines: list[str] = []
    other: list[str] = []
    compile_source(
        DIGITS / "digits_qdq_int8.onnx",
        target_ir="graph",
        instrumentation=[
            Remarks(text.append, kinds=frozenset({"missed"})),
            Remarks(lines.append, as_json=True, passes=frozenset({"graph-partition/host"})),
            Remarks(other.append, layers=LayerFilter(("image_*",))),
        ],
    )
    assert [json.loads(line)["layers"] for line in lines] == [
        ["image_QuantizeLinear"],
        ["probabilities_DequantizeLinear"],
    ]
    assert other == text[:1]
    assert text[0].startswith(
        "REMARK: missed: layer image_QuantizeLinear: graph-partition/host: Hint [5]: "
    )


def test_a_rule_of_ones_own():
    @rule
    def mine(op: ClampOp, rw: Rewrite):
        """clamp(x) = clamp(x)."""
        rw.remark("it is {fine} as it is")
        passed(op, "mine", "seen {times} {times:time|times} of {of} {of:time|times}", times=1, of=2)

    @dataclass(frozen=True)
    class Mine(RewritePass):
        """Does nothing."""

        name = "test-remarks-mine"
        rules = (mine,)

    text = f"""func.func @f(%x: {T}) -> {T} {{
      %c = ftensor.clamp %x {{minimum = 0, maximum = 9}} : {T} loc("a")
      func.return %c : {T}
    }}"""
    assert said(text, Mine.name) == [
        "missed: layer a: test-remarks-mine/rule: it is {fine} as it is",
        "passed: layer a: test-remarks-mine/mine: seen 1 time of 2 times",
    ]


def test_the_page_has_every_remark():
    """Those that calls name, and the names that fusion chooses of."""
    page = (ROOT / "docs" / "watching-passes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[a-z-]+/.*?) \|", page, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"/([a-z-]+)`", row)}
    called: set[str] = set()
    for path in (ROOT / "furiosa_ir").rglob("*.py"):
        code = path.read_text(encoding="utf-8")
        if "furiosa_ir.ir.remarks import" in code:
            called |= set(
                re.findall(
                    r'\b(?:missed|passed|analysis|tell)\(\s*[^"()]*(?:\([^()]*\))?,\s*"([a-z-]+)"',
                    code,
                )
            )
        if path.name == "fusion_remarks.py":
            names = re.search(r"_NAMES = \((.*?)\n\)", code, re.DOTALL)
            assert names
            called |= set(re.findall(r'"([a-z-]+)"', names[1]))
    assert len(called) > 25
    assert listed == called


# Their truth, on a network that does not fit: the figures against the program that comes out.

Figures = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """A compile for one PE, and what was said on the way."""

    program: Program
    entries: list[dict[str, Any]]

    def figures(self, name: str) -> list[tuple[str, Figures]]:
        """(layers joined, figures) of each remark `PASS/NAME`."""
        return [
            ("+".join(e["layers"]), e["figures"])
            for e in self.entries
            if f"{e['pass']}/{e['name']}" == name
        ]

    @property
    def segment(self) -> NpuSegment:
        (segment,) = (s for s in self.program.segments if isinstance(s, NpuSegment))
        return segment

    def commands(self, layers: str) -> list[Command]:
        (number,) = (i for i, row in enumerate(self.rows) if row == layers)
        return [c for c in self.segment.commands if c.layer == number]

    @property
    def rows(self) -> list[str]:
        """Names of the layers of the program, as commands count them."""
        return [row.name for row in self.program.layers]


@pytest.fixture(scope="module")
def told(corpus: Callable[[str], Path]) -> Told:
    return compiled(corpus("ssd_resnet34_1200_qdq_int8.onnx"))


def compiled(source: Path) -> Told:
    """Without bands, which leave nothing to be told of."""
    lines: list[str] = []
    remarks = Remarks(lines.append, as_json=True)
    made = compile_source(
        source,
        target="warboy",
        passes=default_pipeline().skip("split-columns"),
        instrumentation=[remarks],
    )
    assert made.program is not None
    return Told(made.program, [json.loads(line) for line in lines])


def is_npu(command: Command) -> bool:
    return ENGINE[type(command)] == "npu"


def test_tiles_are_the_steps_of_the_program(told: Told):
    """And a layer that is not told of has one; what one would take does not fit."""
    tiles = told.figures("plan-tiles/tiles")
    assert len(tiles) > 6
    overlapping = dict(told.figures("plan-tiles/overlap"))
    for layers, figures in tiles:
        assert sum(map(is_npu, told.commands(layers))) == figures["tiles"]
        assert figures["need"] + figures["others"] > figures["capacity"]
        whole, tile = ([int(n) for n in figures[key].split("x")] for key in ("result", "tile"))
        assert prod(-(-a // b) for a, b in zip(whole, tile, strict=True)) == figures["tiles"]
    for layers in {*told.rows} - {layers for layers, _ in tiles} - {*overlapping}:
        assert sum(map(is_npu, told.commands(layers))) <= 1


def size(place: Any) -> int:
    return place.size if isinstance(place, DramFlat) else prod(place.extent) * place.element


def tiles_loaded(commands: list[Command]) -> list[int]:
    return [
        size(c.source)
        for c in commands
        if isinstance(c, Load) and not isinstance(c.source, DramFlat)
    ]


def test_what_tiles_load_more_than_once():
    """Rows that do not fit beside their operand's overlap by those that a window reads twice."""
    told = compiled(FILECHECK / "backends" / "warboy" / "passes" / "plan_tiles-tiles.mlir")
    reloaded = told.figures("plan-tiles/reload")
    assert reloaded
    for layers, figures in reloaded:
        assert figures["loaded"] == sum(tiles_loaded(told.commands(layers)))
        assert figures["loaded"] > figures["bytes"]


def test_results_that_go_to_dram(told: Told):
    stored = told.figures("plan-tiles/result-in-dram")
    assert stored
    for layers, figures in stored:
        commands = told.commands(layers)
        assert sum(size(c.target) for c in commands if isinstance(c, Store)) == figures["bytes"]


def test_what_makes_way_is_stored_and_loaded_again(told: Told):
    """Whole or by tiles, from where it was stored; twice, if it makes way twice."""
    spilled = told.figures("plan-tiles/spill")
    assert spilled
    commands = told.segment.commands
    for layers, figures in spilled:
        mine = told.commands(layers)
        first = next(i for i, c in enumerate(commands) if is_npu(c) and c in mine)
        stored = [c.target for c in commands[:first] if isinstance(c, Store)]
        *_, target = (place for place in stored if size(place) == figures["bytes"])
        inside = range(target.address, target.address + figures["bytes"])
        loads = [c.source for c in commands[first:] if isinstance(c, Load)]
        again = [size(p) for p in loads if p.region == target.region and p.address in inside]
        assert sum(again) >= figures["bytes"]


def test_copies_move_what_they_are_said_to(told: Told):
    copies = told.figures("plan-tiles/copy")
    assert any("moves" in figures for _, figures in copies)
    for layers, figures in copies:
        moves = [c for c in told.commands(layers) if isinstance(c, Copy)]
        assert len(moves) == figures.get("moves", 0)
        assert sum(size(c.source) for c in moves) == figures.get("moved", 0)


def test_cycles_and_waits_are_those_of_the_simulator(told: Told):
    machine = Machine.from_parameters(told.program.machine)
    busy: Counter[int] = Counter()
    waited: Counter[int] = Counter()
    free = 0
    for entry in timeline(told.program):
        if entry.engine == "npu":
            layer = told.segment.commands[entry.command].layer
            busy[layer] += entry.end - entry.start
            waited[layer] += entry.start - free
            free = entry.end
    used = told.figures("schedule/utilisation")
    rows = {row.name: row for row in told.program.layers}
    assert len(used) == len(busy)
    for layers, figures in used:
        assert busy[told.rows.index(layers)] == figures["cycles"]
        assert rows[layers].macs == figures["macs"]
        rate = figures["macs"] / figures["cycles"] / machine.macs_per_cycle
        assert figures["used"] == pytest.approx(100 * rate, abs=0.006)
    waits = dict(told.figures("schedule/wait"))
    for number, layers in enumerate(told.rows):
        if waited[number] > machine.dma_latency_cycles:
            figures = waits.pop(layers)
            assert figures["cycles"] == waited[number]
            assert 0 < figures["most"] <= figures["cycles"]
    assert not waits


def test_the_peak_is_the_greatest_address(told: Told):
    ((_, figures),) = told.figures("allocate/peak")
    machine = Machine.from_parameters(told.program.machine)
    ends: list[int] = []
    for command in told.segment.commands:
        kind = kind_of(command)
        for place in (*kind.sram_read(command), kind.sram_written(command)):
            if place is None:
                continue
            if isinstance(place, SramFlat):
                ends.append(place.address + place.slice_bytes)
            else:
                taken = sram_bytes(place.shape, place.element, place.slices, place.order, machine)
                ends.append(place.address + taken)
    assert max(ends) == figures["peak"]
    assert figures["bound"] <= figures["peak"] <= figures["slice"] == machine.slice_bytes
