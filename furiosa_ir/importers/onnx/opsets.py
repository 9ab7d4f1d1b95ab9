"""Operators of one version of ONNX's operator set as nodes of a newer one.

onnx's own version converter is not trusted with it: it leaves subgraphs alone, Hardmax with its new
default axis, and what it cannot convert ends in an assertion of its C++. A node goes up by the
versions of its operator, one after another: by the rule for it (`opset_rules`), or as it is where
the newer version only takes more. `python -m tests.importers.onnx.old_opsets` compares every rule
with onnxruntime.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from furiosa_ir.importers.onnx.extra_operators import is_extra, schema_opset
from furiosa_ir.importers.onnx.node_order import all_nodes, node_label, subgraphs
from furiosa_ir.importers.onnx.opset_rules import RULES
from furiosa_ir.importers.onnx.opset_site import Inexpressible, Site
from furiosa_ir.native_onnx import infer_shapes
from furiosa_ir.native_process import NativeCrash, NativeRefusal
from furiosa_ir.numerics.array import Array

__all__ = ["Inexpressible", "changed_between", "raise_opset", "raised_nodes"]

_FEW_ELEMENTS = 4096
"""Of constants that a rule may look at, and that shape inference follows."""


def changed_between(node: Any, old: int, new: int) -> bool:
    """Whether a node's operator is not the same in two versions of the default operator set."""
    if node.domain not in ("", "ai.onnx"):
        return False
    versions = [_since(str(node.op_type), v) for v in (old, new)]
    return versions[0] != versions[1] or versions[0] is None


def raise_opset(model: onnx.ModelProto, old: int, new: int) -> None:
    """Brings a model without local functions into a newer version of the default operator set.

    Args:
        model: is changed; after an error, in part.
        old: the version that it is of.
        new: the version that it will be of.

    Raises:
        Inexpressible: a node has no form in it.
    """
    graph: Any = model.graph
    if any(changed_between(node, old, new) for node in all_nodes(graph.node)):
        _raise_graph(graph, old, new, _Types(model), _taken(graph))
    kept = [o for o in model.opset_import if o.domain not in ("", "ai.onnx")]
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", new))
    model.opset_import.extend(kept)


def raised_nodes(nodes: Sequence[Any], old: int, new: int, taken: set[str]) -> list[Any]:
    """Nodes of which no types are known (a function's) in a newer operator set.

    Args:
        nodes: they are left as they are.
        old, new: the versions of the default operator set.
        taken: the names that are in use; those of new values are added.

    Raises:
        Inexpressible: a node has no form in it.
    """
    copies = [onnx.NodeProto.FromString(n.SerializeToString()) for n in nodes]
    return _raise_nodes(copies, old, new, _Types(None), taken)


def _raise_graph(graph: Any, old: int, new: int, types: _Types, taken: set[str]) -> None:
    nodes = _raise_nodes(list(graph.node), old, new, types, taken)
    del graph.node[:]
    graph.node.extend(nodes)


def _raise_nodes(
    nodes: Iterable[Any], old: int, new: int, types: _Types, taken: set[str]
) -> list[Any]:
    made: list[Any] = []
    for node in nodes:
        for graph in subgraphs(node):
            _raise_graph(graph, old, new, types, taken)
        try:
            made += _raised(node, old, new, types, taken)
        except Inexpressible as error:
            raise error.at(layer=node_label(node)) from error.__cause__
    return made


def _raised(node: Any, old: int, new: int, types: _Types, taken: set[str]) -> list[Any]:
    if not changed_between(node, old, new):
        return [node]
    if is_extra(node, old) and (
        is_extra(node, new) or schema_opset(node, old) in range(old + 1, new + 1)
    ):
        return [node]  # onnxruntime's own form, or the same in ONNX
    step = _next_version(str(node.op_type), old, new)
    if step is None:
        raise Inexpressible(f"no operator '{node.op_type}' is known in operator set {old}")
    rule = RULES.get((str(node.op_type), step))
    if rule is None:
        if not _only_takes_more(str(node.op_type), old, step):
            raise Inexpressible(f"'{node.op_type}' of operator set {old} has no form in {step}")
        return _raised(node, step, new, types, taken)
    site = Site(node, step, types, taken)
    try:
        rule(site)
    except (IndexError, OverflowError, TypeError, ValueError) as error:
        # An old node is checked by its rule only: of an attribute of another type, for example.
        raise Inexpressible(
            f"'{node.op_type}' of operator set {old} does not fit its inputs and attributes"
        ) from error
    made: list[Any] = []
    for part in site.made:
        made += _raised(part, step, new, types, taken)
    return made


def _next_version(op_type: str, old: int, new: int) -> int | None:
    """The first version of an operator above `old`, up to `new`."""
    since = _since(op_type, old)
    if since is None:
        return None
    later = (v for v in range(old + 1, new + 1) if _since(op_type, v) != since)
    return next(later, None)


