"""Sections 6 to 11 of docs/enf.md: memory, commands, instructions, sessions."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from examples.enf_reader.reader import blocks, load, need

ONE = np.int64(1)


def wrap(v: np.ndarray, element: int) -> np.ndarray:
    """wrap_8, wrap_32 or wrap_64, by the bytes of an element."""
    return v.astype(f"<i{element}").astype(np.int64)


def _half(s: np.ndarray) -> np.ndarray:
    return (ONE << s) >> 1


def _near_even(d: np.ndarray, m: np.ndarray, s: np.ndarray) -> np.ndarray:
    v = d * m
    f, h = v >> s, _half(s)
    tolerance = np.maximum(ONE << s, np.abs(v)) // 1_000_000_000
    tie = np.abs(v % (ONE << s) - h) <= tolerance
    return np.where(s == 0, v, np.where(tie, f + f % 2, v + h >> s))


def _double(d: np.ndarray, m: np.ndarray, s: np.ndarray) -> np.ndarray:
    a = np.where(s >= 31, d, wrap(d << np.maximum(31 - s, 0), 4))
    r = np.maximum(s - 31, 0)
    u = a * m + (ONE << 30) >> 31
    return u + _half(r) - ((u < 0) & (r > 0)) >> r


ROUNDINGS = {
    "even": lambda d, m, s: d * m + _half(s) - (((d * m >> s) % 2 == 0) & (s > 0)) >> s,
    "up": lambda d, m, s: d * m + _half(s) >> s,
    "away": lambda d, m, s: d * m + _half(s) - ((d * m < 0) & (s > 0)) >> s,
    "double": _double,
    "floor": lambda d, m, s: d * m >> s,
    "near_even": _near_even,
}


def _rescale(i: Any, x: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> np.ndarray:
    need(E2=shift.min() >= 0 and shift.max() <= 62)
    need(E3=np.array_equal(multiplier, wrap(multiplier, 4)))
    input_zp, output_zp, low, high = i.immediates
    result = ROUNDINGS[i.mode](x - input_zp, multiplier, shift)
    return np.clip(result, low - output_zp, high - output_zp) + output_zp


def _divide(i: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    need(E1=b.min() > 0)
    output_zp, low, high = i.immediates
    q, r = np.divmod(a, b)
    up = (2 * r > b) | ((2 * r == b) & (q % 2 == 1))
    return np.clip(q + up + output_zp, low, high)


def _reduce(i: Any, x: np.ndarray) -> np.ndarray:
    x_zp, axes = i.immediates[0], tuple(i.immediates[1:])
    return x.max(axes, keepdims=True) if i.mode == "max" else (x - x_zp).sum(axes, keepdims=True)


def _interpolate(i: Any, x: np.ndarray) -> np.ndarray:
    axis, n, *tables = i.immediates
    lower, upper, *weights = np.array(tables, np.int64).reshape(4, n)
    low, high = (w.reshape(n, *[1] * (x.ndim - 1 - axis)) for w in weights)
    return x.take(lower, axis) * low + x.take(upper, axis) * high


FUNCTIONS = {
    "rescale": _rescale,
    "add": lambda _, a, b: a + b,
    "sub": lambda _, a, b: a - b,
    "mul": lambda _, a, b: a * b,
    "minimum": lambda i, a, b: np.minimum(wrap(a, i.element), wrap(b, i.element)),
    "maximum": lambda i, a, b: np.maximum(wrap(a, i.element), wrap(b, i.element)),
    "divide": _divide,
    "clamp": lambda i, x: np.clip(x, *i.immediates),
    "lookup": lambda _, x, table: table[x + 128],
    "reduce": _reduce,
    "gather": lambda i, x: x.take(i.immediates[1:], i.immediates[0]),
    "interpolate": _interpolate,
}


def run_program(program: list[Any], registers: list[np.ndarray]) -> np.ndarray:
    """The last register, register 0 of an empty program."""
    registers = list(registers)
    for i in program:
        made = FUNCTIONS[i.opcode](i, *[registers[r] for r in i.operands])
        registers.append(wrap(made, i.element))
    return registers[-1] if program else registers[0]


def _where(t: SimpleNamespace, stride: int) -> np.ndarray:
    """The bytes of a place, [its extents, bytes of an element]; slices lie `stride` apart."""
    if hasattr(t, "slices"):
        n, h, w, c = np.ix_(*map(np.arange, t.offset, np.add(t.offset, t.extent)))
        ci, _, hi, middle, line = blocks(t)
        p, q = (n, 0) if t.images > 1 else (0, n)
        a, b = (c % ci, w) if t.order == "HCW" else (w, c % ci)
        at = (((q * hi + h % hi) * middle + a) * line + b) * t.element + t.address
        at = at + (t.first + (p * t.slices[0] + h // hi) * t.slices[1] + c // ci) * stride
    elif hasattr(t, "extent"):
        steps = [np.arange(e) * s for e, s in zip(t.extent, t.strides, strict=True)]
        at = t.address + sum(np.ix_(*steps))
    else:
        i, each = np.arange(t.size), vars(t).get("slice_bytes", t.size)
        at = t.address + i // each * stride + i % each
    return at[..., None] + np.arange(vars(t).get("element", 1))


def _windows(c: SimpleNamespace, x: np.ndarray, kernel: Any, fill: int) -> Iterator[Any]:
    """(i, j, what accumulators take of X at that place of the window: [N, rows, columns, C])."""
    (n, h, w, channels), (top, left, bottom, right) = x.shape, c.pads
    spread = vars(c).get("input_dilation", (1, 1))
    rows, columns = np.arange(h) * spread[0] + top, np.arange(w) * spread[1] + left
    height, width = rows[-1] + 1 + bottom, columns[-1] + 1 + right
    padded = np.full((n, height, width, channels), fill, np.int64)
    there = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
    padded[:, rows[there[0], None], columns[there[1]]] = x[:, there[0]][:, :, there[1]]
    (step_h, step_w), (stride_h, stride_w) = c.dilations, c.strides
    height, width = height - (kernel[0] - 1) * step_h, width - (kernel[1] - 1) * step_w
    for i, j in np.ndindex(*kernel):
        part = padded[:, i * step_h : i * step_h + height, j * step_w : j * step_w + width]
        yield i, j, part[:, ::stride_h, ::stride_w]


def _accumulators(c: SimpleNamespace, read: Callable[[Any], np.ndarray]) -> np.ndarray:
    x = read(c.x)
    if c.name == "pool" and c.kind == "max":
        return np.maximum.reduce([taken for *_, taken in _windows(c, x, c.window, -128)])
    if c.name == "pool":
        return sum(taken - c.x_zp for *_, taken in _windows(c, x, c.window, c.x_zp))
    bias = read(c.bias).astype("u1").view("<i4").astype(np.int64) if c.has_bias else 0
    if c.batched:
        second = read(c.operands[0]) - c.weight_zp
        return wrap((x - c.x_zp) @ second.swapaxes(2, 3) + bias, 4)
    outputs, kh, kw, inner = c.weight_shape
    weight = read(c.weight).reshape(c.group, outputs // c.group, kh, kw, inner) - c.weight_zp
    total = 0
    for i, j, taken in _windows(c, x, (kh, kw), c.x_zp):
        groups = (taken - c.x_zp).reshape(*taken.shape[:3], c.group, 1, inner)
        total = total + groups @ weight[:, :, i, j].swapaxes(1, 2)
    return wrap(total.reshape(*total.shape[:3], outputs) + bias, 4)


class Session:
    """A program that runs; `host` is what runs its host segments: (segment, arrays) -> arrays."""

    def __init__(self, file: bytes, host: Callable[[Any, list], list] | None = None) -> None:
        self.program, self._host = load(file), host
        self._sram = np.zeros(self.program.slices * self.program.room, np.uint8)
        self._state = {v.before: self._array(v.before, v.section) for v in self.program.variables}
        for s in (s for s in self.program.segments if s.on_npu):
            self._carry_out(s, s.commands[: s.setup], np.zeros(0, np.uint8))

    def _array(self, tensor: int, data: Any) -> np.ndarray:
        t = self.program.tensors[tensor]
        return np.frombuffer(bytes(data), t.dtype).reshape(t.shape)

    def run(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """One run; `Refused` if an instruction has no result for its operands."""
        p = self.program
        values = self._state | dict(zip(p.inputs, inputs, strict=True))
        for s in p.segments:
            make = self._on_npu if s.on_npu else self._on_host
            values |= dict(zip(s.makes, make(s, [values[t] for t in s.reads]), strict=True))
        self._state = {v.before: values[v.after].copy() for v in p.variables}
        return [values[t] for t in p.outputs]

    def _on_npu(self, s: SimpleNamespace, given: list[np.ndarray]) -> list[np.ndarray]:
        space = np.zeros(s.workspace_bytes, np.uint8)
        for b, x in zip(s.inputs, given, strict=True):
            data = np.frombuffer(np.ascontiguousarray(x).tobytes(), np.uint8)
            space[b.address : b.address + b.size] = data ^ np.uint8(b.flip)
        self._carry_out(s, s.commands[s.setup :], space)
        found = [space[b.address : b.address + b.size] ^ np.uint8(b.flip) for b in s.outputs]
        return [self._array(b.tensor, x) for b, x in zip(s.outputs, found, strict=True)]

    def _on_host(self, s: SimpleNamespace, given: list[np.ndarray]) -> list[np.ndarray]:
        names, tensors = [o.operator for o in s.operators], self.program.tensors
        x, y = [tensors[t[0]] if len(t) == 1 else None for t in (s.reads, s.makes)]
        alike = x and y and x.shape == y.shape
        bytes_ = [t for t in (x, y) if alike and t.dtype in ("int8", "uint8") and t.scale]
        if names == ["quantize"] and y in bytes_ and x.dtype == "float32":
            found, limits = given[0] / np.float32(y.scale), np.iinfo(y.dtype)
            away = np.trunc(found.astype(np.float64) + np.copysign(0.5, found))
            found = (away if s.framework else np.rint(found)) + y.zero_point
            return [np.clip(found, limits.min, limits.max).astype(y.dtype)]
        if names == ["dequantize"] and x in bytes_ and y.dtype == "float32":
            return [(given[0].astype(np.float32) - np.float32(x.zero_point)) * np.float32(x.scale)]
        if self._host is None:
            raise NotImplementedError(f"nothing here runs the host segment {s.name}: {names}")
        return self._host(s, given)

    def _carry_out(self, s: SimpleNamespace, commands: list, space: np.ndarray) -> None:
        memory = {"constant": np.frombuffer(s.section, np.uint8), "workspace": space}

        def found(t: Any) -> tuple[np.ndarray, np.ndarray]:
            return memory.get(vars(t).get("region"), self._sram), _where(t, self.program.room)

        def read(t: Any, element: int = 1) -> np.ndarray:
            data, at = found(t)
            values = data[at].reshape(-1).view(f"<i{vars(t).get('element', element)}")
            return values.reshape(vars(t).get("extent", -1)).astype(np.int64)

        for c in commands:
            if not hasattr(c, "result"):
                (data, at), (to, there) = found(c.source), found(c.target)
                to[there] = data[at]
                continue
            registers = [] if c.name == "vector" else [_accumulators(c, read)]
            registers += [read(t) for t in c.operands]
            registers += [read(q.memory, q.element).reshape(q.shape) for q in c.parameters]
            made = run_program(c.instructions, registers).astype(f"<i{c.result.element}")
            self._sram[_where(c.result, self.program.room)] = made[..., None].view(np.uint8)
