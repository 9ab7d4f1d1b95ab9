"""What holds of a network that is cut into segments, beyond each operation's own rules.

A pass may leave IR in which every operation is sound and the whole is no network any more: an
operation of the level before, a call with other types than the segment. A pipeline's phases have
the verifiers here at their ends (`ir.pipeline.Phase`), which name the operation where it was left.
They look at each operation once and at no elements: half a millisecond for a network of 50 layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.dialects.ftensor.base import NUMPY_DTYPE, TensorOp
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.quantization import StorageCastOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.ir.segments import PLACEMENT, body_of, is_npu, numerics_of
from furiosa_ir.ir.verifier import Fault, raise_faults
from furiosa_ir.lowering import find_lowering


def verify_segments(module: ModuleOp) -> None:
    """The network is cut into segments, and each operation of an NPU segment has a lowering.

    Raises:
        OperationFailure: an operation stands outside of all segments, a segment is nobody's, or
            one holds what the NPU cannot do.
    """
    raise_faults(_segment_faults(module))


def verify_integers(module: ModuleOp) -> None:
    """NPU segments hold `ftensor` operations on integers, and calls have their types.

    Raises:
        OperationFailure: an operation of the graph level is left, or floating point.
    """
    raise_faults(_integer_faults(module))


def _functions(module: ModuleOp) -> Iterator[FuncOp]:
    return (op for op in module.ops if isinstance(op, FuncOp))


def _segment_faults(module: ModuleOp) -> Iterator[Fault]:
    numerics = numerics_of(module)
    called: dict[str, int] = {}
    for function in _functions(module):
        if function.sym_name.data != "main":
            continue
        for op in body_of(function).ops:
            if isinstance(op, CallOp):
                name = op.callee.string_value()
                called[name] = called.get(name, 0) + 1
            elif isinstance(op, GraphOp) and not isinstance(op, StorageCastOp):
                yield op, "it stands in @main, outside of all segments"
    for function in _functions(module):
        name = function.sym_name.data
        if name == "main":
            continue
        if PLACEMENT not in function.attributes:
            yield function, f"@{name} has no '{PLACEMENT}': it is no segment"
        if called.get(name, 0) != 1:
            yield function, f"@main calls the segment @{name} {called.get(name, 0)} times, not once"
        if is_npu(function):
            for op in body_of(function).ops:
                if isinstance(op, ConstantOp | ReturnOp):
                    continue
                if not isinstance(op, GraphOp) or find_lowering(op, numerics) is None:
                    yield op, f"it stands in @{name}, and there is no lowering of it"


def _integer_faults(module: ModuleOp) -> Iterator[Fault]:
    types: dict[str, tuple[Sequence[Attribute], Sequence[Attribute]]] = {}
    for function in filter(is_npu, _functions(module)):
        name, kind = function.sym_name.data, function.function_type
        types[name] = kind.inputs.data, kind.outputs.data
        for value in body_of(function).args:
            if not _is_integers(value):
                yield function, f"an argument of @{name} is a {value.type}, not integers"
        for op in body_of(function).ops:
            if isinstance(op, ReturnOp):
                continue
            if not isinstance(op, TensorOp):
                yield op, f"it is left in @{name}, which holds ftensor operations alone"
            elif not all(map(_is_integers, op.results)):
                yield op, f"it makes a {op.results[0].type} in @{name}, not integers"
    for function in _functions(module):
        if function.sym_name.data == "main":
            for op in body_of(function).ops:
                if isinstance(op, CallOp) and op.callee.string_value() in types:
                    yield from _call_faults(op, *types[op.callee.string_value()])


def _is_integers(value: SSAValue) -> bool:
    return isinstance(value.type, TensorType) and value.type.element_type in NUMPY_DTYPE


def _call_faults(
    call: CallOp, inputs: Sequence[Attribute], outputs: Sequence[Attribute]
) -> Iterator[Fault]:
    name = call.callee.string_value()
    for what, here, there in (
        ("takes", [v.type for v in call.operands], inputs),
        ("makes", [v.type for v in call.results], outputs),
    ):
        if list(here) != list(there):
            have, want = (", ".join(map(str, kinds)) or "nothing" for kinds in (here, there))
            yield call, f"the call {what} {have}, @{name} {want}"
