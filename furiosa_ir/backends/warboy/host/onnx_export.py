"""A function of graph operations as an ONNX model, for onnxruntime to run on the host.

Operations are written by their meaning (`onnx_forms`), whatever passes have made of them; only a
`graph.opaque` is its own origin again. Values of quantised types are tensors of stored integers,
between which DequantizeLinear and QuantizeLinear stand around the operators of reals.
"""

from __future__ import annotations

from typing import Any

import onnx
import onnx.version_converter
from onnx import helper
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.backends.warboy.host.onnx_forms import FORMS, onnx_operator, write
from furiosa_ir.backends.warboy.host.onnx_writer import OnnxWriter
from furiosa_ir.dialects.graph.base import GraphOp, ints
from furiosa_ir.dialects.graph.functions import HardSwishOp
from furiosa_ir.dialects.graph.movement import ResizeOp
from furiosa_ir.dialects.graph.structure import OpaqueOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.importers.onnx.order import captures
from furiosa_ir.ir.location import layer_name

OLDEST_OPSET = 13
"""The forms of operators since this operator set are written; QuantizeLinear per channel is one."""


def export_onnx(function: FuncOp) -> bytes:
    """The function as a serialised ONNX model; inputs and outputs in the function's order.

    Raises:
        CompilationFailure: an operation has no form in ONNX.
    """
    ops = [op for op in function.body.block.ops if isinstance(op, GraphOp)]
    w = OnnxWriter(_opset(function, ops))
    inputs = _names(function.arg_attrs, len(function.body.block.args), "input")
    for name, argument in zip(inputs, function.body.block.args, strict=True):
        w.bind(argument, name)
        w.graph.input.append(w.value_info(name, argument.type))
    for op in ops:
        if isinstance(op, OpaqueOp):
            _inline(op, w)
        else:
            write(op, w)
    terminator = function.body.block.last_op
    assert isinstance(terminator, ReturnOp)
    outputs = _names(function.res_attrs, len(terminator.operands), "output")
    taken = set(inputs)
    for name, value in zip(outputs, terminator.operands, strict=True):
        unique = name if name not in taken else f"{name}/output{len(w.graph.output)}"
        taken.add(unique)
        w.graph.node.append(helper.make_node("Identity", [w.name(value)], [unique]))
        w.graph.output.append(w.value_info(unique, value.type))
    imports = [helper.make_opsetid(d, v) for d, v in sorted(w.domains.items())]
    model = helper.make_model(w.graph, opset_imports=imports, producer_name="furiosa-ir")
    model.ir_version = helper.find_min_ir_version_for(imports, ignore_unknown=True)
    return model.SerializeToString(deterministic=True)


def _opset(function: FuncOp, ops: list[GraphOp]) -> int:
    """The operator set to write in: the source's, or the oldest that has all forms."""
    module = function.parent_op()
    attribute = module.attributes.get("graph.opset") if isinstance(module, ModuleOp) else None
    source = attribute.value.data if isinstance(attribute, IntegerAttr) else OLDEST_OPSET
    return max([source, OLDEST_OPSET, *(_since(op) for op in ops)])


def _since(op: GraphOp) -> int:
    """The operator set that brought the operator, as far as it matters."""
    if isinstance(op, ResizeOp) and op.coordinates.data == "half_pixel_symmetric":
        return 19
    if isinstance(op, HardSwishOp):
        return 14
    if isinstance(op, OpaqueOp) or type(op) in FORMS:
        return 0
    domain, _, name = onnx_operator(op).rpartition("::")
    try:
        onnx.defs.get_schema(name, OLDEST_OPSET, domain)
    except onnx.defs.SchemaError:
        schema: Any = None if domain else onnx.defs.get_schema(name)
        return 0 if schema is None else int(schema.since_version)
    return 0


def _inline(op: OpaqueOp, w: OnnxWriter) -> None:
    """Writes the node of an opaque operation, its inputs and outputs renamed."""
    assert op.origin is not None
    model = _converted(op, onnx.ModelProto.FromString(op.origin.data[1].array.tobytes()), w.opset)
    for entry in model.opset_import:
        w.domains.setdefault(str(entry.domain), int(entry.version))
    renamed: dict[str, str] = {}
    for declared, operand in zip(model.graph.input, op.inputs, strict=True):
        renamed[str(declared.name)] = w.name(operand)
    captured = len({i for i in ints(op.slots) if i >= 0})
    # A subgraph says the outer name: that name is bound once more.
    for declared, operand in list(zip(model.graph.input, op.inputs, strict=True))[captured:]:
        _bind_captured(str(declared.name), operand, w)
    for declared, result in zip(model.graph.output, op.outputs, strict=True):
        renamed[str(declared.name)] = w.fresh()
        w.bind(result, renamed[str(declared.name)])
    for initializer in model.graph.initializer:
        renamed[str(initializer.name)] = w.fresh()
        w.graph.initializer.add().CopyFrom(initializer)
        w.graph.initializer[-1].name = renamed[str(initializer.name)]
    kept = {name for node in model.graph.node for name in captures(node)}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in renamed:
                renamed[str(name)] = str(name) if name in kept else w.fresh()
        _append_renamed(node, renamed, w)


def _append_renamed(node: Any, renamed: dict[str, str], w: OnnxWriter) -> None:
    copy = w.graph.node.add()
    copy.CopyFrom(node)
    for names in (copy.input, copy.output):
        for i, name in enumerate(names):
            if name:
                names[i] = renamed[str(name)]


def _bind_captured(name: str, operand: SSAValue, w: OnnxWriter) -> None:
    if all(name not in node.output for node in w.graph.node) and w.name(operand) != name:
        w.graph.node.append(helper.make_node("Identity", [w.name(operand)], [name]))


def _converted(op: OpaqueOp, model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    versions = {str(o.domain): int(o.version) for o in model.opset_import}
    if versions.get("", opset) == opset:
        return model
    try:
        return onnx.version_converter.convert_version(model, opset)
    except (RuntimeError, ValueError) as error:
        raise CompilationFailure(
            f"the operator '{op.operator.data}' cannot be converted from operator set "
            f"{versions['']} to {opset}: {str(error).splitlines()[0]}",
            layer=layer_name(op) or None,
            hint="convert the model with onnx.version_converter",
        ) from None


def _names(attributes: ArrayAttr[DictionaryAttr] | None, count: int, prefix: str) -> list[str]:
    """The names of a function's arguments or results; numbered where they have none."""
    given: list[Attribute | None] = [None] * count
    if attributes is not None:
        given = [entry.data.get("graph.name") for entry in attributes]
    names = [a.data if isinstance(a, StringAttr) else f"{prefix}{i}" for i, a in enumerate(given)]
    return [n if n not in names[:i] else f"{n}/{prefix}{i}" for i, n in enumerate(names)]
