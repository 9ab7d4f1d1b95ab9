"""Local functions (`FunctionProto`): every call becomes the nodes of the function's body.

As onnx/onnx.proto says of FunctionProto and AttributeProto.ref_attr_name: an attribute of the body
that refers to one of the function's is that of the call, or the default that the function gives it
(`attribute_proto`); without either, the node has no such attribute, and its operator's default
counts. onnx's own inliner leaves the function's defaults out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx
from onnx import helper

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx.node_order import all_nodes, node_label, subgraphs
from furiosa_ir.importers.onnx.opsets import Inexpressible, changed_between, raised_nodes
from furiosa_ir.limits import limit, way_out

_Key = tuple[str, str, str]

_GROWTH = 16
"""How many times as large as its file a network may become through its functions, in any case."""

_OF_A_NODE = 512
"""Bytes that a node counts beside its own: a small one takes memory and time, too."""


def function_key(domain: str, name: str, overload: str) -> _Key:
    """What tells a local function from others: domain ("ai.onnx" is ""), name and overload."""
    return ("" if domain == "ai.onnx" else str(domain), str(name), str(overload))


def expanded_functions(
    model: onnx.ModelProto, opsets: Mapping[str, int]
) -> tuple[onnx.ModelProto, dict[str, int]]:
    """A model without local functions that means the same, and its operator sets.

    A function may ask for another version of an operator set than the model does. Where nodes are
    not the same in both, those of the older one are raised to the newer one.

    Args:
        model: its functions do not call themselves (`soundness` has seen to it).
        opsets: operator set -> version, of the model.

    Raises:
        ImportFailure: a function does not fit its call, or cannot have the model's operator sets.
    """
    functions: Any = model.functions
    bodies = {function_key(f.domain, f.name, f.overload): f for f in functions}
    own = {key: _opsets(f, opsets) for key, f in bodies.items()}
    wanted = dict(opsets)
    for versions in own.values():
        for domain, version in versions.items():
            wanted.setdefault(domain, version)
    wanted[""] = max(opsets[""], *(_needed(f, own[k][""], opsets[""]) for k, f in bodies.items()))
    result: Any = onnx.ModelProto()
    result.CopyFrom(model)
    del result.functions[:]
    room = limit("FUNCTION_BYTES") + _GROWTH * model.ByteSize()
    expansion = _Expansion(bodies, own, wanted, _names(result.graph), room)
    expansion.expand_graph(result.graph, opsets)
    result.graph.value_info.extend(expansion.infos)
    del result.opset_import[:]
    result.opset_import.extend(helper.make_opsetid(d, v) for d, v in wanted.items())
    return result, wanted


def _opsets(function: Any, outer: Mapping[str, int]) -> dict[str, int]:
    given = {_domain(o.domain): int(o.version) for o in function.opset_import}
    return {"": outer[""], **given}


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else str(name)


def _needed(function: Any, own: int, model: int) -> int:
    """The operator set that a function's nodes need at least: its own if the model's is older."""
    changed = own > model and any(changed_between(n, model, own) for n in all_nodes(function.node))
    return own if changed else model


def _names(graph: Any) -> set[str]:
    """The names of all values, those of subgraphs included."""
    found = {str(v.name) for v in (*graph.input, *graph.output, *graph.initializer)}
    for node in graph.node:
        found.update(map(str, (*node.input, *node.output)))
        for inner in subgraphs(node):
            found |= _names(inner)
    return found


@dataclass
class _Expansion:
    """The calls of one model on their way to nodes.

    Attributes:
        bodies: the functions.
        own: the operator sets of each.
        wanted: those of the result.
        taken: the names of values in use.
        room: how many bytes more the nodes of bodies may take.
        calls: how many calls have been expanded.
        infos: the types that the functions declare of their values.
    """

    bodies: Mapping[_Key, Any]
    own: Mapping[_Key, Mapping[str, int]]
    wanted: Mapping[str, int]
    taken: set[str]
    room: int
    calls: int = 0
    infos: list[Any] = field(default_factory=list[Any])

    def expand_graph(self, graph: Any, opsets: Mapping[str, int]) -> None:
        """Expands the calls in a graph, whose nodes are of those operator sets."""
        nodes = [made for node in graph.node for made in self._expanded(node, opsets)]
        del graph.node[:]
        graph.node.extend(nodes)

    def _expanded(self, node: Any, opsets: Mapping[str, int]) -> Iterator[Any]:
        """A node of these operator sets in those that are wanted, without calls."""
        key = function_key(node.domain, node.op_type, node.overload)
        if key in self.bodies:
            self._check_given(node, opsets[""], self.own[key][""])
            for made in self._body(node, self.bodies[key]):
                yield from self._expanded(made, self.own[key])
            return
        for made in self._in_wanted(node, opsets):
            for graph in subgraphs(made):
                self.expand_graph(graph, self.wanted)
            yield made

    def _check_given(self, call: Any, outer: int, own: int) -> None:
        """Graphs that a call is given come to stand among nodes of the function's sets."""
        given = [node for graph in subgraphs(call) for node in all_nodes(graph.node)]
        if any(changed_between(node, outer, own) for node in given):
            raise ImportFailure(
                f"the function '{call.op_type}' of operator set {own} is given a graph of {outer}",
                layer=node_label(call),
            )

    def _in_wanted(self, node: Any, opsets: Mapping[str, int]) -> list[Any]:
        """A node, its subgraphs included, in the operator sets that are wanted."""
        domain = _domain(node.domain)
        made = [node]
        if opsets[""] < self.wanted[""]:
            try:
                made = raised_nodes(made, opsets[""], self.wanted[""], self.taken)
            except Inexpressible as error:
                raise ImportFailure(
                    f"{error.message} (operator set {opsets['']} of a function or of the network "
                    f"meets {self.wanted['']})",
                    layer=error.layer,
                ) from None
        old, new = opsets.get(domain), self.wanted.get(domain)
        if domain and old and new and onnx.defs.has(node.op_type, domain):
            schemas = [onnx.defs.get_schema(node.op_type, v, domain) for v in (old, new)]
            if schemas[0].since_version != schemas[1].since_version:
                raise ImportFailure(
                    f"'{node.op_type}' is not the same in the versions {old} and {new} of the "
                    f"operator set '{domain}', which a function and the network ask for",
                    layer=node_label(node),
                )
        return made

    def _body(self, call: Any, function: Any) -> list[Any]:
        """The nodes of a function's body in place of a call, with names of their own."""
        self.calls += 1
        if len(call.input) > len(function.input) or len(call.output) > len(function.output):
            raise ImportFailure(
                f"the function '{call.op_type}' has {len(function.input)} inputs and "
                f"{len(function.output)} outputs; it is called with {len(call.input)} and "
                f"{len(call.output)}",
                layer=node_label(call),
            )
        attributes = {str(a.name): a for a in (*function.attribute_proto, *call.attribute)}
        names = dict.fromkeys(map(str, function.input), "")
        names.update(zip(map(str, function.input), map(str, call.input), strict=False))
        passed: list[tuple[str, str]] = []
        made_inside = {str(o) for node in function.node for o in node.output}
        for inner, outer in zip(map(str, function.output), map(str, call.output), strict=False):
            if not outer:
                continue
            if inner in names or inner not in made_inside:
                passed.append((inner, outer))
            else:
                names[inner] = outer
        self._define(function.node, names)
        nodes = [self._bound(node, attributes, names, call) for node in function.node]
        for inner, outer in passed:
            source = names.get(inner, "")
            if not source:
                raise ImportFailure(
                    f"the output '{inner}' of the function '{call.op_type}' is nowhere defined",
                    layer=node_label(call),
                )
            nodes.append(helper.make_node("Identity", [source], [outer]))
        self._declare(function, names)
        return nodes

    def _define(self, nodes: Any, names: dict[str, str]) -> None:
        """Gives new names to what nodes make."""
        for node in nodes:
            for output in map(str, node.output):
                if output and output not in names:
                    names[output] = self._fresh(output)

    def _fresh(self, name: str) -> str:
        made = f"{name}__{self.calls}"
        while made in self.taken:
            made += "_"
        self.taken.add(made)
        return made

    def _bound(
        self, node: Any, attributes: Mapping[str, Any], names: Mapping[str, str], call: Any
    ) -> Any:
        """A node of a body with the values and attributes of a call."""
        made: Any = onnx.NodeProto(op_type=node.op_type, domain=node.domain, overload=node.overload)
        if node.name:
            made.name = f"{node.name}__{self.calls}"
        # What nothing defines keeps a name that nothing defines.
        made.input.extend(
            names[n] if n in names else self._fresh(n) if n else "" for n in map(str, node.input)
        )
        made.output.extend(names[n] if n else "" for n in map(str, node.output))
        for attribute in node.attribute:
            if attribute.ref_attr_name:
                given = attributes.get(str(attribute.ref_attr_name))
                if given is None:
                    continue
                if attribute.type and given.type and attribute.type != given.type:
                    raise ImportFailure(
                        f"the attribute '{given.name}' of the function '{call.op_type}' is of "
                        f"another type than '{attribute.name}' of '{node.op_type}' in its body",
                        layer=node_label(call),
                    )
                made.attribute.add().CopyFrom(given)
                made.attribute[-1].name = attribute.name
            else:
                made.attribute.add().CopyFrom(attribute)
                own = made.attribute[-1]
                for graph in [own.g] if own.HasField("g") else own.graphs:
                    self._bind_graph(graph, attributes, names, call)
            made.attribute[-1].doc_string = ""
        # What a call is given, its subgraphs included, may stand in the body many times.
        self.room -= _OF_A_NODE + made.ByteSize()
        if self.room < 0:
            raise ImportFailure(
                "the network becomes too large where its functions' bodies take their calls' place",
                hint=way_out("FUNCTION_BYTES"),
            )
        return made

    def _bind_graph(
        self, graph: Any, attributes: Mapping[str, Any], outer: Mapping[str, str], call: Any
    ) -> None:
        """Gives a subgraph of a body the values and attributes of a call."""
        own: dict[str, str] = {}
        for value in (*graph.input, *graph.initializer):
            # An initialiser may also be an input.
            name = str(value.name)
            own.setdefault(name, self._fresh(name))
            value.name = own[name]
        self._define(graph.node, own)
        names = {**outer, **own}
        nodes = [self._bound(node, attributes, names, call) for node in graph.node]
        del graph.node[:]
        graph.node.extend(nodes)
        for value in (*graph.output, *graph.value_info):
            value.name = names.get(str(value.name), str(value.name))

    def _declare(self, function: Any, names: Mapping[str, str]) -> None:
        for info in function.value_info:
            if names.get(str(info.name)):
                self.infos.append(onnx.ValueInfoProto())
                self.infos[-1].CopyFrom(info)
                self.infos[-1].name = names[str(info.name)]
