"""Smaller modules of a module: what a reducer tries, from what takes most away to what takes least.

Each function yields candidates, which need not be sound: whoever tries them verifies them first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import (
    DenseArrayBase,
    FunctionType,
    IntegerAttr,
    ModuleOp,
    TensorType,
)
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from furiosa_ir.debugging.part import is_constant, operations_of, part_of, with_calls
from furiosa_ir.dialects.ftensor.fused import FusedOp
from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.attribute_values import as_attribute
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.shaped_operation import ShapedOp, element_of, ints, shape_of
from furiosa_ir.verification.trace import copy_module

Shrink = Callable[[ModuleOp], Iterator[ModuleOp]]


def fewer_operations(module: ModuleOp) -> Iterator[ModuleOp]:
    """Without a half of the operations, a quarter, ..., one (delta debugging).

    Source: A. Zeller and R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE
    Transactions on Software Engineering 28, 2002.
    """
    ops = [op for op in operations_of(module) if not isinstance(op, CallOp)]
    size = len(ops)
    while size > 1:
        size = (size + 1) // 2
        for begin in range(0, len(ops), size):
            kept = {*ops[:begin], *ops[begin + size :]}
            made = part_of(module, with_calls(module, kept)) if kept else None
            if made is not None:
                yield made


def fewer_results(module: ModuleOp) -> Iterator[ModuleOp]:
    """Without one of the values that leave."""
    kept = set(operations_of(module))
    for function in module.ops:
        if isinstance(function, FuncOp):
            returned = list(cast("ReturnOp", function.body.block.last_op).operands)
            for value in returned if len(returned) > 1 else ():
                made = part_of(module, kept, lambda v, value=value: v is not value)
                if made is not None:
                    yield made


def operands_for_results(module: ModuleOp) -> Iterator[ModuleOp]:
    """With an operand in place of an operation's result."""
    for index, op in enumerate(operations_of(module)):
        if len(op.results) != 1:
            continue
        for number, operand in enumerate(op.operands):
            if operand.type == op.results[0].type:
                copy = copy_module(module, {})
                there = operations_of(copy)[index]
                there.results[0].replace_all_uses_with(there.operands[number])
                made = part_of(copy, {o for o in operations_of(copy) if o is not there})
                if made is not None:
                    yield made


def simpler_constants(module: ModuleOp) -> Iterator[ModuleOp]:
    """With constants of one number, all of them or one: 1, or the first of its elements."""
    count = sum(_is_varied(op) for op in module.walk())
    everyone = range(count)
    for numbers in ([everyone] if count > 1 else []) + [range(i, i + 1) for i in everyone]:
        for one in (True, False):
            copy = copy_module(module, {})
            varied = [op for op in copy.walk() if _is_varied(op)]
            for number in numbers:
                _flatten(varied[number], one=one)
            yield copy


def _is_varied(op: Operation) -> bool:
    blob = op.properties.get("value")
    if not is_constant(op) or not isinstance(blob, BlobAttr):
        return False
    array = blob.array
    return array.size > 1 and bool((array != array.reshape(-1)[0]).any())


def _flatten(op: Operation, *, one: bool) -> None:
    array = cast("BlobAttr", op.properties["value"]).array
    number = np.ones((), array.dtype) if one else array.reshape(-1)[0]
    op.properties["value"] = BlobAttr.of(np.full(array.shape, number, array.dtype))


def without_origins(module: ModuleOp) -> Iterator[ModuleOp]:
    """Without what operators were in their file."""
    if any("origin" in op.properties for op in module.walk()):
        copy = copy_module(module, {})
        for op in copy.walk():
            op.properties.pop("origin", None)
        yield copy


