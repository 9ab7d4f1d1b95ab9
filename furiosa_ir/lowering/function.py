"""A segment from `graph` to `ftensor`: each operation's lowering, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from xdsl.builder import Builder
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FloatAttr,
    FunctionType,
    IntegerAttr,
    IntegerType,
    Signedness,
    StringAttr,
    TensorType,
    f64,
    i8,
    i32,
    i64,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint

from furiosa_ir.dialects.ftensor.base import i48
from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.errors import CompilationFailure, FuriosaError
from furiosa_ir.ir.location import layer_name, layer_names
from furiosa_ir.ir.rewrite_watch import step
from furiosa_ir.ir.segments import DTYPE, OPERATORS, SCALE, ZERO_POINT, body_of
from furiosa_ir.ir.shaped_operation import AnyTensor, element_of, shape_of, tensor_type
from furiosa_ir.ir.value_tracking import note_all_replaced
from furiosa_ir.lowering.registry import Emitter, Lowering, find_lowering
from furiosa_ir.plugins import raise_plugin_failure, wrong_result


def lower_function(function: FuncOp, numerics: str) -> None:
    """Lowers one NPU segment in place.

    Raises:
        CompilationFailure: an operation has no lowering under these numerics, or there is no body.
    """
    old = body_of(function)
    new = Block(arg_types=[_storage_type(a) for a in old.args])
    values: dict[SSAValue, SSAValue] = dict(zip(old.args, new.args, strict=True))
    emit = Emitter(Builder(InsertPoint.at_end(new)), values)
    operators: dict[str, list[str]] = {}
    for op in old.ops:
        if isinstance(op, ConstantOp):
            continue
        if isinstance(op, ReturnOp):
            new.add_op(ReturnOp(*[emit.operand(v) for v in op.arguments]))
            continue
        if not isinstance(op, GraphOp):
            raise CompilationFailure(f"{op.name} in an NPU segment", layer=layer_name(op))
        lowering = find_lowering(op, numerics)
        if lowering is None:
            raise CompilationFailure(f"{op.name} has no lowering", layer=layer_name(op))
        emit.location = op.location
        for name in layer_names(op):
            operators.setdefault(name, []).append(op.name.removeprefix("graph."))
        last = new.last_op
        with step(lowering.function.__name__, op) as done:
            try:
                results = lowering.function(op, emit)
            except FuriosaError as error:
                raise error.at(layer=layer_name(op)) from None
            except Exception as error:
                raise_plugin_failure(error, layer_name(op), f"the lowering of {op.name}")
                raise
            results = _checked(lowering, op, results)
            values.update(zip(op.results, results, strict=True))
            note_all_replaced(dict(zip(op.results, results, strict=True)))
            done.made.extend(_behind(last, new))
            done.values.extend(results)
    # What reports call a kernel's layers, once their operators are gone.
    function.attributes[OPERATORS] = DictionaryAttr(
        {name: StringAttr("+".join(dict.fromkeys(found))) for name, found in operators.items()}
    )
    arguments = list(old.args)
    returned = list(cast("ReturnOp", old.last_op).arguments)
    function.arg_attrs = _boundary(arguments, function.arg_attrs)
    function.res_attrs = _boundary(returned, function.res_attrs)
    region = function.body
    function.detach_region(region)
    function.add_region(Region(new))
    region.drop_all_references()
    function.function_type = FunctionType.from_lists(
        [a.type for a in new.args], [v.type for v in cast("ReturnOp", new.last_op).arguments]
    )


def _behind(last: Operation | None, block: Block) -> list[Operation]:
    """The operations of a block behind one of them; None: all."""
    made: list[Operation] = []
    op = block.first_op if last is None else last.next_op
    while op is not None:
        made.append(op)
        op = op.next_op
    return made


def _checked(lowering: Lowering, op: GraphOp, made: object) -> list[SSAValue]:
    """What a lowering, maybe a plug-in's, has made: integers of the shape of each result.

    Raises:
        FuriosaError: a plug-in's lowering returns something else; it names its file and line.
    """
    kind = type(made).__name__
    values: Any = [made] if isinstance(made, SSAValue) else made
    what = ""
    if not isinstance(values, list | tuple) or not all(
        isinstance(v, SSAValue) for v in cast("Sequence[object]", values)
    ):
        what = f"a value of type {kind}, not one of the emitter's for each result"
    elif len(cast("Sequence[SSAValue]", values)) != len(op.results):
        what = f"{len(cast('Sequence[SSAValue]', values))} values for {len(op.results)} results"
    else:
        for result, value in zip(op.results, cast("Sequence[SSAValue]", values), strict=True):
            elements = (i8,) if _is_byte(element_of(result)) else (i32, i48)
            if element_of(value) not in elements or shape_of(value) != shape_of(result):
                wanted = " or ".join(str(TensorType(e, shape_of(result))) for e in elements)
                what = f"{value.type}, not {wanted}"
    if what:
        name = f"the lowering of {op.name}"
        raise wrong_result(lowering.function, what, name, layer_name(op) or None)
    return list(cast("Sequence[SSAValue]", values))


def _is_byte(element: Attribute) -> bool:
    """Whether elements of this type are held in 8 bits."""
    if isinstance(element, UniformType):
        return np.dtype(element.data.dtype).itemsize == 1
    return isinstance(element, IntegerType) and cast("IntegerType", element).width.data <= 8


def _storage_type(value: SSAValue) -> AnyTensor:
    return tensor_type(i8, shape_of(value))


def _boundary(
    values: Sequence[SSAValue], attributes: ArrayAttr[DictionaryAttr] | None
) -> ArrayAttr[DictionaryAttr] | None:
    """The arguments' attributes with the dtype and the quantisation that the outside sees."""
    known: list[dict[str, Attribute]] = [dict(a.data) for a in attributes or ()]
    known = known or [{} for _ in values]
    for value, entry in zip(values, known, strict=True):
        q = quantization_of(value)
        if q is not None:
            entry[DTYPE] = StringAttr(np.dtype(q.dtype).name)
            entry[SCALE] = FloatAttr(q.scale, f64)
            entry[ZERO_POINT] = IntegerAttr(q.zero_point, i64)
        else:
            element = cast("IntegerType", element_of(value))
            unsigned = element.signedness.data == Signedness.UNSIGNED
            width = element.width.data
            name = "bool" if width == 1 else f"{'u' if unsigned else ''}int{width}"
            entry[DTYPE] = StringAttr(name)
    # Text has no form of an empty list.
    return ArrayAttr([DictionaryAttr(entry) for entry in known]) if known else None
