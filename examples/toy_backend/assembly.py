"""A module of integers as a program: one instruction for each operation."""

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp

from furiosa_ir.assembly import assemble
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.dialects.ftensor.base import NUMPY_DTYPE
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.program import Binding, Layer, Program, Provenance
from toy_backend.machine import CLOCK_HZ, INSTRUCTIONS, Step, ToySegment


def assemble_program(module: ModuleOp, provenance: Provenance) -> Program:
    """The program; host segments, and what binds segments together, are every backend's."""
    return assemble(module, "toy", {"clock_hz": CLOCK_HZ}, provenance, _segment)


def _segment(function: FuncOp, first: int) -> tuple[ToySegment, list[Layer]]:
    block = function.body.block
    held = [op for op in block.ops if isinstance(op, ConstantOp)]
    registers = {v: i for i, v in enumerate([*block.args, *(op.results[0] for op in held)])}
    steps: list[Step] = []
    rows: dict[str, Layer] = {}
    for op in block.ops:
        if isinstance(op, ConstantOp | ReturnOp):
            continue
        (result,), name, instruction = op.results, layer_name(op), op.name.removeprefix("ftensor.")
        if instruction not in INSTRUCTIONS:  # of text, which may be cut for another machine
            raise CompilationFailure(f"the machine has no instruction '{instruction}'", layer=name)
        macs = op.macs() if hasattr(op, "macs") else 0
        row = rows.setdefault(name, Layer(name, instruction, 0, macs, 0))
        layer = first + list(rows.values()).index(row)
        made = NUMPY_DTYPE[element_of(result)].name, shape_of(result)
        immediates = {key: _plain(value) for key, value in op.properties.items()}
        operands = tuple(registers[value] for value in op.operands)
        steps.append(Step(instruction, operands, immediates, *made, layer, macs))
        registers[result] = len(registers)
    inputs = tuple(Binding(i, i) for i in range(len(block.args)))
    outputs = tuple(Binding(i, registers[v]) for i, v in enumerate(block.last_op.operands))
    constants = tuple(op.value.array.tolist() for op in held)
    segment = ToySegment(function.sym_name.data, inputs, outputs, constants, tuple(steps))
    return segment, list(rows.values())


def _plain(attribute: DenseArrayBase | IntegerAttr | StringAttr) -> object:
    if isinstance(attribute, DenseArrayBase):
        return list(attribute.get_values())
    return attribute.value.data if isinstance(attribute, IntegerAttr) else attribute.data
