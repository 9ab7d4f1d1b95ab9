"""ENF files: round trip, determinism, header, and that no damaged file passes or crashes."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest

from furiosa_ir.backends.warboy.costs import program_costs
from furiosa_ir.backends.warboy.enf import layout
from furiosa_ir.backends.warboy.enf.disassembler import disassemble
from furiosa_ir.backends.warboy.enf.reader import read_header, read_program
from furiosa_ir.backends.warboy.enf.records import (
    Copy,
    Dot,
    DramView,
    NpuSegment,
    Pool,
    Vector,
)
from furiosa_ir.backends.warboy.enf.writer import save_program, write_program
from furiosa_ir.backends.warboy.simulator.simulator import Simulator
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.errors import FormatFailure, FuriosaError
from furiosa_ir.program import HostSegment, Layer, Program, Tensor, Variable
from tests.backends.warboy.enf import schema_enums
from tests.backends.warboy.enf.schema import enf_generated
from tests.backends.warboy.simulator.program_builder import ProgramBuilder, rescale
from tests.draws import draws


@pytest.fixture(scope="module")
def program() -> Program:
    """All kinds of commands and segments."""
    rng = np.random.default_rng(0)
    b = ProgramBuilder(slices=8)
    x = b.input((1, 8, 8, 16), slices=(4, 2))
    weight = rng.integers(-128, 128, (8, 3, 3, 16), np.int8)
    y = b.kernel(
        Dot(
            x,
            b.constant(weight),
            weight.shape,
            b.constant(np.zeros(8, np.int32)),
            (1, 1),
            (1, 1),
            (1, 1),
            (1, 1, 1, 1),
            1,
            3,
            0,
            False,
            (),
            (
                b.parameter(np.full((1, 1, 1, 8), 1 << 30, np.int32)),
                b.parameter(np.full((1, 1, 1, 8), 40, np.int8)),
            ),
            (rescale(),),
            b.tile((1, 8, 8, 8), (2, 2), "HWC"),
            0,
        )
    )
    z = b.kernel(
        Pool(y, "max", (2, 2), (2, 2), (1, 1), (0, 0, 0, 0), 0, (), (), (), b.tile((1, 4, 4, 8)), 1)
    )
    table = b.parameter(np.arange(256).astype(np.int8))
    look = Instruction("lookup", (0, 1))
    z = b.kernel(Vector((z,), (table,), (look,), b.tile((1, 4, 4, 8)), 1))
    b.output(z)
    end = b.workspace
    b.workspace += 128
    view = DramView("workspace", b.outputs[0].address, (4, 4, 8), (32, 8, 1), 1)
    b.commands.append(Copy(view, replace(view, address=end), 1))
    made = b.program()
    host = HostSegment(
        "host_0", "onnx", (1,), (2,), b"a model", (("Softmax", "softmax", 17, "large batch"),)
    )
    return replace(
        made,
        segments=(*made.segments, host),
        layers=(*made.layers, Layer("pool é", "MaxPool", 0, 12, 34)),
        tensors=(
            replace(made.tensors[0], scale=0.5, zero_point=-3),
            *made.tensors[1:],
            Tensor("probabilities", "float32", (1, -1)),
            replace(made.tensors[1], name="pooled before"),
        ),
        variables=(Variable("state", 3, 1, bytes(range(128))),),
    )


def plain(program: Program) -> Program:
    """With bytes where a file's program has views of it."""
    segments = []
    for segment in program.segments:
        name = "model" if isinstance(segment, HostSegment) else "constants"
        segments.append(replace(segment, **{name: bytes(getattr(segment, name))}))
    variables = tuple(replace(v, initial=bytes(v.initial)) for v in program.variables)
    return replace(program, segments=tuple(segments), variables=variables)


def test_round_trip(program, tmp_path):
    data = write_program(program)
    assert plain(read_program(data)) == program
    save_program(program, tmp_path / "a.enf")
    assert [p.name for p in tmp_path.iterdir()] == ["a.enf"]
    assert plain(read_program(tmp_path / "a.enf")) == program
    assert (tmp_path / "a.enf").read_bytes() == write_program(plain(read_program(data)))


