"""A function of graph operations as an ONNX model, for onnxruntime to run on the host.

Operations are written by their meaning (`onnx_forms`), whatever passes have made of them; only a
`graph.opaque` is its own origin again. Values of quantised types are tensors of stored integers,
between which DequantizeLinear and QuantizeLinear stand around the operators of reals.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import onnx
from google.protobuf.message import EncodeError
from onnx import helper
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.functions import HardSwishOp
from furiosa_ir.dialects.graph.resize import ResizeOp
from furiosa_ir.dialects.graph.structure import OpaqueOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.exporters.onnx.forms import FORMS, onnx_operator, write
from furiosa_ir.exporters.onnx.opaque import (
    NEWEST_OPSET,
    OLDEST_OPSET,
    can_be_written_in,
    kept_opset,
    write_opaque,
)
from furiosa_ir.exporters.onnx.writer import OnnxWriter
from furiosa_ir.ir.location import layer_name
from furiosa_ir.native_onnx import infer_shapes
from furiosa_ir.native_process import NativeCrash, NativeRefusal


def export_onnx(function: FuncOp) -> bytes:
    """The function as a serialised ONNX model; inputs and outputs in the function's order.

    Raises:
        CompilationFailure: an operation has no form in ONNX, or not all of its data.
    """
    ops = [op for op in function.body.block.ops if isinstance(op, GraphOp)]
    opset = _opset(function, ops)
    opaque = [op for op in ops if isinstance(op, OpaqueOp)]
    if opset > NEWEST_OPSET and all(can_be_written_in(op, NEWEST_OPSET) for op in opaque):
        older = _written(function, ops, NEWEST_OPSET)
        if _takes_its_types(older):
            return _serialized(older)
    return _serialized(_written(function, ops, opset))


def _serialized(model: onnx.ModelProto) -> bytes:
    try:
        return model.SerializeToString(deterministic=True)
    except EncodeError:
        raise CompilationFailure(
            "the operators that run on the host have more than 2 GiB of constants together",
            hint="an ONNX sub-model holds no more; quantise the network, or split it",
        ) from None


def _takes_its_types(model: onnx.ModelProto) -> bool:
    """Whether the operators take their inputs' element types in the model's operator set."""
    try:
        infer_shapes(_serialized(model), check_type=True, strict_mode=True)
    except (NativeRefusal, NativeCrash):
        return False
    return True


def _written(function: FuncOp, ops: list[GraphOp], opset: int) -> onnx.ModelProto:
    w = OnnxWriter(opset)
    terminator = function.body.block.last_op
    assert isinstance(terminator, ReturnOp)
    inputs = _names(function.arg_attrs, len(function.body.block.args), "input")
    outputs = _names(function.res_attrs, len(terminator.operands), "output")
    w.take((*inputs, *outputs))
    for name, argument in zip(inputs, function.body.block.args, strict=True):
        w.bind(argument, name)
        w.graph.input.append(w.value_info(name, argument.type))
    times: Counter[str] = Counter()
    for op in ops:
        written = len(w.graph.node)
        if isinstance(op, OpaqueOp):
            write_opaque(op, w)
        else:
            write(op, w)
        for node in w.graph.node[written:]:
            # What onnxruntime calls a node that fails. It refuses two of one name.
            layer = layer_name(op)
            times[layer] += 1
            node.name = f"{layer}#{times[layer]}" if layer and times[layer] > 1 else layer
    made = {str(name) for node in w.graph.node for name in node.output}
    made.update(str(tensor.name) for tensor in w.graph.initializer)
    taken = set(inputs)
    renamed: dict[str, str] = {}
    for name, value in zip(outputs, terminator.operands, strict=True):
        unique = name if name not in taken else f"{name}/output{len(w.graph.output)}"
        taken.add(unique)
        tensor = w.name(value)
        if tensor in made and tensor not in renamed:
            renamed[tensor] = unique
        else:
            w.graph.node.append(helper.make_node("Identity", [tensor], [unique]))
        w.graph.output.append(w.value_info(unique, value.type))
    w.rename(renamed)
    imports = [helper.make_opsetid(d, v) for d, v in sorted(w.domains.items())]
    model = helper.make_model(w.graph, opset_imports=imports, producer_name="furiosa-ir")
    # Before version 4 an initialiser was an input as well.
    model.ir_version = max(4, helper.find_min_ir_version_for(imports, ignore_unknown=True))
    return model


def _opset(function: FuncOp, ops: list[GraphOp]) -> int:
    """The operator set to write in: the source's, or a newer one that has all forms."""
    module = function.parent_op()
    attribute = module.attributes.get("graph.opset") if isinstance(module, ModuleOp) else None
    source = attribute.value.data if isinstance(attribute, IntegerAttr) else OLDEST_OPSET
    # The partition leaves these to themselves.
    kept = [kept_opset(op) for op in ops if isinstance(op, OpaqueOp)]
    if any(kept):
        return max(opset for opset in kept if opset is not None)
    return max([source, OLDEST_OPSET, *(_since(op) for op in ops)])


def _since(op: GraphOp) -> int:
    """The operator set that brought the operator, as far as it matters."""
    if isinstance(op, ResizeOp) and op.coordinates.data == "half_pixel_symmetric":
        return 19
    if isinstance(op, HardSwishOp):
        return 14
    if isinstance(op, OpaqueOp) or any(cls in FORMS for cls in type(op).__mro__):
        return 0
    domain, _, name = onnx_operator(op).rpartition("::")
    try:
        onnx.defs.get_schema(name, OLDEST_OPSET, domain)
    except onnx.defs.SchemaError:
        schema: Any = None if domain else onnx.defs.get_schema(name)
        return 0 if schema is None else int(schema.since_version)
    return 0


def _names(attributes: ArrayAttr[DictionaryAttr] | None, count: int, prefix: str) -> list[str]:
    """The names of a function's arguments or results; numbered where they have none."""
    given: list[Attribute | None] = [None] * count
    if attributes is not None:
        given = [entry.data.get("graph.name") for entry in attributes]
    names = [a.data if isinstance(a, StringAttr) else f"{prefix}{i}" for i, a in enumerate(given)]
    return [n if n not in names[:i] else f"{n}/{prefix}{i}" for i, n in enumerate(names)]
