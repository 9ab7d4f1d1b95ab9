"""Window reductions: greatest element or sum, first along the rows, then along the columns."""

from __future__ import annotations

import numpy as np

from furiosa_ir.backends.warboy.enf.records import Pool, Shape4
from furiosa_ir.backends.warboy.enf.shapes import accumulator_shape
from furiosa_ir.backends.warboy.simulator.epilogue import Epilogue
from furiosa_ir.backends.warboy.simulator.memory import Memory, Step, TileAccess
from furiosa_ir.backends.warboy.simulator.padded_input import PaddedInput
from furiosa_ir.backends.warboy.vector_engine.lines import Register
from furiosa_ir.numerics.array import Array


def prepare_pool(command: Pool, parameters: list[Array], slice_stride: int) -> Step:
    """Makes a `Pool` ready; arguments as for `prepare_dot`."""
    kernel_h, kernel_w = command.window
    maximum = command.kind == "max"
    bound = 255 * kernel_h * kernel_w
    shape = accumulator_shape(command)
    accumulator = Register(shape, 1 if maximum else 4, (-128, 127) if maximum else (-bound, bound))
    epilogue = Epilogue(
        command.program,
        accumulator,
        command.operands,
        parameters,
        command.result,
        slice_stride,
    )
    window = PaddedInput(
        command.x.extent,
        TileAccess(command.x, slice_stride),
        command.pads,
        (1, 1),
        -128 if maximum else command.x_zp,
    )

    def run(memory: Memory) -> None:
        x = window.read(memory)
        if not maximum:
            # x - zp is 0 in the padding. 16 bits hold 128 sums of 9-bit differences.
            x = x.astype(np.int16 if kernel_h * kernel_w <= 128 else np.int32)
            x -= command.x_zp
        epilogue.run(memory, _reduce(command, x, shape))

    return run


def _reduce(command: Pool, x: Array, shape: Shape4) -> Array:
    """x [N, Hp, Wp, C] -> accumulators [N, Ho, Wo, C], int8 or int32."""
    function = np.maximum if command.kind == "max" else np.add
    _, rows, columns, _ = shape
    for axis, extent in ((1, rows), (2, columns)):
        kernel, stride = command.window[axis - 1], command.strides[axis - 1]
        dilation = command.dilations[axis - 1]
        total: Array | None = None
        for tap in range(kernel):
            start = tap * dilation
            taken = slice(start, start + (extent - 1) * stride + 1, stride)
            view = x[:, taken] if axis == 1 else x[:, :, taken]
            if total is None:
                total = view if kernel == 1 else view.copy()
            else:
                function(total, view, out=total)
        assert total is not None
        x = total
    if command.kind == "sum":
        return x.astype(np.int32)
    return np.ascontiguousarray(x)