def smaller_extents(module: ModuleOp) -> Iterator[ModuleOp]:
    """With another extent wherever arguments and constants have one: 1, 2, the half."""
    extents = {
        n
        for op in module.walk()
        for value in (*_arguments(op), *(op.results if is_constant(op) else ()))
        if isinstance(value.type, TensorType)
        for n in shape_of(value)
        if n > 1
    }
    for extent in sorted(extents, reverse=True):
        for smaller in dict.fromkeys((1, 2, 4, extent // 2)):
            if smaller < extent:
                made = _resized(module, {extent: smaller})
                if made is not None:
                    yield made


def _arguments(op: Operation) -> Sequence[SSAValue]:
    return op.body.block.args if isinstance(op, FuncOp) else ()


_EXTENTS = frozenset({"shape", "ends", "sizes", "output_shape", "group"})
"""Properties that repeat an extent of a tensor."""


def _resized(module: ModuleOp, extents: Mapping[int, int]) -> ModuleOp | None:
    functions: dict[str, FuncOp] = {}
    others = [op.clone() for op in module.ops if not isinstance(op, FuncOp)]
    try:
        # `@main` calls the others, wherever it stands.
        for function in sorted(
            (f for f in module.ops if isinstance(f, FuncOp)),
            key=lambda f: f.sym_name.data == "main",
        ):
            functions[function.sym_name.data] = _resized_function(function, extents, functions)
    except (FuriosaError, ValueError, KeyError, IndexError, TypeError):
        return None  # what does not fit together is no candidate
    return ModuleOp([*others, *functions.values()], dict(module.attributes))


def _resized_function(
    function: FuncOp, extents: Mapping[int, int], functions: Mapping[str, FuncOp]
) -> FuncOp:
    old = function.body.block
    block = Block(arg_types=[_resized_type(a.type, extents) for a in old.args])
    values: dict[SSAValue, SSAValue] = dict(zip(old.args, block.args, strict=True))
    _resized_body(old, block, values, extents, functions)
    returned = cast("ReturnOp", block.last_op).operands
    made = FuncOp(
        function.sym_name.data,
        FunctionType.from_lists([a.type for a in block.args], [v.type for v in returned]),
        Region(block),
        function.sym_visibility,
        arg_attrs=function.arg_attrs,
        res_attrs=function.res_attrs,
    )
    made.attributes.update(function.attributes)
    made.location = function.location
    return made


def _resized_body(
    old: Block,
    block: Block,
    values: dict[SSAValue, SSAValue],
    extents: Mapping[int, int],
    functions: Mapping[str, FuncOp],
) -> None:
    for op in old.ops:
        made = _resized_operation(op, values, extents, functions)
        made.location = op.location
        made.attributes.update(op.attributes)
        block.add_op(made)
        values.update(zip(op.results, made.results, strict=True))


def _resized_operation(
    op: Operation,
    values: Mapping[SSAValue, SSAValue],
    extents: Mapping[int, int],
    functions: Mapping[str, FuncOp],
) -> Operation:
    if is_constant(op):
        return _resized_constant(op, extents)
    if isinstance(op, FusedOp):
        inner = op.body.block
        operands = [values[v] for v in op.operands]
        block = Block(arg_types=[v.type for v in operands])
        _resized_body(
            inner, block, dict(zip(inner.args, block.args, strict=True)), extents, functions
        )
        yielded = cast("Operation", block.last_op).operands[0]
        return type(op).create(
            operands=operands,
            result_types=[yielded.type],
            properties=dict(op.properties),
            regions=[Region(block)],
        )
    if isinstance(op, CallOp):
        outputs = functions[op.callee.string_value()].function_type.outputs
        return CallOp(op.callee, [values[v] for v in op.operands], list(outputs))
    if isinstance(op, ShapedOp):
        properties: dict[str, Any] = {
            name: _resized_property(name, value, extents) for name, value in op.properties.items()
        }
        groups = [_group(op, name, values) for name, _ in op.get_irdl_definition().operands]
        return type(op).make(groups, [element_of(r) for r in op.results], **properties)
    return op.clone({old: values[old] for old in op.operands})


def _group(
    op: Operation, name: str, values: Mapping[SSAValue, SSAValue]
) -> SSAValue | list[SSAValue] | None:
    operand = cast("SSAValue | Sequence[SSAValue] | None", getattr(op, name))
    if operand is None or isinstance(operand, SSAValue):
        return None if operand is None else values[operand]
    return [values[v] for v in operand]


def _resized_constant(op: Operation, extents: Mapping[int, int]) -> Operation:
    made = op.clone()
    blob = made.properties.get("value")
    if isinstance(blob, BlobAttr):
        array = blob.array
        part = array[tuple(slice(extents.get(n, n)) for n in array.shape)]
        made.properties["value"] = BlobAttr.of(np.array(part, order="C"))
    for result in made.results:
        result._type = _resized_type(result.type, extents)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return made


def _resized_property(name: str, value: Attribute, extents: Mapping[int, int]) -> Attribute:
    if name not in _EXTENTS:
        return value
    if isinstance(value, IntegerAttr):
        number = value.value.data
        return as_attribute(extents.get(number, number))
    if isinstance(value, DenseArrayBase):
        return as_attribute([extents.get(n, n) for n in ints(cast("Any", value))])
    return value


def _resized_type(kind: Attribute, extents: Mapping[int, int]) -> Attribute:
    if not isinstance(kind, TensorType):
        return kind
    tensor = cast("TensorType[Attribute]", kind)
    shape, element = tensor.get_shape(), tensor.element_type
    if isinstance(element, UniformType) and element.data.axis is not None:
        axis = element.data.axis
        count = extents.get(shape[axis], shape[axis])
        q = element.data
        element = UniformType(
            replace(q, scales=q.scales[:count], zero_points=q.zero_points[:count])
        )
    return TensorType(element, [extents.get(n, n) for n in shape])


SHRINKS: tuple[Shrink, ...] = (
    fewer_operations,
    fewer_results,
    operands_for_results,
    without_origins,
    smaller_extents,
    simpler_constants,
)
"""In the order in which they are tried."""
