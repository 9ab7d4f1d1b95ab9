"""Values that the bodies of If, Loop and Scan take from outside.

onnxruntime's quantiser does not look into bodies: it renames a value, or drops the Relu that makes
it, and a body still asks for it. While the quantiser works, each such value goes through an
Identity, which is a user like any other.
"""

from __future__ import annotations

import onnx
from onnx import helper

from furiosa_ir.quantization.names import fresh, graphs_of, replace_uses, subgraphs_of, value_names


def show_captures(model: onnx.ModelProto) -> list[str]:
    """Puts an Identity between each value and the bodies that take it.

    Returns:
        The names of the Identity nodes, which `hide_captures` takes away.
    """
    graph = model.graph
    outer = {i.name for i in (*graph.input, *graph.initializer)}
    outer |= {o for node in graph.node for o in node.output if o}
    copies: dict[str, str] = {}
    taken, called = value_names(graph), {n.name for n in graph.node}
    nodes: list[onnx.NodeProto] = []
    names: list[str] = []
    for node in graph.node:
        for body in subgraphs_of(node):
            for value in sorted(_taken_from_outside(body) & outer):
                if value not in copies:
                    copies[value] = fresh(f"{value}_captured", taken)
                    names.append(fresh(f"{value}_captured", called))
                    copy = helper.make_node("Identity", [value], [copies[value]], names[-1])
                    nodes.append(copy)
            replace_uses(body, copies)
        nodes.append(node)
    if names:
        del graph.node[:]
        graph.node.extend(nodes)
    return names


def hide_captures(model: onnx.ModelProto, names: list[str]) -> None:
    """Takes the Identity nodes away again."""
    added = set(names)
    identities = [node for node in model.graph.node if node.name in added]
    sources = {node.output[0]: node.input[0] for node in identities}
    for node in identities:
        model.graph.node.remove(node)
    for node in model.graph.node:
        for body in subgraphs_of(node):
            replace_uses(body, sources)
    if names:
        _sort(model.graph)


def _sort(graph: onnx.GraphProto) -> None:
    """Puts nodes behind what they take, bodies included; else they stay where they are."""
    waiting = list(graph.node)
    made = {o for node in waiting for o in node.output if o}
    needed = {
        id(node): {i for i in node.input if i in made}.union(
            *(_taken_from_outside(body) & made for body in subgraphs_of(node))
        )
        for node in waiting
    }
    there: set[str] = set()
    ordered: list[onnx.NodeProto] = []
    while waiting:
        later: list[onnx.NodeProto] = []
        for node in waiting:
            if needed[id(node)] <= there:
                ordered.append(node)
                there.update(node.output)
            else:
                later.append(node)
        if len(later) == len(waiting):
            ordered.extend(later)  # a cycle: onnxruntime says so
            break
        waiting = later
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
    del graph.node[:]
    graph.node.extend(copies)


def _taken_from_outside(body: onnx.GraphProto) -> set[str]:
    found: set[str] = set()
    for graph in graphs_of(body):
        found |= {i for node in graph.node for i in node.input if i}
        found |= {o.name for o in graph.output}
    for graph in graphs_of(body):
        found -= {o for node in graph.node for o in node.output}
        found -= {i.name for i in (*graph.input, *graph.initializer)}
    return found
