"""An If whose condition is known at import is the branch that it takes.

Exporters write it for what they cannot tell (torch's squeeze asks for an extent); here shapes are
static. The branches may differ in rank, so that nothing behind the If has a type without this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from onnx import helper

from furiosa_ir.importers.onnx.builder import Builder
from furiosa_ir.importers.onnx.node_order import subgraphs


def taken_branch(builder: Builder, node: Any) -> list[Any] | None:
    """The nodes that an If with a constant condition is; None of any other node.

    What the branch defines gets names of its own, and its initialisers become those of the network.

    Args:
        builder: it knows the condition.
        node: the `NodeProto`.
    """
    if node.op_type != "If" or node.domain or len(node.input) != 1:
        return None
    condition = builder.constant_elements(str(node.input[0]))
    if condition is None or condition.size != 1:
        return None
    name = "then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"
    branch = next((a.g for a in node.attribute if a.name == name), None)
    if branch is None or len(branch.output) != len(node.output):
        return None
    prefix = next((str(o) for o in node.output if o), "")
    defined = [str(t.name) for t in branch.initializer]
    defined += [str(o) for inner in branch.node for o in inner.output if o]
    names = {n: f"{prefix}/{n}" for n in defined}
    for tensor in branch.initializer:
        builder.declare_tensor(names[str(tensor.name)], tensor)
    nodes = [_renamed(inner, names) for inner in branch.node]
    for inner, outer in zip(branch.output, node.output, strict=True):
        if outer:
            source = names.get(str(inner.name), str(inner.name))
            nodes.append(helper.make_node("Identity", [source], [outer], name=node.name))
    return nodes


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    copy: Any = onnx.NodeProto.FromString(node.SerializeToString())
    _rename(copy, names)
    return copy


def _rename(node: Any, names: Mapping[str, str]) -> None:
    for said in (node.input, node.output):
        said[:] = [names.get(str(n), str(n)) for n in said]
    for graph in subgraphs(node):
        # What a subgraph defines itself is its own.
        own = {str(v.name) for v in (*graph.input, *graph.initializer)}
        own.update(str(o) for inner in graph.node for o in inner.output)
        outer = {k: v for k, v in names.items() if k not in own}
        for inner in graph.node:
            _rename(inner, outer)
        for value in graph.output:
            value.name = outer.get(str(value.name), str(value.name))
