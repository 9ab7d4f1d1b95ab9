"""Sections 2 to 8 and 12 of docs/enf.md: a file's program, and what must be refused."""

import re
import struct
import zlib
from math import isfinite, prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

PAGE = Path(__file__).resolve().parents[2] / "docs" / "enf.md"
_PAGE = PAGE.read_text(encoding="utf-8")


def table(name: str) -> list[list[str]]:
    """The rows of one of the page's tables, without the signs of Markdown."""
    text = _PAGE.split(f"<!-- generated: {name} -->\n")[1].split("<!-- end -->")[0]
    rows = [re.sub("[`*]", "", line).strip("| ").split(" | ") for line in text.splitlines()[2:]]
    return [["" if cell == "-" else cell for cell in row] for row in rows]


DTYPES = {n: np.dtype(n) for n in re.findall(r": (u?int\d+|float\d+)\b", _PAGE)}
ALIGNMENT = {name: dtype.alignment for name, dtype in DTYPES.items()}
for _name, _size, _alignment, _fields in table("structs"):
    _found = re.findall(r"(\d+) (\w+): (\w+)(?:\[(\d+)\])?", _fields)
    _layout = {"names": [name for _, name, _, _ in _found], "itemsize": int(_size)}
    _layout |= {"offsets": [int(place) for place, *_ in _found]}
    _layout |= {"formats": [(DTYPES[k], int(n)) if n else DTYPES[k] for _, _, k, n in _found]}
    DTYPES[_name], ALIGNMENT[_name] = np.dtype(_layout), int(_alignment)
TABLES = {name: re.findall(r"\d+ (\w+): (\[?\w+\]?)", fields) for name, fields in table("tables")}
_ENUMS = [[n.split()[-1] for n in numbers.split(", ")] for _, numbers in table("enums")]
KINDS, FRAMEWORKS, VECTORS = _ENUMS[0], _ENUMS[6], [row[2] for row in table("commands")]
NAMES = dict(zip(("order", "region", "kind", "opcode", "mode"), _ENUMS[1:6], strict=True))
INSTRUCTIONS = {row[1]: row[2:] for row in table("instructions")}
SIZES = {dtype: int(size or 0) for dtype, size, *_ in table("dtypes")}
ON_NPU = [row[0] for row in table("dtypes") if row[3]]
GREATEST = {int(row[0]): int(row[4]) for row in table("elements")}
VERSION = bytes.fromhex(table("header")[2][1].removeprefix("version: "))


class Refused(Exception):
    """A file, or a run, that breaks a rule of section 12; the argument is the rule's name."""


def need(**rules: Any) -> None:
    """Refuses unless rules, by their names, hold."""
    for rule, holds in rules.items():
        if not holds:
            raise Refused(rule)


def _plain(value: Any) -> Any:
    """A struct as a namespace with names for enumerations, arrays as tuples, Python's numbers."""
    if not isinstance(value, np.void):
        return tuple(value.tolist()) if isinstance(value, np.ndarray) else value.item()
    x = SimpleNamespace(**{name: _plain(value[name]) for name in value.dtype.names})
    for field in NAMES.keys() & vars(x).keys() - ({"kind"} if hasattr(x, "layer") else set()):
        need(S7=getattr(x, field) < len(NAMES[field]))
        setattr(x, field, NAMES[field][getattr(x, field)])
    for field in {"shape", "extent", "strides"} & vars(x).keys() if hasattr(x, "rank") else ():
        need(S7=1 <= x.rank <= value.dtype[field].shape[0])
        setattr(x, field, getattr(x, field)[: x.rank])
    return x


