"""`lower-to-ftensor`: NPU segments from `graph` to `ftensor`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from xdsl.builder import Builder
from xdsl.context import Context
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FloatAttr,
    FunctionType,
    IntegerAttr,
    IntegerType,
    ModuleOp,
    Signedness,
    StringAttr,
    TensorType,
    f64,
    i8,
    i32,
    i64,
)
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint

from furiosa_ir.backends.warboy.lowering import Emitter, Lowering, find_lowering
from furiosa_ir.backends.warboy.passes.graph_partition import (
    is_npu,
    main_function,
    numerics_of,
)
from furiosa_ir.backends.warboy.stages import require
from furiosa_ir.dialects.ftensor.base import i48
from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.graph.quantization import StorageCastOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.errors import CompilationFailure, FuriosaError
from furiosa_ir.ir.location import layer_name, layer_names
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.rewriting import remove_dead_operations
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.ir.value_tracking import note_all_replaced, note_replaced
from furiosa_ir.plugins import raise_plugin_failure, wrong_result

OPERATORS = "graph.operators"
"""Attribute of a lowered segment: layer name -> its operators in `graph` ("conv+clip")."""


@dataclass(frozen=True)
class LowerToFTensor(Pass):
    """Replaces the operations of every `@npu_K` by integer arithmetic on i8 tensors.

    What an operation becomes is its lowering's business (`backends/warboy/lowering`). uint8 data
    becomes i8 with the top bit flipped, bool i8 of 1 and 0. Results that are no 8-bit data leave as
    i32, or as i48, which takes 64 bits in memory. `graph.dtype`, `graph.scale` and
    `graph.zero_point` of arguments and results keep what the outside sees. In `@main`,
    `graph.storage_cast` stands before and behind the call, where the two views of the same bytes
    meet.

        func.func private @npu_1(%x: tensor<1x4x!quant.uniform<u8:f32, 0.5:128>>) -> ... {
          %r = "graph.relu"(%x) : ...
          func.return %r
        }

    becomes

        func.func private @npu_1(%x: tensor<1x4xi8> {graph.dtype = "uint8", ...}) -> ... {
          %table = "ftensor.constant"() <{value = #graph.blob<"...">}> : () -> tensor<256xi8>
          %r = "ftensor.lookup"(%x, %table) : (tensor<1x4xi8>, tensor<256xi8>) -> tensor<1x4xi8>
          func.return %r
        }
    """

    name = "lower-to-ftensor"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        require(op, self.name)
        numerics = numerics_of(op)
        signatures: dict[str, FunctionType] = {}
        for function in op.ops:
            if isinstance(function, FuncOp) and is_npu(function):
                lower_function(function, numerics)
                signatures[function.sym_name.data] = function.function_type
        remove_dead_operations(op)
        _retype_calls(main_function(op), signatures)


def lower_function(function: FuncOp, numerics: str) -> None:
    """Lowers one NPU segment in place.

    Raises:
        CompilationFailure: an operation has no lowering under these numerics.
    """
    old = function.body.block
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


def _storage_type(value: SSAValue) -> TensorType[Attribute]:
    return TensorType(i8, shape_of(value))


def _boundary(
    values: Sequence[SSAValue], attributes: ArrayAttr[DictionaryAttr] | None
) -> ArrayAttr[DictionaryAttr] | None:
    """The arguments' attributes with the dtype and the quantisation that the outside sees."""
    known: list[dict[str, Attribute]] = [dict(a.data) for a in attributes or ()]
    known = known or [{} for _ in values]
    for value, entry in zip(values, known, strict=True):
        q = quantization_of(value)
        if q is not None:
            entry["graph.dtype"] = StringAttr(np.dtype(q.dtype).name)
            entry["graph.scale"] = FloatAttr(q.scale, f64)
            entry["graph.zero_point"] = IntegerAttr(q.zero_point, i64)
        else:
            element = cast("IntegerType", element_of(value))
            unsigned = element.signedness.data == Signedness.UNSIGNED
            width = element.width.data
            name = "bool" if width == 1 else f"{'u' if unsigned else ''}int{width}"
            entry["graph.dtype"] = StringAttr(name)
    # Text has no form of an empty list.
    return ArrayAttr([DictionaryAttr(entry) for entry in known]) if known else None


def _retype_calls(main: FuncOp, signatures: dict[str, FunctionType]) -> None:
    """Calls the lowered segments with i8 tensors: storage casts stand where the views meet."""
    for call in list(main.body.block.ops):
        signature = signatures.get(call.callee.string_value()) if isinstance(call, CallOp) else None
        if signature is None:
            continue
        operands = [
            _cast(main, call, v, cast("TensorType[Attribute]", t))
            for v, t in zip(call.operands, signature.inputs, strict=True)
        ]
        new = CallOp(cast("CallOp", call).callee, operands, list(signature.outputs))
        new.location = call.location
        main.body.block.insert_op_before(new, call)
        for old, result in zip(call.results, new.results, strict=True):
            view = _cast(main, call, result, cast("TensorType[Attribute]", old.type))
            note_replaced(old, view)
            old.replace_all_uses_with(view)
        call.detach()
        call.erase()


def _cast(
    main: FuncOp, before: Operation, value: SSAValue, type_: TensorType[Attribute]
) -> SSAValue:
    if value.type == type_:
        return value
    op = StorageCastOp.make([value], [type_.element_type])
    main.body.block.insert_op_before(op, before)
    return op.result