@lru_cache(maxsize=8192)
def _since(op_type: str, opset: int) -> int | None:
    try:
        return int(onnx.defs.get_schema(op_type, opset).since_version)
    except onnx.defs.SchemaError:
        return None


@lru_cache(maxsize=1024)
def _only_takes_more(op_type: str, old: int, new: int) -> bool:
    """Whether a version of an operator only has further types, and options that may be left out."""
    schemas: list[Any] = [onnx.defs.get_schema(op_type, v) for v in (old, new)]
    older, newer = schemas
    if newer.deprecated or len(newer.outputs) < len(older.outputs):
        return False
    if [p.option for p in newer.inputs][: len(older.inputs)] != [p.option for p in older.inputs]:
        # An input that was asked for may be left out from now on.
        kinds = zip(older.inputs, newer.inputs, strict=False)
        if any(b.option not in (a.option, b.option.Optional) for a, b in kinds):
            return False
    if any(p.option == p.option.Single for p in newer.inputs[len(older.inputs) :]):
        return False
    for name, attribute in older.attributes.items():
        other = newer.attributes.get(name)
        if other is None or other.type != attribute.type or _default(other) != _default(attribute):
            return False
    return not any(a.required and n not in older.attributes for n, a in newer.attributes.items())


def _default(attribute: Any) -> Any:
    return attribute.default_value.SerializeToString(deterministic=True)


class _Types:
    """Shapes and constants of a model, found when a rule first asks for them."""

    def __init__(self, model: onnx.ModelProto | None) -> None:
        self._model = None if model is None else _without_weights(model)
        self._infos: Mapping[str, Any] | None = None
        self._constants: dict[str, Array] = {}
        graphs: Iterable[Any] = [] if model is None else _graphs(model.graph)
        for graph in graphs:
            self._constants.update(_constants(graph))

    def elements(self, name: str) -> Array | None:
        """The elements of a small constant."""
        return self._constants.get(name)

    def info(self, name: str) -> Any:
        """The tensor type of a value; None where nothing tells it."""
        if self._infos is None:
            self._infos = {} if self._model is None else _inferred(self._model)
        return self._infos.get(name)

    def define(self, name: str, elements: Array) -> None:
        """Says what elements a new constant has."""
        self._constants[name] = elements


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose large initialisers are inputs: inference needs their shapes only."""
    copy: Any = onnx.ModelProto()
    copy.graph.name = model.graph.name
    copy.opset_import.extend(model.opset_import)
    copy.ir_version = max(4, model.ir_version)
    graph: Any = model.graph
    copy.graph.node.extend(graph.node)
    copy.graph.input.extend(graph.input)
    copy.graph.output.extend(onnx.ValueInfoProto(name=o.name) for o in graph.output)
    copy.graph.value_info.extend(graph.value_info)
    known = {str(i.name) for i in graph.input}
    for tensor in graph.initializer:
        if np.prod(tensor.dims, dtype=float) <= _FEW_ELEMENTS and not tensor.data_location:
            copy.graph.initializer.add().CopyFrom(tensor)
        elif tensor.name not in known:
            shape = list(tensor.dims)
            info = helper.make_tensor_value_info(tensor.name, tensor.data_type, shape)
            copy.graph.input.append(info)
    return copy


def _inferred(model: onnx.ModelProto) -> dict[str, Any]:
    """Value name -> `TypeProto.Tensor` with a shape, as far as onnx infers it."""
    try:
        data = infer_shapes(model.SerializeToString(), data_prop=True)
    except (NativeRefusal, NativeCrash):
        return {}
    model = onnx.ModelProto.FromString(data)
    found: dict[str, Any] = {}
    for graph in _graphs(model.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.HasField("tensor_type") and value.type.tensor_type.HasField("shape"):
                found[str(value.name)] = value.type.tensor_type
        for tensor in graph.initializer:
            info = helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
            found[str(tensor.name)] = info.tensor_type
    return found


def _constants(graph: Any) -> Iterator[tuple[str, Array]]:
    small = (t for t in graph.initializer if np.prod(t.dims, dtype=float) <= _FEW_ELEMENTS)
    tensors = [(str(t.name), t) for t in small if not t.data_location]
    tensors += [
        (str(node.output[0]), a.t)
        for node in graph.node
        if node.op_type == "Constant" and node.output
        for a in node.attribute
        if a.name == "value" and np.prod(a.t.dims, dtype=float) <= _FEW_ELEMENTS
    ]
    for name, tensor in tensors:
        try:
            yield name, np.asarray(numpy_helper.to_array(tensor))
        except (LookupError, TypeError, ValueError):  # LookupError: a type that there is not
            continue  # whoever needs the elements will say so


def _graphs(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for inner in subgraphs(node):
            yield from _graphs(inner)


def _taken(graph: Any) -> set[str]:
    """All names of values, so that new ones are new."""
    names: set[str] = set()
    for inner in _graphs(graph):
        names.update(str(v.name) for v in (*inner.input, *inner.initializer, *inner.output))
    names.update(str(n) for node in all_nodes(graph.node) for n in (*node.input, *node.output))
    return names
