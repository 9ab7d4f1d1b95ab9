"""A scheduled function as an NPU segment of the ENF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from xdsl.dialects.builtin import ArrayAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.commands.command_operations import command_record
from furiosa_ir.backends.warboy.commands.constant_section import build_section, lay_out
from furiosa_ir.backends.warboy.dialect.attributes import CONSTANTS, LAYERS, LayersAttr
from furiosa_ir.backends.warboy.dialect.commands import BeginRunOp, CommandOp
from furiosa_ir.backends.warboy.dialect.segment import memory_addresses
from furiosa_ir.backends.warboy.enf.records import Command, NpuSegment
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.verifier import OperationFailure
from furiosa_ir.program import Binding, Layer


def generate(function: FuncOp, first: int = 0) -> tuple[NpuSegment, Sequence[Layer]]:
    """The segment of a scheduled function, and the rows of its layers.

    Bindings have the number of the function's argument or result for tensor, layers the segment 0:
    whoever assembles the program knows better (`furiosa_ir.assembly`).

    Args:
        function: the segment.
        first: the program's row of its first layer, from which its commands count on.

    Raises:
        VerificationFailure: the function is not scheduled, or a command is none.
    """
    addresses = memory_addresses(function)
    constants_attribute = function.attributes.get(CONSTANTS)
    layers = function.attributes.get(LAYERS)
    if not isinstance(layers, LayersAttr) or not isinstance(constants_attribute, ArrayAttr):
        raise VerificationFailure(f"@{function.sym_name.data} is not scheduled")
    blobs = cast("ArrayAttr[BlobAttr]", constants_attribute)
    constants = [blob.data for blob in blobs]
    segment = NpuSegment(
        name=function.sym_name.data,
        inputs=tuple(Binding(i, at) for i, at in enumerate(addresses.inputs)),
        outputs=tuple(Binding(i, at) for i, at in enumerate(addresses.outputs)),
        workspace_bytes=addresses.workspace_bytes,
        sram_bytes=addresses.sram_bytes,
        sram_bound=addresses.sram_bound,
        workspace_bound=addresses.workspace_bound,
        commands=_commands(function, len(layers.data.rows), first),
        constants=build_section(constants, lay_out(constants)),
        setup=_setup(function),
    )
    rows = [Layer(r.name, r.operator, 0, r.macs, r.weight_bytes) for r in layers.data.rows]
    return segment, rows


def _setup(function: FuncOp) -> int:
    """How many commands stand in front of `warboy.begin_run`."""
    count, found = 0, None
    for op in function.body.block.ops:
        if isinstance(op, BeginRunOp):
            if found is not None:
                raise OperationFailure.of(op, "the run of a segment begins only once")
            found = count
        count += isinstance(op, CommandOp)
    return found or 0


def _commands(function: FuncOp, layers: int, first: int) -> tuple[Command, ...]:
    numbers: dict[SSAValue, int] = {}
    commands: list[Command] = []
    for op in function.body.block.ops:
        if isinstance(op, CommandOp):
            waits = tuple(numbers[token] for token in op.waits)
            numbers[op.token] = len(commands)
            command = command_record(op, waits)
            # Behind other segments' rows, any number might be a layer.
            if not 0 <= command.layer < layers:
                raise OperationFailure.of(
                    op, f"there is no layer {command.layer} in a table of {layers}"
                )
            commands.append(replace(command, layer=first + command.layer) if first else command)
    return tuple(commands)
