"""The dot-product engine: convolutions, fully connected layers, products of activations.

Dense convolutions become products of 8-bit matrices (`products`), the left side of which is the
input's windows ("im2col") some output rows at a time, so that windows, accumulators and epilogue
all meet in the cache. Depthwise ones multiply and add tap by tap in float32.
"""

from __future__ import annotations

import numpy as np

from furiosa_ir.backends.warboy.enf.records import Dot
from furiosa_ir.backends.warboy.enf.shapes import accumulator_shape
from furiosa_ir.backends.warboy.simulator.epilogue import Epilogue, row_chunks
from furiosa_ir.backends.warboy.simulator.memory import Memory, Step, TileAccess
from furiosa_ir.backends.warboy.simulator.padded_input import PaddedInput
from furiosa_ir.backends.warboy.vector_engine.elements import Range
from furiosa_ir.backends.warboy.vector_engine.lines import Register
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.products import product

_WINDOW_BYTES = 1 << 20
_DEPTHWISE_BYTES = 1 << 18
_INT32: Range = (-(1 << 31), (1 << 31) - 1)


def prepare_dot(
    command: Dot,
    weight: Array | None,
    bias: Array | None,
    parameters: list[Array],
    slice_stride: int,
) -> Step:
    """Makes a `Dot` ready.

    Args:
        command: the command.
        weight: int8 [O, Kh, Kw, I], or None if batched.
        bias: int32 [O] or None.
        parameters: the program's constants.
        slice_stride: see `memory.slice_stride`.
    """
    limits = _accumulator_range(command, bias)
    accumulator = Register(accumulator_shape(command), 4, limits)
    tiles = command.operands
    epilogue = Epilogue(
        command.program, accumulator, tiles, parameters, command.result, slice_stride
    )
    kernel: _Batched | _Depthwise | _Dense
    if weight is None:
        kernel = _Batched(command, bias, epilogue, slice_stride)
    elif _is_depthwise(command):
        kernel = _Depthwise(command, weight, bias, epilogue, slice_stride)
    else:
        kernel = _Dense(command, weight, bias, epilogue, slice_stride)
    return kernel.run


def _is_depthwise(command: Dot) -> bool:
    outputs, kernel_h, kernel_w, inner = command.weight_shape
    # Sums of up to 256 products of 9-bit differences stay below 2**24: exact in float32.
    return inner == 1 and command.group > 1 and kernel_h * kernel_w <= 256 and outputs > 1


def _accumulator_range(command: Dot, bias: Array | None) -> Range:
    _, kernel_h, kernel_w, inner = command.weight_shape
    terms = command.x.extent[3] if command.batched else kernel_h * kernel_w * inner
    x = max(command.x_zp + 128, 127 - command.x_zp)
    weight = max(command.weight_zp + 128, 127 - command.weight_zp)
    bound = terms * x * weight
    if bias is not None:
        bound += int(np.abs(bias.astype(np.int64)).max())
    # Beyond 32 bits the accumulator wraps.
    return (-bound, bound) if bound < 1 << 31 else _INT32


class _Dense:
    def __init__(
        self,
        command: Dot,
        weight: Array,
        bias: Array | None,
        epilogue: Epilogue,
        slice_stride: int,
    ) -> None:
        self.command = command
        self.shape = accumulator_shape(command)
        self.epilogue = epilogue
        self.bias = bias
        outputs, self.kernel_h, self.kernel_w, inner = command.weight_shape
        self.group, self.inner = command.group, inner
        self.terms = self.kernel_h * self.kernel_w * inner
        each = outputs // self.group
        # Of each group Kh * Kw * I rows and O / group columns.
        matrix = weight.reshape(self.group, each, self.terms).transpose(0, 2, 1)
        self.matrix = np.ascontiguousarray(matrix[0] if self.group == 1 else matrix)
        self.input = PaddedInput(
            command.x.extent,
            TileAccess(command.x, slice_stride),
            command.pads,
            command.input_dilation,
            command.x_zp,
        )

    def _windows(self, x: Array) -> Array:
        """X uint8 [N, Hp, Wp, C] -> view [N, Ho, Wo, Kh, Kw, C]."""
        n, _, _, channels = x.shape
        _, rows, columns, _ = self.shape
        (stride_h, stride_w), (dilation_h, dilation_w) = (
            self.command.strides,
            self.command.dilations,
        )
        step_n, step_h, step_w, step_c = x.strides
        return np.lib.stride_tricks.as_strided(
            x,
            (n, rows, columns, self.kernel_h, self.kernel_w, channels),
            (
                step_n,
                step_h * stride_h,
                step_w * stride_w,
                step_h * dilation_h,
                step_w * dilation_w,
                step_c,
            ),
            writeable=False,
        )

    def run(self, memory: Memory) -> None:
        x = self.input.read(memory).view(np.uint8)
        # To unsigned: the fast products have their unsigned side on the left.
        np.bitwise_xor(x, 0x80, out=x)
        windows = self._windows(x)
        n, rows, columns, outputs = self.shape
        if not self.epilogue.by_pixels:
            accumulator = self._products(windows).reshape(n, rows, columns, outputs)
            self.epilogue.run(memory, accumulator)
            return
        tiles = self.epilogue.read_operands(memory)
        lines = self.epilogue.lines
        assert lines is not None
        scratch = lines.scratch()
        dense = np.empty(self.epilogue.shape, self.epilogue.dtype)
        cost = columns * max(self.terms * self.group, 4 * outputs)
        for images, part in row_chunks(n, rows, cost, _WINDOW_BYTES):
            accumulator = self._products(windows[images, part])
            first = (images.start * rows + part.start) * columns
            self.epilogue.run_pixels(tiles, first, accumulator, dense, scratch)
        self.epilogue.result.scatter(memory, dense)

    def _products(self, windows: Array) -> Array:
        """Windows [n, h, w, Kh, Kw, C] -> accumulators [n * h * w, O]."""
        command = self.command
        n, h, w = windows.shape[:3]
        zero_points = command.x_zp + 128, command.weight_zp
        if self.group == 1:
            left = windows.reshape(n * h * w, self.terms)
            accumulator = product(left, self.matrix, *zero_points)
        else:
            split = windows.reshape(*windows.shape[:5], self.group, self.inner)
            left = split.transpose(5, 0, 1, 2, 3, 4, 6).reshape(self.group, -1, self.terms)
            accumulator = product(left, self.matrix, *zero_points)
            accumulator = accumulator.transpose(1, 0, 2).reshape(n * h * w, -1)
        if self.bias is not None:
            accumulator += self.bias
        return accumulator


