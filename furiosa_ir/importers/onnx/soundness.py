"""What is checked of a parsed ONNX model before any other code sees it.

protobuf has parsed it, so it is a tree; but its strings may be no text, its subgraphs and functions
may nest and multiply without end, and its tensors may claim any size. The native code of onnx that
runs next (inliner, version converter, shape inference) relies on sense in all of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import onnx

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx.hazards import check_hazards
from furiosa_ir.importers.onnx.local_functions import function_key
from furiosa_ir.importers.onnx.node_order import all_nodes
from furiosa_ir.ir.sizes import check_shape
from furiosa_ir.limits import limit, way_out
from furiosa_ir.onnx_messages import fields_of, inner_messages


def check_model(model: onnx.ModelProto) -> None:
    """Checks names, nesting, the number of operators and the sizes that tensors claim.

    Raises:
        ImportFailure: the first thing that is wrong.
    """
    _check_messages(model)
    functions: Any = model.functions
    bodies = {function_key(f.domain, f.name, f.overload): f for f in functions}
    operators = _count(model.graph.node, bodies, {}, ())
    if operators > limit("OPERATORS"):
        raise ImportFailure(
            f"the network has {operators} operators, those of its functions included",
            hint=way_out("OPERATORS"),
        )


def _check_messages(model: Any) -> None:
    """Checks every message of a model, whatever holds it."""
    initializers = list(model.graph.initializer)
    main = set(map(id, initializers))  # protobuf hands out one object as long as it is held
    pending: list[tuple[Any, int, str]] = [(model, 0, "")]
    while pending:
        message, depth, value = pending.pop()
        kind = cast("Any", type(message))
        _check_text(message, kind)
        if kind is onnx.NodeProto:
            check_hazards(message)
        elif kind is onnx.GraphProto:
            depth += 1
            if depth > limit("NESTING"):
                raise ImportFailure("its subgraphs are nested too deeply", hint=way_out("NESTING"))
        elif kind is onnx.TensorProto:
            _check_tensor(message, inside=id(message) not in main)
        elif kind is onnx.ValueInfoProto:
            value = str(message.name)
        elif kind is onnx.TensorShapeProto:
            check_shape([d.dim_value for d in message.dim], f"the value '{value}'")
        pending += [(inner, depth, value) for inner in inner_messages(message)]


def _check_text(message: Any, kind: type[Any]) -> None:
    for name, repeated in fields_of(kind)[0]:
        text = getattr(message, name)
        for string in text if repeated else (text,):
            if isinstance(string, bytes):  # so protobuf hands out what is not UTF-8
                raise ImportFailure(f"the name {string[:40]!r} is not UTF-8 text")


def _check_tensor(tensor: Any, *, inside: bool) -> None:
    """A tensor; of all but the network's initialisers the data must be in the model's file.

    onnx would look for that of others below the current directory, not beside the model.
    """
    if inside and (tensor.data_location or tensor.external_data):
        raise ImportFailure(
            f"the tensor '{tensor.name}' of an attribute or a subgraph has external data",
            hint="make it an initialiser of the network, or save it inside of the model",
        )
    check_shape(tensor.dims, f"the tensor '{tensor.name}'")
    if any(n < 0 for n in tensor.dims):
        raise ImportFailure(f"the tensor '{tensor.name}' has a negative extent")


_Key = tuple[str, str, str]


def _count(
    nodes: Any, bodies: Mapping[_Key, Any], counts: dict[_Key, int], callers: tuple[_Key, ...]
) -> int:
    """How many operators there are once every call of a function is replaced by its body.

    Raises:
        ImportFailure: a function calls itself, or calls nest too deeply.
    """
    total = 0
    for node in all_nodes(nodes):
        key = function_key(node.domain, node.op_type, node.overload)
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
