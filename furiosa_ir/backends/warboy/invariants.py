"""What holds at the end of the pipeline, beyond each operation's own rules.

The verifiers of the phases before are every backend's: `passes.segment_invariants`.
"""

from __future__ import annotations

from collections.abc import Iterator

from xdsl.dialects.builtin import ArrayAttr, ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.warboy.dialect.attributes import (
    ADDRESSES,
    CONSTANTS,
    LAYERS,
    AddressesAttr,
    LayersAttr,
)
from furiosa_ir.backends.warboy.dialect.commands import BeginRunOp, CommandOp, EndOp
from furiosa_ir.backends.warboy.dialect.plan import MemoryAddresses
from furiosa_ir.ir.segments import body_of, is_npu
from furiosa_ir.ir.verifier import Fault, raise_faults


def verify_commands(module: ModuleOp) -> None:
    """NPU segments are commands, a table of layers and constants, and everything has an address.

    Raises:
        OperationFailure: a kernel is left, or an argument or a result has no address.
    """
    raise_faults(_command_faults(module))


def _command_faults(module: ModuleOp) -> Iterator[Fault]:
    for function in module.ops:
        if not isinstance(function, FuncOp) or not is_npu(function):
            continue
        name = function.sym_name.data
        for op in body_of(function).ops:
            if not isinstance(op, CommandOp | BeginRunOp | EndOp):
                yield op, f"it is left in @{name}, which holds commands alone"
        if not isinstance(function.attributes.get(LAYERS), LayersAttr):
            yield function, f"@{name} has no '{LAYERS}'"
        if not isinstance(function.attributes.get(CONSTANTS), ArrayAttr):
            yield function, f"@{name} has no '{CONSTANTS}'"
        yield from _address_faults(function)


def _address_faults(function: FuncOp) -> Iterator[Fault]:
    name = function.sym_name.data
    attribute = function.attributes.get(ADDRESSES)
    addresses = attribute.data if isinstance(attribute, AddressesAttr) else None
    if not isinstance(addresses, MemoryAddresses):
        yield function, f"@{name} has no '{ADDRESSES}'"
        return
    kind = function.function_type
    for what, count, at in (
        ("argument", len(kind.inputs), addresses.inputs),
        ("result", len(kind.outputs), addresses.outputs),
    ):
        if len(at) > count:
            yield function, f"@{name} has addresses of {len(at)} {what}s, its type has {count}"
        for number in range(count):
            if number >= len(at) or not 0 <= at[number] < max(addresses.workspace_bytes, 1):
                yield function, f"{what} {number} of @{name} has no address in the workspace"