class _Buffer:
    def __init__(self, data: bytes) -> None:
        self.data, self.size, self.left = data, len(data), len(data)

    def take(self, size: int) -> None:
        self.left -= size
        need(B10=self.left >= 0)

    def follow(self, at: int) -> int:
        to = at + struct.unpack_from("<I", self.data, at)[0]
        need(B1=at < to <= self.size - 4 and to % 4 == 0)
        return to

    def table(self, name: str, at: int) -> SimpleNamespace:
        vtable = at - struct.unpack_from("<i", self.data, at)[0]
        need(B2=0 <= vtable <= self.size - 4 and vtable % 2 == 0)
        length, inline = struct.unpack_from("<HH", self.data, vtable)
        need(B3=length >= 4 and length % 2 == 0 and vtable + length <= self.size)
        need(B4=inline >= 4 and at + inline <= self.size)
        self.take(inline)
        slots = [*struct.unpack_from(f"<{length // 2}H", self.data, vtable)[2:], *[0] * 32]
        fields = zip(TABLES[name], slots, strict=False)
        return SimpleNamespace(**{f: self.field(k, at, slot, inline) for (f, k), slot in fields})

    def field(self, kind: str, at: int, offset: int, inline: int) -> Any:
        dtype = DTYPES.get(kind, DTYPES["uint32"])
        if offset == 0:
            absent = "" if kind == "string" else [] if kind[0] == "[" else None
            return _plain(np.zeros((), dtype)[()]) if kind in DTYPES else absent
        at += offset
        need(B5=4 <= offset <= inline - dtype.itemsize, B6=at % ALIGNMENT.get(kind, 4) == 0)
        if kind in DTYPES:
            return _plain(np.frombuffer(self.data, dtype, 1, at)[0])
        at = self.follow(at)
        if kind == "string":
            try:
                return bytes(self.vector(at, "uint8")).decode()
            except UnicodeDecodeError:
                raise Refused("B9") from None
        if kind[0] != "[":
            return self.table(kind, at)
        if kind[1:-1] in DTYPES:
            return [_plain(x) for x in self.vector(at, kind[1:-1])]
        count = len(self.vector(at, "uint32"))
        return [self.table(kind[1:-1], self.follow(at + 4 + 4 * i)) for i in range(count)]

    def vector(self, at: int, kind: str) -> np.ndarray:
        (count,), size = struct.unpack_from("<I", self.data, at), DTYPES[kind].itemsize
        need(B7=at + 4 + count * size <= self.size, B8=(at + 4) % ALIGNMENT[kind] == 0)
        self.take(4 + count * size)
        return np.frombuffer(self.data, DTYPES[kind], count, at + 4)


def load(file: bytes) -> SimpleNamespace:
    """The program of a file; `Refused` if it breaks a rule."""
    need(F1=file[:3] == b"enf", F2=len(file) >= 20)
    need(F3=zlib.crc32(file[10:]) == int.from_bytes(file[3:7], "little"))
    need(F4=file[7:10] == VERSION, F5=not any(file[10:16]))
    end = 20 + int.from_bytes(file[16:20], "little")
    need(F6=28 <= end <= len(file) and file[24:28] == b"ENF1")
    buffer, area = _Buffer(file[16:end]), file[end + -end % 64 :]
    p = buffer.table("Program", buffer.follow(4))
    need(P1=p.target in [row[0] for row in table("targets")])
    m = {row.name: row.value for row in p.machine}
    p.slices, p.room = m.get("num_slices", 0), m.get("size_actual_sram_slice", 0)
    need(P2=min(p.slices, p.room, m.get("size_dram", 0)) > 0)
    need(P3=m.get("mac_width") == 32 and p.slices * p.room <= 2**30)
    for t in p.tensors:
        need(P5=t.dtype in SIZES and min(t.shape, default=0) >= -1 and isfinite(t.scale))
    need(P7=all((s.npu is None) != (s.host is None) for s in p.segments))
    p.segments, left = [s.npu or s.host for s in p.segments], len(area)
    for s in (*p.segments, *p.variables):
        s.on_npu = hasattr(s, "setup")
        place = s.constants if s.on_npu else s.model if hasattr(s, "model") else s.initial
        end, left = place.offset + place.size, left - place.size
        need(P8=place.offset % 64 == 0 and end <= len(area) and left >= 0)
        s.section = area[place.offset : end]
    for s in p.segments:
        s.reads = [b.tensor for b in s.inputs] if s.on_npu else s.inputs
        s.makes = [b.tensor for b in s.outputs] if s.on_npu else s.outputs
        need(P4=s.on_npu or s.framework < len(FRAMEWORKS))
    after = [*p.outputs, *(v.after for v in p.variables)]
    made = [*p.inputs, *(v.before for v in p.variables)]
    used = [*made, *after, *(t for s in p.segments for t in (*s.reads, *s.makes))]
    need(P6=all(t < len(p.tensors) for t in used))
    for s in p.segments:
        need(P9=set(s.reads) <= set(made))
        made += s.makes
    need(P9=len(set(made)) == len(made) and set(after) <= set(made))
    for s in (s for s in p.segments if s.on_npu):
        need(S1=len(s.section) + s.workspace_bytes <= min(m["size_dram"], 2**34))
        need(S2=s.sram_bytes <= p.room)
        for b in (*s.inputs, *s.outputs):
            t = p.tensors[b.tensor]
            need(S3=t.dtype in ON_NPU and min(t.shape, default=1) > 0)
            b.size, b.flip = prod(t.shape) * SIZES[t.dtype], 0x80 * (t.dtype == "uint8")
            need(S3=b.address + b.size <= s.workspace_bytes)
        s.commands, check = _commands(s), _Check(p, s)
        need(S4=s.setup <= len(s.commands), S6=all(c.layer < len(p.layers) for c in s.commands))
        for c in s.commands:
            check.command(c)
        for c in s.commands[: s.setup]:
            need(C1=c.name[:4] == "load" and c.source.region == "constant")
    return p