def test_header_and_alignment(program):
    data = write_program(program)
    assert data[:3] == b"enf"
    assert data[3:7] == zlib.crc32(data[10:]).to_bytes(4, "little")
    assert data[7:16] == b"\1\1\0" + bytes(6)
    header = read_header(data)
    assert header.valid
    assert not header.vendor
    constants = read_program(data).segments[0].constants
    at = np.frombuffer(constants, np.uint8).ctypes.data - np.frombuffer(data, np.uint8).ctypes.data
    assert at % 64 == 0


def test_flatbuffers_own_reader_understands_it(program):
    root = enf_generated.Program.GetRootAs(write_program(program)[20:], 0)
    segment = root.Segments(0).Npu()
    assert root.Target() == b"warboy"
    assert segment.Dots(0).X(enf_generated.SramTile()).Extent() == [1, 8, 8, 16]
    assert segment.CommandsLength() == len(program.segments[0].commands)
    assert root.Segments(1).Host().Operators(0).Reason() == b"large batch"
    assert (root.Variables(0).Before(), root.Variables(0).After()) == (3, 1)


def test_a_program_without_state_says_nothing_of_it(program):
    """Its bytes are those that it had before there were variables."""
    root = enf_generated.Program.GetRootAs(write_program(replace(program, variables=()))[20:], 0)
    assert root.VariablesIsNone()
    table = root._tab
    vtable = table.Pos - struct.unpack_from("<i", table.Bytes, table.Pos)[0]
    assert struct.unpack_from("<H", table.Bytes, vtable)[0] == 4 + 2 * 12  # up to source_framework


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"before": 9}, "the variable 'state' refers to something that does not exist"),
        ({"before": 1}, "tensor 'y' is bound by the variable 'state' and segment 'npu_0'"),
        ({"before": 2}, "the variable 'state' is of float32 or an open shape"),
        (
            {"after": 0},
            r"the variable 'state' is int8\[1, 4, 4, 8\], and takes int8\[1, 8, 8, 16\]",
        ),
        ({"initial": b"short"}, "the variable 'state' has 5 bytes of initial elements"),
    ],
)
def test_variables_that_make_no_sense(program, change, message):
    (variable,) = program.variables
    wrong = replace(program, variables=(replace(variable, **change),))
    with pytest.raises(FormatFailure, match=message):
        read_program(write_program(wrong))
    with pytest.raises(FormatFailure, match="two of its variables have one name"):
        read_program(write_program(replace(program, variables=(variable, variable))))


def test_lower_bounds_of_memory(program):
    """Kept in the file, above nothing that is taken; a file of before says nothing of them."""
    segment, *others = program.segments
    costs = program_costs(program)
    assert (costs.sram_bound_bytes, costs.dram_bound_bytes) == (None, None)

    def with_bounds(sram: int, workspace: int) -> Program:
        known = replace(segment, sram_bound=sram, workspace_bound=workspace)
        return replace(program, segments=(known, *others))

    known = read_program(write_program(with_bounds(64, 100)))
    costs = program_costs(known)
    assert costs.sram_bound_bytes == 64 * 8
    assert costs.dram_bound_bytes == len(segment.constants) + 100
    for sram, workspace, what in (
        (segment.sram_bytes + 1, 0, "of SRAM, which is below its lower bound"),
        (0, segment.workspace_bytes + 1, "of its workspace, which is below its lower bound"),
    ):
        with pytest.raises(FormatFailure, match=what):
            read_program(write_program(with_bounds(sram, workspace)))


def test_layout_is_the_schema():
    text = re.sub(r"//.*", "", schema_enums.SCHEMA.read_text())
    for name, body in re.findall(r"struct (\w+) \{(.*?)\}", text, re.DOTALL):
        fields = re.findall(r"(\w+):", re.sub(r"\[\w+:", "[", body))
        assert layout.STRUCTS[name].names == tuple(fields)
        assert layout.STRUCTS[name].itemsize == getattr(enf_generated, name).SizeOf()
    tables = dict(re.findall(r"table (\w+) \{(.*?)\}", text, re.DOTALL))
    assert tables.keys() == layout.TABLES.keys()
    for name, body in tables.items():
        found = re.findall(r"(\w+):(\[?\w+\]?)", body)
        assert [f.name for f in layout.TABLES[name]] == [n for n, _ in found]
        for field, (_, kind) in zip(layout.TABLES[name], found, strict=True):
            inner = kind.strip("[]")
            expected = "vector" if kind != inner else "scalar"
            if inner in tables:
                expected = "tables" if kind != inner else "table"
            elif inner == "string":
                expected = "string"
            elif inner in layout.STRUCTS and kind == inner:
                expected = "struct"
            assert field.kind == expected, (name, field)
            if inner in layout.STRUCTS:
                assert field.dtype == layout.STRUCTS[inner]
    assert schema_enums.written(text) == text, "run make schema"
    for name, values in schema_enums.ENUMS.items():
        generated = getattr(enf_generated, name)
        numbers = [getattr(generated, schema_enums.value_name(v)) for v in values]
        assert numbers == list(range(len(values))), name