class _Depthwise:
    def __init__(
        self,
        command: Dot,
        weight: Array,
        bias: Array | None,
        epilogue: Epilogue,
        slice_stride: int,
    ) -> None:
        self.command = command
        self.shape = accumulator_shape(command)
        self.epilogue = epilogue
        self.bias = bias
        outputs, kernel_h, kernel_w, _ = command.weight_shape
        self.multiplier = outputs // command.group
        taps = weight.reshape(outputs, kernel_h, kernel_w).transpose(1, 2, 0)
        self.taps = taps.astype(np.float32) - np.float32(command.weight_zp)
        self.input = PaddedInput(
            command.x.extent,
            TileAccess(command.x, slice_stride),
            command.pads,
            command.input_dilation,
            command.x_zp,
        )

    def run(self, memory: Memory) -> None:
        x = self.input.read(memory)
        n, rows, columns, outputs = self.shape
        if not self.epilogue.by_pixels:
            accumulator = self._sums(x, slice(0, n), slice(0, rows))
            self.epilogue.run(memory, accumulator.reshape(n, rows, columns, outputs))
            return
        tiles = self.epilogue.read_operands(memory)
        lines = self.epilogue.lines
        assert lines is not None
        scratch = lines.scratch()
        dense = np.empty(self.epilogue.shape, self.epilogue.dtype)
        for images, part in row_chunks(n, rows, columns * outputs * 4, _DEPTHWISE_BYTES):
            accumulator = self._sums(x, images, part)
            first = (images.start * rows + part.start) * columns
            self.epilogue.run_pixels(tiles, first, accumulator, dense, scratch)
        self.epilogue.result.scatter(memory, dense)

    def _sums(self, x: Array, images: slice, part: slice) -> Array:
        """Accumulators [n * h * w, O] of some output rows, int32 or (without bias) float32."""
        command = self.command
        (stride_h, stride_w), (dilation_h, dilation_w) = command.strides, command.dilations
        kernel_h, kernel_w, outputs = self.taps.shape
        columns = self.shape[2]
        rows = part.stop - part.start
        top = part.start * stride_h
        bottom = (part.stop - 1) * stride_h + (kernel_h - 1) * dilation_h + 1
        floats = x[images, top:bottom].astype(np.float32)
        if command.x_zp:
            floats -= np.float32(command.x_zp)
        if self.multiplier > 1:
            floats = np.repeat(floats, self.multiplier, axis=3)
        sums = np.empty((floats.shape[0], rows, columns, outputs), np.float32)
        scratch = np.empty_like(sums)
        for i in range(kernel_h):
            for j in range(kernel_w):
                y0, x0 = i * dilation_h, j * dilation_w
                view = floats[
                    :,
                    y0 : y0 + (rows - 1) * stride_h + 1 : stride_h,
                    x0 : x0 + (columns - 1) * stride_w + 1 : stride_w,
                ]
                if i == j == 0:
                    np.multiply(view, self.taps[i, j], out=sums)
                else:
                    np.multiply(view, self.taps[i, j], out=scratch)
                    sums += scratch
        flat = sums.reshape(-1, outputs)
        if self.bias is None:
            return flat
        whole = scratch.reshape(-1, outputs).view(np.int32)
        np.copyto(whole, flat, casting="unsafe")
        whole += self.bias
        return whole


class _Batched:
    """The second operand is an activation: [N, H, O, C], transposed for the product."""

    def __init__(
        self, command: Dot, bias: Array | None, epilogue: Epilogue, slice_stride: int
    ) -> None:
        self.command = command
        self.shape = accumulator_shape(command)
        self.epilogue = epilogue
        self.bias = bias
        self.x = TileAccess(command.x, slice_stride)

    def run(self, memory: Memory) -> None:
        x = self.x.read(memory).view(np.uint8)
        np.bitwise_xor(x, 0x80, out=x)
        second = self.epilogue.operands[0].read(memory)
        right = np.ascontiguousarray(second.swapaxes(2, 3))
        accumulator = product(x, right, self.command.x_zp + 128, self.command.weight_zp)
        if self.bias is not None:
            accumulator += self.bias
        self.epilogue.run(memory, accumulator)
