"""Which nodes of a graph are needed, in an order that defines values before their use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from furiosa_ir.errors import ImportFailure


def node_label(node: Any) -> str:
    """The layer name of a node: its own, or that of its first output."""
    return str(node.name) or next((str(o) for o in node.output if o), str(node.op_type))


def captures(node: Any) -> list[str]:
    """The outer values that a node's subgraphs (of If, Loop, Scan) use, each once."""
    found: dict[str, None] = {}
    for graph in subgraphs(node):
        found.update(dict.fromkeys(_free_names(graph)))
    return list(found)


def subgraphs(node: Any) -> Iterator[Any]:
    """The graphs among a node's attributes (of If, Loop, Scan)."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def all_nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    """Nodes and those of their subgraphs."""
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from all_nodes(graph.node)


def _free_names(graph: Any) -> Iterator[str]:
    defined = {str(i.name) for i in graph.input} | {str(i.name) for i in graph.initializer}
    for node in graph.node:
        for name in (*map(str, node.input), *captures(node)):
            if name and name not in defined:
                yield name
        defined.update(map(str, node.output))
    for output in graph.output:
        if output.name not in defined:
            yield str(output.name)


def used_names(node: Any) -> list[str]:
    """The values a node needs: its inputs and what its subgraphs capture."""
    names = [str(i) for i in node.input if i]
    return names + captures(node) if any(a.type in (5, 10) for a in node.attribute) else names


def needed_nodes(graph: Any, given: Sequence[str]) -> list[Any]:
    """The nodes that the graph's outputs depend on, each after those it depends on.

    Args:
        graph: a `GraphProto`.
        given: the names of inputs and initialisers.

    Raises:
        ImportFailure: a value is defined twice or not at all, or nodes form a cycle.
    """
    nodes: list[Any] = list(graph.node)
    producer: dict[str, int] = {}
    defined = set(given)
    for index, node in enumerate(nodes):
        for name in node.output:
            if name in producer or name in defined:
                raise ImportFailure(f"the value '{name}' is defined twice", layer=node_label(node))
            if name:
                producer[str(name)] = index
    uses: dict[int, list[str]] = {}
    pending = [producer[o.name] for o in graph.output if o.name in producer]
    while pending:
        index = pending.pop()
        if index in uses:
            continue
        uses[index] = used_names(nodes[index])
        for name in uses[index]:
            if name in producer:
                pending.append(producer[name])
            elif name not in defined:
                raise ImportFailure(
                    f"the input '{name}' is nowhere defined", layer=node_label(nodes[index])
                )
    for output in graph.output:
        if output.name not in producer and output.name not in defined:
            raise ImportFailure(f"the network's output '{output.name}' is nowhere defined")
    return [nodes[i] for i in _ordered(nodes, uses, producer)]


def _ordered(
    nodes: Sequence[Any], uses: dict[int, list[str]], producer: dict[str, int]
) -> list[int]:
    order = sorted(uses)
    before = {i: {producer[n] for n in uses[i] if n in producer} for i in order}
    if all(max(before[i], default=-1) < i for i in order):
        return order
    # Legal files are in order; some tools write others, which every runtime accepts.
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError as error:
        names = " -> ".join(f"'{node_label(nodes[i])}'" for i in error.args[1])
        raise ImportFailure(f"the nodes {names} form a cycle") from None
