"""State in integers: a variable of floats that only ever stand for quantised data keeps those."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import Float32Type, ModuleOp, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute

from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp
from furiosa_ir.dialects.graph.variables import (
    AssignVariableOp,
    ReadVariableOp,
    VariableOp,
    variables_of,
)
from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.ir.rewrite_watch import step
from furiosa_ir.ir.shaped_operation import element_of
from furiosa_ir.ir.value_tracking import note_replaced

_SCALES = (1e-30, 1e30)
"""Between these, what float32 rounds is far below half a step, and nothing over- or underflows."""


def narrow_variables(module: ModuleOp, main: FuncOp) -> None:
    """Stores integers where each run quantises what it reads and dequantises what it assigns.

    Quantisers, ours among them, leave variables in float, with a boundary of the host on either
    side of them. Quantising what was dequantised with the same parameters gives the same integers,
    so the two meet across runs; the initial elements must be zeros, which are the zero point.

    Reads and assignments are as `forward_variables` leaves them.

        %a = graph.read_variable @v : tensor<4xf32>
        %q = graph.quantize %a : tensor<4x!quant.uniform<i8:f32, 0.5>>
        ...
        %f = graph.dequantize %b : tensor<4xf32>
        graph.assign_variable @v, %f

    becomes

        %q = graph.read_variable @v : tensor<4x!quant.uniform<...>>
        ...
        graph.assign_variable @v, %b
    """
    variables = variables_of(module)
    reads = {op.symbol: op for op in main.body.block.ops if isinstance(op, ReadVariableOp)}
    for op in list(main.body.block.ops):
        if isinstance(op, AssignVariableOp):
            _narrow(module, variables[op.symbol], reads[op.symbol], op)


def _narrow(
    module: ModuleOp, variable: VariableOp, read: ReadVariableOp, assignment: AssignVariableOp
) -> None:
    source, users = assignment.x.owner, [use.operation for use in read.result.uses]
    if not isinstance(source, DequantizeOp) or not isinstance(element_of(read.result), Float32Type):
        return
    element, quantization = element_of(source.x), quantization_of(source.x)
    quantizers = [u for u in users if isinstance(u, QuantizeOp) and element_of(u.result) == element]
    if len(quantizers) < len(users) or quantization is None or not _is_narrow(quantization):
        return
    if np.any(variable.initial.array):
        return
    shape = variable.type.get_shape()
    kept = TensorType[Attribute](element, shape)
    initial = np.full(shape, quantization.zero_point, quantization.dtype)
    name = variable.sym_name.data
    narrow = VariableOp.of(name, kept, initial)
    module.body.block.insert_op_before(narrow, variable)
    variable.detach()
    variable.erase()
    integers = ReadVariableOp.of(name, kept, read.location)
    block = read.parent
    assert block is not None
    with step("narrow_variable", read) as done:
        block.insert_op_before(integers, read)
        for quantize in quantizers:
            note_replaced(quantize.result, integers.result)
            quantize.result.replace_all_uses_with(integers.result)
            quantize.detach()
            quantize.erase()
        done.made.extend([narrow, integers])
    read.detach()
    read.erase()
    assignment.operands = [source.x]
    if source.result.first_use is None:
        source.detach()
        source.erase()


def _is_narrow(quantization: Quantization) -> bool:
    """Whether it is of 8 bits and one scale, which float32 can tell the steps of."""
    least, most = _SCALES
    return (
        quantization.axis is None
        and np.dtype(quantization.dtype).itemsize == 1
        and least < quantization.scale < most
    )