def _commands(s: SimpleNamespace) -> list[SimpleNamespace]:
    lists = ["waits", "operands", "parameters", "instructions", "registers", "immediates"]
    left = {name: iter(getattr(s, name)) for name in (*VECTORS, *lists)}

    def take(name: str, count: int) -> list[Any]:
        found = [x for _, x in zip(range(count), left[name], strict=False)]
        need(S5=len(found) == count)
        return found

    commands = []
    for head in s.commands:
        need(S7=head.kind < len(KINDS))
        (c,) = take(VECTORS[head.kind], 1)
        c.name, c.layer, c.waits = KINDS[head.kind], head.layer, take("waits", head.waits)
        for name in ("operands", "parameters", "instructions") if hasattr(c, "result") else ():
            setattr(c, name, take(name, getattr(c, name)))
        for i in vars(c).get("instructions", ()):
            i.operands = take("registers", i.operands)
            i.immediates = take("immediates", i.immediates)
        commands.append(c)
    need(S5=not any([*rest] for rest in left.values()))
    return commands


def blocks(t: SimpleNamespace) -> tuple[int, int, int, int, int]:
    """Ci, then the extents of a tile in a slice: Q, Hi, and Ci and Wp or W and Cp."""
    (n, h, w, c), (ho, co), line = t.shape, t.slices, 32 // t.element
    ci = -(-c // co)
    inner = (ci, -(-w // line) * line) if t.order == "HCW" else (w, -(-ci // line) * line)
    return ci, n // t.images, -(-h // ho), *inner


class _Check:
    def __init__(self, p: SimpleNamespace, s: SimpleNamespace) -> None:
        self.p, self.regions = p, {"constant": len(s.section), "workspace": s.workspace_bytes}

    def command(self, c: SimpleNamespace) -> None:
        if not hasattr(c, "result"):
            for t in (c.source, c.target):
                self.dram(t) if hasattr(t, "region") else self.sram(t)
            need(C8=vars(c.target).get("region") != "constant")
            same = ("size",) if c.name == "load_flat" else ("extent", "element")
            need(C10=all(getattr(c.source, field) == getattr(c.target, field) for field in same))
            return
        for t in (c.result, *c.operands, *(q.memory for q in c.parameters)):
            self.sram(t)
        for q in c.parameters:
            good = q.shape == (256,) or (len(q.shape) == 4 and min(q.shape) > 0)
            need(C2=q.element in GREATEST, C9=good and prod(q.shape) * q.element == q.memory.size)
        need(C11=c.name != "vector" or c.operands)
        registers = [] if c.name == "vector" else [self.window(c)]
        registers += [(t.extent, t.element) for t in c.operands]
        registers += [(q.shape, q.element) for q in c.parameters]
        for i in c.instructions:
            registers.append((_shape(i, registers), i.element))
        last = registers[-1] if c.instructions else registers[0]
        need(C19=last == (c.result.extent, c.result.element))

    def sram(self, t: SimpleNamespace) -> None:
        if hasattr(t, "slices"):
            (ho, co), window = t.slices, zip(t.shape, t.offset, t.extent, strict=True)
            there = min(ho, co) > 0 and t.first + t.images * ho * co <= self.p.slices
            need(C2=t.element in GREATEST, C3=there and t.images in (1, t.shape[0]))
            need(C4=all(first >= 0 and e > 0 and first + e <= size for size, first, e in window))
            size = prod(blocks(t)[1:]) * t.element
        else:
            size = t.slice_bytes
            need(C6=t.size > 0 and size > 0 and size % 32 == 0 and size * self.p.slices >= t.size)
        need(C5=t.address % 32 == 0 and t.address + size <= self.p.room)

    def dram(self, t: SimpleNamespace) -> None:
        low, high = t.address, t.address + vars(t).get("size", 0)
        if hasattr(t, "extent"):
            need(C2=t.element in GREATEST, C7=min(t.extent) > 0)
            reach = [(e - 1) * s for e, s in zip(t.extent, t.strides, strict=True)]
            low += sum(min(r, 0) for r in reach)
            high += sum(max(r, 0) for r in reach) + t.element
        need(C7=low >= 0 and high <= self.regions[t.region])

    def window(self, c: SimpleNamespace) -> tuple[tuple[int, ...], int]:
        self.sram(c.x)
        n, h, w, outputs = c.x.extent
        good = c.x.element == 1 and -128 <= c.x_zp <= 127 and max(map(abs, c.pads)) <= 4096
        need(C12=good and min(*c.strides, *c.dilations) > 0)
        spread, kernel = vars(c).get("input_dilation", (1, 1)), vars(c).get("window")
        if c.name == "pool":
            need(C13=min(kernel) > 0 and prod(kernel) <= 2**22 and min(c.pads) >= 0)
        else:
            (count, *kernel, inner), good = c.weight_shape, -128 <= c.weight_zp <= 127
            need(C14=good and 0 < min(spread) <= max(spread) <= 4096)
            need(C14=min(c.pads) >= 0 or spread != (1, 1))
            for there, flat in ((c.has_weight, c.weight), (c.has_bias, c.bias)):
                self.sram(flat) if there else None
            if c.batched:
                need(C16=not c.has_weight and c.operands and c.operands[0].element == 1)
                *same, count, depth = c.operands[0].extent
                need(C16=(*same, depth) == (n, h, outputs))
            else:
                good = min(c.weight_shape) > 0 and c.group > 0 and inner * c.group == outputs
                need(C15=good and count % c.group == 0 and c.has_weight)
                need(C15=c.weight.size == prod(c.weight_shape))
            outputs = count
            need(C18=not c.has_bias or c.bias.size == 4 * outputs)
            if c.batched:
                return (n, h, w, outputs), 4
        sizes = zip((h, w), spread, c.pads, c.pads[2:], kernel, c.dilations, strict=False)
        left = [(size - 1) * d + a + b - (k - 1) * step for size, d, a, b, k, step in sizes]
        need(C17=min(left) >= 0)
        rows, columns = (room // stride + 1 for room, stride in zip(left, c.strides, strict=True))
        return (n, rows, columns, outputs), 1 if vars(c).get("kind") == "max" else 4


def _shape(i: SimpleNamespace, known: list[tuple[tuple[int, ...], int]]) -> tuple[int, ...]:
    """The shape of what an instruction makes."""
    operands, immediates, modes, *_ = INSTRUCTIONS[i.opcode]
    good = "[" in immediates or len(i.immediates) == len(immediates.split())
    good &= len(i.operands) == len(operands.split()) and max(i.operands) < len(known)
    need(I1=good and i.element in GREATEST and i.mode in re.findall("[a-z_]+", modes or "none"))
    given, numbers, most = [known[r] for r in i.operands], i.immediates, GREATEST[i.element]
    if i.opcode == "lookup":
        need(I2=given.pop() == ((256,), i.element), I6=given[0][1] == 1)
    shapes = [shape for shape, _ in given]
    need(I2=(256,) not in shapes)
    (x, element), shape = given[0], tuple(map(max, zip(*shapes, strict=True)))
    need(I3=all(a in (1, b) for s in shapes for a, b in zip(s, shape, strict=True)))
    if i.opcode in ("rescale", "divide"):
        *zps, low, high = numbers
        need(I4=-most - 1 <= low <= high <= most and all(-(2**31) <= z < 2**31 for z in zps))
        fits = low - zps[-1] >= -(2**63) and high - zps[-1] < 2**63
        need(I3=i.opcode == "divide" or shape == x, I4=i.opcode == "divide" or fits)
    if i.opcode == "clamp":
        fits = numbers[0] <= min(numbers[1], most) and numbers[1] >= -most - 1
        need(I5=element == i.element and fits)
    if i.opcode == "reduce":
        axes = numbers[1:]
        need(I7=axes and len(set(axes)) == len(axes) and all(0 <= a < 4 for a in axes))
        return tuple(1 if a in axes else size for a, size in enumerate(x))
    if i.opcode in ("gather", "interpolate"):
        along = i.opcode == "interpolate"
        rule, axis, n = f"I{8 + along}", *[*numbers[:2], -1, -1][:2]
        indices = numbers[2 : 2 + 2 * n] if along else numbers[1:]
        good = len(numbers) == 2 + 4 * n and n > 0 if along else indices and element == i.element
        need(**{rule: good and 0 <= axis < 4 and all(0 <= k < x[axis] for k in indices)})
        return (*x[:axis], n if along else len(indices), *x[axis + 1 :])
    return shape
