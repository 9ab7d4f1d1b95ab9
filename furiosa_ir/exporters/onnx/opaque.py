"""ONNX operators carried whole, written into a host segment's graph again.

An origin is a model of its own: its values get names of the segment's, inside subgraphs too, where
a name may come from outside. Its nodes are of the operator set of the file, the segment's may be a
newer one: nodes are raised to it (`importers.onnx.opsets`). What has no form in the newer set keeps
the file's (`kept_opset`), in a segment apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from furiosa_ir.dialects.graph.structure import OpaqueOp
from furiosa_ir.errors import CompilationFailure, ImportFailure
from furiosa_ir.exporters.onnx.writer import OnnxWriter, tensor_type
from furiosa_ir.importers.onnx.hazards import check_hazards
from furiosa_ir.importers.onnx.node_order import all_nodes, subgraphs
from furiosa_ir.importers.onnx.opsets import Inexpressible, changed_between, raise_opset
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.shaped_operation import element_of, ints
from furiosa_ir.onnx_messages import external_tensors

OLDEST_OPSET = 13
"""The forms of operators since this operator set are written; QuantizeLinear per channel is one."""


NEWEST_OPSET = 27
"""The newest that onnxruntime has the kernels of; what means the same in it is written in it."""


def write_opaque(op: OpaqueOp, w: OnnxWriter) -> None:
    """Appends the nodes of an opaque operation and binds its results.

    Raises:
        CompilationFailure: they have no form in the segment's operator set, or the operation says
            of them what is not so.
    """
    original = _model(op)
    _check_unchanged(op, original)
    model = _converted(op, original, w.opset)
    for entry in model.opset_import:
        w.domains.setdefault(str(entry.domain), int(entry.version))
    names: dict[str, str] = {}
    for declared, operand in zip(model.graph.input, op.inputs, strict=True):
        names[str(declared.name)] = w.name(operand)
    for declared, result in zip(model.graph.output, op.outputs, strict=True):
        names[str(declared.name)] = w.fresh()
        w.bind(result, names[str(declared.name)])
    for initializer in model.graph.initializer:
        names[str(initializer.name)] = w.fresh()
        w.graph.initializer.add().CopyFrom(initializer)
        w.graph.initializer[-1].name = names[str(initializer.name)]
    for node in model.graph.node:
        _rename(node, names, w)
        w.graph.node.append(node)


def kept_opset(op: OpaqueOp) -> int | None:
    """The operator set that an operation must be written in; None if any from the oldest will do.

    It is the file's, where that is older than those that segments are written in, and a node has no
    form in these.
    """
    assert op.origin is not None
    if op.origin.data[0] != "onnx":
        return None
    model = _model(op)
    opset = _opsets(model).get("", OLDEST_OPSET)
    if opset >= OLDEST_OPSET:
        return None
    try:
        raise_opset(model, opset, OLDEST_OPSET)
    except Inexpressible:
        return opset
    return None


def can_be_written_in(op: OpaqueOp, opset: int) -> bool:
    """Whether the nodes of an operation mean the same in an older operator set than the file's."""
    model = _model(op)
    own = _opsets(model).get("", opset)
    return all(_means_the_same(n, opset, own) for n in _nodes(model.graph.node))


def _means_the_same(node: Any, old: int, new: int) -> bool:
    """Whether a newer version of an operator only takes further element types, if there is one."""
    if not changed_between(node, old, new):
        return True
    try:
        older, newer = (_meaning(node.op_type, version) for version in (old, new))
    except onnx.defs.SchemaError:
        return False
    return older == newer


def _meaning(op_type: str, opset: int) -> Any:
    schema: Any = onnx.defs.get_schema(op_type, opset)
    values = [[(v.name, v.option) for v in vs] for vs in (schema.inputs, schema.outputs)]
    attributes = {
        name: (a.type, a.required, a.default_value.SerializeToString())
        for name, a in schema.attributes.items()
    }
    return schema.doc, values, attributes