def test_every_damaged_byte_is_noticed(program):
    data = write_program(program)
    rng = np.random.default_rng(0)
    for _ in range(1000):
        at, value = int(rng.integers(len(data))), int(rng.integers(1, 256))
        damaged = bytearray(data)
        damaged[at] ^= value
        with pytest.raises(FormatFailure) as caught:
            read_program(bytes(damaged))
        assert "\n" not in str(caught.value)
    for _ in range(1000):
        with pytest.raises(FormatFailure):
            read_program(data[: int(rng.integers(len(data)))])


def _sealed(data: bytearray) -> bytes:
    """With the checksum of what it holds."""
    data[3:7] = zlib.crc32(data[10:]).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.draws
def test_damage_under_a_right_checksum_never_crashes(program):
    """A program that still passes is one that the simulator can run."""
    data = write_program(program)
    size = 20 + struct.unpack_from("<I", data, 16)[0]
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(draws(4000)):
        damaged = bytearray(data)
        at = int(rng.integers(10, size))
        if rng.integers(2):
            damaged[at] ^= int(rng.integers(1, 256))
        else:
            at -= at % 4
            value = int(rng.choice([0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, len(data)]))
            damaged[at : at + 4] = struct.pack("<I", value)
        try:
            changed = read_program(_sealed(damaged))
        except FormatFailure:
            refused += 1
            continue
        try:
            simulator = Simulator(changed)
            for index, segment in enumerate(changed.segments):
                if isinstance(segment, NpuSegment):
                    simulator.run_segment(index, _zeros(changed, segment))
        except FuriosaError:
            refused += 1
    assert refused > draws(1000)


def _zeros(program: Program, segment: NpuSegment) -> dict[int, np.ndarray]:
    tensors = {b.tensor: program.tensors[b.tensor] for b in segment.inputs}
    return {index: np.zeros(t.shape, t.dtype) for index, t in tensors.items()}


def test_vendor_file_is_recognised(models):
    path = models / "vendor" / "mnist.enf"
    if not path.exists():
        pytest.skip("no vendor file")
    header = read_header(path.read_bytes())
    assert (header.checksum, header.valid, header.vendor) == (0x11CB4323, True, True)
    with pytest.raises(FormatFailure, match="FuriosaAI's own compiler"):
        read_program(path)


def test_what_is_no_file(tmp_path):
    empty = tmp_path / "empty.enf"
    empty.touch()
    for source in (tmp_path / "missing.enf", empty, tmp_path, b"", b"enf", b"PK\3\4" * 9):
        with pytest.raises(FormatFailure):
            read_program(source)


def test_disassembly(program):
    lines = list(disassemble(program))
    assert sum("; " in line for line in lines) >= len(program.segments[0].commands)
    text = "\n".join(lines)
    assert "dot     sram[" in text
    assert "rescale.even r0, r1, r2 [0, 0, -128, 127] -> i8" in text
    assert "Hint [17]: large batch" in text


def of_a_batch(images: int) -> Program:
    """A copy of two images, which lie in so many slices' groups."""
    b = ProgramBuilder(slices=8)
    x = b.input((2, 4, 4, 8), slices=(2, 2), apart=True)
    b.output(b.kernel(Vector((x,), (), (), replace(x, address=1024, images=images), 0)))
    return b.program()


def test_images_apart_are_read_and_shown() -> None:
    program = of_a_batch(2)
    assert read_program(write_program(program)).segments == program.segments
    assert "(2,4,4,8 2x2x2 HCW)" in "\n".join(disassemble(program))


@pytest.mark.parametrize(
    ("images", "message"),
    [(0, "0 parts of a tile's 2 images lie apart"), (3, "a tile lies in 3 x 2 x 2 slices of 8")],
)
def test_images_that_cannot_lie_so(images: int, message: str) -> None:
    with pytest.raises(FormatFailure, match=message):
        read_program(write_program(of_a_batch(images)))
