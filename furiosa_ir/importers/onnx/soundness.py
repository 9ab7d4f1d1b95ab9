"""What is checked of a parsed ONNX model before any other code sees it.

protobuf has parsed it, so it is a tree; but its strings may be no text, its subgraphs and functions
may nest and multiply without end, and its tensors may claim any size. The native code of onnx that
runs next (inliner, version converter, shape inference) relies on sense in all of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx.hazards import check_hazards
from furiosa_ir.importers.onnx.order import all_nodes
from furiosa_ir.ir.sizes import check_shape
from furiosa_ir.limits import limit, way_out


def check_model(model: onnx.ModelProto) -> None:
    """Checks names, nesting, the number of operators and the sizes that tensors claim.

    Raises:
        ImportFailure: the first thing that is wrong.
    """
    imports: Any = model.opset_import
    _check_text(*(o.domain for o in imports))
    functions: Any = model.functions
    counts: dict[tuple[str, str, str], int] = {}
    bodies: dict[tuple[str, str, str], Any] = {}
    for function in functions:
        _check_text(
            function.name,
            function.domain,
            function.overload,
            *function.input,
            *function.output,
            *function.attribute,
        )
        bodies[_function_key(function.domain, function.name, function.overload)] = function
        for attribute in function.attribute_proto:
            _check_attribute(attribute, 1)
        _check_nodes(function.node, 1)
        _check_infos(function.value_info)
    _check_graph(model.graph, 1)
    operators = _count(model.graph.node, bodies, counts, ())
    if operators > limit("OPERATORS"):
        raise ImportFailure(
            f"the network has {operators} operators, those of its functions included",
            hint=way_out("OPERATORS"),
        )


def _check_text(*strings: str | bytes) -> None:
    for string in strings:
        if isinstance(string, bytes):  # so protobuf hands out what is not UTF-8
            raise ImportFailure(f"the name {string[:40]!r} is not UTF-8 text")


def _check_graph(graph: Any, depth: int) -> None:
    if depth > limit("NESTING"):
        raise ImportFailure("its subgraphs are nested too deeply", hint=way_out("NESTING"))
    _check_text(graph.name)
    _check_infos((*graph.input, *graph.output, *graph.value_info))
    for tensor in graph.initializer:
        _check_tensor(tensor, inside=depth > 1)
    for sparse in graph.sparse_initializer:
        _check_tensor(sparse.values)
        _check_tensor(sparse.indices)
    _check_nodes(graph.node, depth)


def _check_nodes(nodes: Any, depth: int) -> None:
    for node in nodes:
        _check_text(node.op_type, node.domain, node.name, node.overload, *node.input, *node.output)
        check_hazards(node)
        for attribute in node.attribute:
            _check_attribute(attribute, depth)


def _check_attribute(attribute: Any, depth: int) -> None:
    _check_text(attribute.name, attribute.ref_attr_name)
    if attribute.HasField("t"):
        _check_tensor(attribute.t)
    for tensor in attribute.tensors:
        _check_tensor(tensor)
    if attribute.HasField("g"):
        _check_graph(attribute.g, depth + 1)
    for graph in attribute.graphs:
        _check_graph(graph, depth + 1)


def _check_tensor(tensor: Any, *, inside: bool = True) -> None:
    """A tensor; of those `inside` of operators, the data must be in the model's file.

    onnx would look for the data of those below the current directory, not beside the model.
    """
    _check_text(tensor.name)
    if inside and (tensor.data_location or tensor.external_data):
        raise ImportFailure(
            f"the tensor '{tensor.name}' of an attribute or a subgraph has external data",
            hint="make it an initialiser of the network, or save it inside of the model",
        )
    check_shape(tensor.dims, f"the tensor '{tensor.name}'")
    if any(n < 0 for n in tensor.dims):
        raise ImportFailure(f"the tensor '{tensor.name}' has a negative extent")
    for entry in tensor.external_data:
        _check_text(entry.key, entry.value)


def _check_infos(infos: Any) -> None:
    for info in infos:
        _check_text(info.name)
        if info.type.HasField("tensor_type"):
            dims: Any = info.type.tensor_type.shape.dim
            _check_text(*(d.dim_param for d in dims if d.HasField("dim_param")))
            check_shape([d.dim_value for d in dims], f"the value '{info.name}'")


_Key = tuple[str, str, str]


def _function_key(domain: str, name: str, overload: str) -> _Key:
    return ("" if domain == "ai.onnx" else str(domain), str(name), str(overload))


def _count(
    nodes: Any, bodies: Mapping[_Key, Any], counts: dict[_Key, int], callers: tuple[_Key, ...]
) -> int:
    """How many operators there are once every call of a function is replaced by its body.

    Raises:
        ImportFailure: a function calls itself, or calls nest too deeply.
    """
    total = 0
    for node in all_nodes(nodes):
        key = _function_key(node.domain, node.op_type, node.overload)
        body = bodies.get(key)
        if body is None:
            total += 1
        elif key in counts:
            total += counts[key]
        elif key in callers:
            raise ImportFailure(f"the function '{key[1]}' calls itself")
        elif len(callers) >= limit("NESTING"):
            raise ImportFailure("its functions call too deeply", hint=way_out("NESTING"))
        else:
            counts[key] = _count(body.node, bodies, counts, (*callers, key))
            total += counts[key]
    return total