def _model(op: OpaqueOp) -> onnx.ModelProto:
    """The origin, which need not be the importer's: IR text may say anything.

    Raises:
        CompilationFailure: it is no ONNX model of a node, or has data elsewhere.
    """
    assert op.origin is not None
    layer = layer_name(op) or None
    try:
        model = onnx.ModelProto.FromString(op.origin.data[1].array.tobytes())
    except DecodeError:
        raise CompilationFailure("its origin is not an ONNX model", layer=layer) from None
    if not model.graph.node:
        raise CompilationFailure("its origin has no node", layer=layer)
    tensor: Any = next(external_tensors(model), None)
    if tensor is not None:
        raise CompilationFailure(
            f"its origin has the tensor '{tensor.name}' in another file", layer=layer
        )
    for node in all_nodes(model.graph.node):
        try:
            check_hazards(node)
        except ImportFailure as error:
            raise CompilationFailure(
                f"its origin is unsound: {error.message}", layer=layer
            ) from None
    return model


def _check_unchanged(op: OpaqueOp, model: Any) -> None:
    """Compares what the operation says of its origin with it: text and passes may have changed it.

    Raises:
        CompilationFailure: they differ.
    """
    node, graph = model.graph.node[-1], model.graph
    position = {str(value.name): i for i, value in enumerate(graph.input)}
    domain = f"{node.domain}::" if node.domain not in ("", "ai.onnx") else ""
    # An origin need not say its results' types.
    types = [
        (int(value.type.tensor_type.elem_type), tensor_type(element_of(result)))
        for value, result in zip(graph.output, op.outputs, strict=False)
    ]
    pairs: list[tuple[str, Any, Any]] = [
        ("operator", op.operator.data, domain + str(node.op_type)),
        ("slots", list(ints(op.slots)), [position.get(str(name), -1) for name in node.input]),
        ("a number of operands of", len(op.inputs), len(graph.input)),
        ("a number of results of", len(op.outputs), len(graph.output)),
        *(("a result's type code", now, said or now) for said, now in types),
    ]
    for what, says, has in pairs:
        if says != has:
            raise CompilationFailure(
                f"graph.opaque says {what} {says}, its origin has {has}",
                layer=layer_name(op) or None,
                hint="undo the change: an operator that is carried whole is its origin",
            )


def _opsets(model: onnx.ModelProto) -> dict[str, int]:
    return {str(o.domain): int(o.version) for o in model.opset_import}


def _nodes(nodes: Sequence[Any]) -> Iterator[Any]:
    """The nodes and those of their subgraphs."""
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from _nodes(graph.node)


def _rename(node: Any, names: dict[str, str], w: OnnxWriter) -> None:
    """Renames what a node uses and makes; `names` learns what it makes."""
    for i, name in enumerate(node.input):
        if name:
            node.input[i] = names[str(name)]
    for graph in subgraphs(node):
        _rename_graph(graph, names, w)
    for i, name in enumerate(node.output):
        if name:
            node.output[i] = names.setdefault(str(name), w.fresh())


def _rename_graph(graph: Any, outer: Mapping[str, str], w: OnnxWriter) -> None:
    """Renames all values of a subgraph; what it does not define comes from outside."""
    names = dict(outer)
    sparse = [t.values for t in graph.sparse_initializer]
    for defined in (*graph.input, *graph.initializer, *sparse):
        # An initialiser may also be an input.
        own = str(defined.name)
        if names.get(own) == outer.get(own):
            names[own] = w.fresh()
        defined.name = names[own]
    for node in graph.node:
        for name in node.output:
            if name:
                names[str(name)] = w.fresh()
        _rename(node, names, w)
    for value in (*graph.output, *graph.value_info):
        value.name = names.get(str(value.name), str(value.name))


def _converted(op: OpaqueOp, model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    own = _opsets(model).get("", opset)
    nodes = list(_nodes(model.graph.node))
    if own == opset or not any(changed_between(n, own, opset) for n in nodes):
        return model
    if own > opset and all(_means_the_same(n, opset, own) for n in nodes):
        return model
    try:
        raise_opset(model, own, opset)
    except Inexpressible as error:
        raise CompilationFailure(
            f"the operator '{op.operator.data}' has no form in operator set {opset}: "
            f"{error.message}",
            layer=layer_name(op) or None,
            hint="export the network with a newer operator set",
        ) from None
    return model
