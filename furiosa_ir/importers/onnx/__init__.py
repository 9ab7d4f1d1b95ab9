"""ONNX files -> `graph`: every valid operator becomes a modelled operation or `graph.opaque`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    IntegerAttr,
    ModuleOp,
    StringAttr,
    i64,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue

from furiosa_ir.dialects.graph import ONNX_OPERATORS
from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.errors import FuriosaError, ImportFailure, UnknownOperator
from furiosa_ir.importers.batch import set_batch
from furiosa_ir.importers.imported import imported
from furiosa_ir.importers.onnx.branches import taken_branch
from furiosa_ir.importers.onnx.builder import Builder, is_static
from furiosa_ir.importers.onnx.extra_operators import schema_opset
from furiosa_ir.importers.onnx.file import UNFIT, ModelFile, read_model
from furiosa_ir.importers.onnx.node import Node, node_domain, node_key
from furiosa_ir.importers.onnx.node_order import needed_nodes, node_label
from furiosa_ir.importers.onnx.opaque import check_node, declared_type
from furiosa_ir.importers.onnx.qlinear import expanded
from furiosa_ir.importers.onnx.resize_extents import settled
from furiosa_ir.importers.onnx.signature import batch_symbols, input_axes, input_type
from furiosa_ir.importers.onnx.structural import STRUCTURAL, STRUCTURAL_IGNORED
from furiosa_ir.importers.onnx.tensors import element_of_dtype, element_type, type_name
from furiosa_ir.importers.onnx.types import check_types
from furiosa_ir.ir.history import HISTORY, NOTHING_RAN
from furiosa_ir.ir.location import name_loc
from furiosa_ir.ir.shaped_operation import DYNAMIC, element_of, shape_of, shape_text
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.plugins import raise_plugin_failure
from furiosa_ir.spans import span

__all__ = ["import_onnx"]

_LOG = logging.getLogger(__name__)


def import_onnx(
    source: bytes | Path, *, batch_size: int | None = None, part: Part = WHOLE
) -> ModuleOp:
    """Reads an ONNX model into a module with one function, `@main`.

    Static shapes are inferred on the way, and what depends on constants alone is folded.

    Args:
        source: the file's path or its bytes (which cannot have external data).
        batch_size: how many samples the inputs hold; None: one where the file leaves it open.
        part: which part of the network, of which extents.

    Raises:
        ImportFailure: the file is missing, is no ONNX model, or contradicts itself; or it cannot
            have that batch size or part.
    """
    with span("read"):
        file = read_model(source, part)
    try:
        with span("convert"):
            return _import(file, batch_size)
    except UnknownOperator as error:
        raise error.at(file=file.name) from error.__cause__
    except FuriosaError as error:
        raise ImportFailure(
            error.message, file=error.file or file.name, layer=error.layer, hint=error.hint
        ) from error.__cause__


def _import(file: ModelFile, batch_size: int | None) -> ModuleOp:
    graph: Any = file.model.graph
    if not graph.output:
        raise ImportFailure("the network has no outputs")
    initial = {str(t.name): t for t in graph.initializer}
    if len(initial) != len(graph.initializer):
        raise ImportFailure("two initialisers have the same name")
    inputs = [i for i in graph.input if i.name not in initial]
    names = [str(i.name) for i in inputs]
    if len(set(names)) != len(names):
        raise ImportFailure("two inputs have the same name")
    nodes = needed_nodes(graph, [*names, *initial])

    symbols = batch_symbols(inputs)
    types = [input_type(i, symbols) for i in inputs]
    block = Block(arg_types=types)
    declared = {
        str(v.name): t for v in (*graph.value_info, *graph.output) if (t := declared_type(v))
    }
    builder = Builder(block, file.folder, file.opsets, declared, file.sparse)
    for name, argument in zip(names, block.args, strict=True):
        builder.define(name, argument)
    for name, tensor in initial.items():
        builder.declare_tensor(name, tensor)
    elements = {str(v.name): int(v.type.tensor_type.elem_type) for v in graph.value_info}
    for proto in nodes:
        _import_node(builder, proto, elements)
    results = [builder.output(str(o.name)) for o in graph.output]
    for output, result in zip(graph.output, results, strict=True):
        _compare(output, result, file.name, open_batch=bool(symbols))
    block.add_op(ReturnOp(*results))
    builder.finish()
    function = _function(block, names, [str(o.name) for o in graph.output])
    if batch_size is not None:
        axes = input_axes(inputs, types, batch_size)
        if axes is not None:
            set_batch(function, axes, batch_size)
    return _module(file, function)


def _import_node(builder: Builder, proto: Any, declared: Mapping[str, int]) -> None:
    """Adds what a node becomes.

    Args:
        builder: adds it.
        proto: the node.
        declared: the codes of element types that the file declares, by value name.

    Raises:
        ImportFailure: it makes no sense; the sentence names the node.
    """
    label = node_label(proto)
    builder.location = name_loc(label)
    try:
        check_node(proto, builder.opsets)
        branch = taken_branch(builder, proto)
        if branch is not None:
            for inner in branch:
                _import_node(builder, inner, {})
            return
        # What an operator is expanded to need not be valid: accumulators are stored numbers, too.
        node = Node(builder, proto, _opset(builder, proto))
        check_types(node.op_type, node.domain, node.opset, node.operands)
        for part in expanded(builder, proto) or (settled(builder, proto),):
            for name, value in zip(part.output, _results(builder, part), strict=False):
                if name:
                    builder.define(str(name), value)
        for name in proto.output:
            if declared.get(str(name)) and not builder.is_hidden(str(name)):
                _compare_elements(f"the value '{name}'", declared[name], builder.value(str(name)))
    except UnknownOperator as error:
        raise error.at(layer=label) from None
    except FuriosaError as error:
        raise ImportFailure(
            error.message, file=error.file, layer=error.layer or label, hint=error.hint
        ) from None
    except UNFIT as error:
        raise_plugin_failure(error, label)
        # An operator's import function may take its node to be well formed: check_node has
        # compared it with the schema, which says nothing about ranks and values.
        raise ImportFailure(
            f"the operator '{proto.op_type}' does not fit its inputs and attributes",
            layer=label,
        ) from error


def _opset(builder: Builder, proto: Any) -> int:
    """The set whose schema a node follows."""
    return schema_opset(proto, builder.opsets[node_domain(proto)])


def _results(builder: Builder, proto: Any) -> Sequence[SSAValue]:
    key = node_key(proto)
    operation = ONNX_OPERATORS.get(key) if key not in STRUCTURAL else None
    node = Node(builder, proto, _opset(builder, proto), operation)
    hook = STRUCTURAL.get(key) if operation is None else operation.from_onnx
    dynamic = any(o is not None and not is_static(o) for o in node.operands)
    if hook is None or dynamic or any(builder.is_hidden(str(i)) for i in proto.input):
        return node.unsupported()
    results = imported(hook, node, node.key)
    ignored = STRUCTURAL_IGNORED.get(key, ()) if operation is None else operation.IGNORED
    if not node.is_whole and (unread := node.unread_attributes(ignored)):
        return _with_attributes(node, unread, operation)
    # Optional outputs that are not modelled (MaxPool's indices, BatchNorm's statistics).
    return results if len(results) >= node.output_count else node.unsupported()


def _with_attributes(
    node: Node, unread: Sequence[str], operation: type[GraphOp] | None
) -> Sequence[SSAValue]:
    """The node whole, since what it would become lacks some of its attributes.

    Raises:
        ImportFailure: nothing but its operation would know what they mean.
    """
    if node.has_schema or operation is None:
        return node.unsupported()
    names = " and ".join(f"'{name}'" for name in unread)
    raise ImportFailure(
        f"the operator '{node.key}' has the attribute{'s' * (len(unread) > 1)} {names}, which "
        f"{operation.name} does not have",
        hint=f"declare a property of {operation.__name__} of that name, read it in from_onnx, or "
        "say in IGNORED why it changes nothing",
    )


def _compare(output: Any, value: SSAValue, file: str | None, *, open_batch: bool) -> None:
    """Compares what the file declares of a network output with what was inferred.

    Another shape is a warning: the operator's counts, as in onnxruntime.

    Raises:
        ImportFailure: the element types differ.
    """
    tensor = output.type.tensor_type
    if tensor.elem_type:
        _compare_elements(f"the output '{output.name}'", tensor.elem_type, value)
    if not tensor.HasField("shape"):
        return
    dims = [
        d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else DYNAMIC
        for d in tensor.shape.dim
    ]
    shape = shape_of(value)
    # Where the batch is open, an output may be declared for another one.
    first = 1 if open_batch else 0
    fits = len(dims) == len(shape) and all(
        DYNAMIC in (a, b) or a <= 0 or a == b
        for a, b in list(zip(dims, shape, strict=True))[first:]
    )
    if not fits:
        _LOG.warning(
            "%s: the output '%s' is declared with shape %s; it has the shape that the network "
            "makes, %s",
            file or "model",
            output.name,
            shape_text(dims),
            shape_text(shape),
        )


def _compare_elements(what: str, declared: int, value: SSAValue) -> None:
    """Compares the code of an element type that the file declares with what was inferred.

    Raises:
        ImportFailure: they differ; no runtime takes that.
    """
    quantization = quantization_of(value)
    found = element_of(value) if quantization is None else element_of_dtype(quantization.dtype)
    if element_type(declared) != found:
        raise ImportFailure(
            f"{what} is declared as {type_name(declared)}, but the network makes {found}"
        )


def _function(block: Block, inputs: list[str], outputs: list[str]) -> FuncOp:
    terminator = block.last_op
    assert terminator is not None
    return FuncOp(
        "main",
        (block.arg_types, terminator.operand_types),
        Region(block),
        arg_attrs=_names(inputs),
        res_attrs=_names(outputs),
    )


def _module(file: ModelFile, function: FuncOp) -> ModuleOp:
    return ModuleOp(
        [function],
        {
            "graph.source": StringAttr("onnx"),
            "graph.source_hash": StringAttr(file.digest),
            "graph.opset": IntegerAttr(file.opsets[""], i64),
            HISTORY: NOTHING_RAN,
        },
    )


def _names(names: list[str]) -> ArrayAttr[DictionaryAttr]:
    return ArrayAttr([DictionaryAttr({"graph.name": StringAttr(n)}) for n in names])
