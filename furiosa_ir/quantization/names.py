"""Names that onnxruntime's quantiser cannot take for its own, and the way back to those given.

The quantiser makes names of a network's: `x_scale`, `x_QuantizeLinear`, `x_ReduceMin`, `w1` for a
second `w`. Where a network has such names itself, it takes one value for another, or refuses what
it made. So it never sees them: every value and node is called `furiosa:N:` while it works. What it
derives of that becomes what it would have derived of the given name, or the next name that is free.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import onnx

from furiosa_ir.errors import FuriosaError

_PLAIN = re.compile(r"furiosa:(\d+):")


def fresh(name: str, taken: set[str]) -> str:
    """The name, or with a number behind it if it is taken; it is taken from then on."""
    free, count = name, 0
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    taken.add(free)
    return free


def value_names(graph: onnx.GraphProto) -> set[str]:
    """Names of all values of a graph, those of subgraphs included."""
    found: set[str] = set()

    def see(name: str) -> str:
        found.add(name)
        return name

    for inner in graphs_of(graph):
        _rename_values(inner, see)
    return found


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and what its nodes hold, at any depth."""
    yield graph
    for node in graph.node:
        for inner in subgraphs_of(node):
            yield from graphs_of(inner)


def subgraphs_of(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The graphs that a node holds itself."""
    found: list[onnx.GraphProto] = []
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            found.append(attribute.g)
        found.extend(attribute.graphs)
    return found


def replace_uses(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Has whoever reads a value read another one: nodes, bodies' nodes, and what graphs return.

    Args:
        graph: the graph.
        names: the value to read in the place of each.
    """
    for inner in graphs_of(graph):
        for node in inner.node:
            for index, name in enumerate(node.input):
                if name in names:
                    node.input[index] = names[name]
        for output in inner.output:
            output.name = names.get(output.name, output.name)


@dataclass(frozen=True)
class PlainNames:
    """What the values and nodes of a network were called before `plain_names`.

    Attributes:
        given: the names by number; those of values and of nodes.
        values, nodes: the plain name of each given one.
    """

    given: list[str] = field(default_factory=list[str])
    values: dict[str, str] = field(default_factory=dict[str, str])
    nodes: dict[str, str] = field(default_factory=dict[str, str])

    def _plain(self, kind: dict[str, str], name: str) -> str:
        if name not in kind:
            kind[name] = f"furiosa:{len(self.given)}:"
            self.given.append(name)
        return kind[name]

    def rename(self, model: onnx.ModelProto) -> None:
        """Gives every value and node its plain name."""
        rename(model, partial(self._plain, self.values), partial(self._plain, self.nodes))

    def restore(self, model: onnx.ModelProto) -> None:
        """Gives every value and node its given name back; derived ones are made anew."""
        rename(model, self._restorer(self.values), self._restorer(self.nodes))

    @staticmethod
    def root(derived: str) -> str:
        """The plain name that another one was derived of."""
        found = _PLAIN.match(derived)
        return derived if found is None else found[0]

    def of(self, plain: str) -> str:
        """What a value or node was called."""
        return _PLAIN.sub(lambda m: self.given[int(m[1])], plain)

    def _restorer(self, kind: dict[str, str]) -> Callable[[str], str]:
        known = {plain: given for given, plain in kind.items()}
        taken = set(kind)

        def restored(name: str) -> str:
            if name not in known:
                known[name] = fresh(self.of(name), taken)
            return known[name]

        return restored

    @contextmanager
    def in_errors(self) -> Generator[None]:
        """Errors name values and nodes as they were given.

        Raises:
            FuriosaError: what was raised, with given names.
        """
        try:
            yield
        except FuriosaError as error:
            raise type(error)(
                self.of(error.message),
                file=error.file,
                layer=error.layer and self.of(error.layer),
                hint=error.hint and self.of(error.hint),
            ) from error


def plain_names(model: onnx.ModelProto) -> PlainNames:
    """Calls every value and node of a network, those of subgraphs included, `furiosa:N:`."""
    names = PlainNames()
    names.rename(model)
    return names


def rename(model: onnx.ModelProto, value: Callable[[str], str], node: Callable[[str], str]) -> None:
    """Gives every value and node, those of subgraphs included, the name that a function says."""
    for graph in graphs_of(model.graph):
        del graph.quantization_annotation[:]  # notes of another quantiser, by name
        _rename_values(graph, value)
        for each in graph.node:
            if each.name:
                each.name = node(each.name)


def _rename_values(graph: onnx.GraphProto, renamed: Callable[[str], str]) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name:
                    names[index] = renamed(name)
    named: list[Any] = [*graph.initializer, *graph.input, *graph.output, *graph.value_info]
    named.extend(sparse.values for sparse in graph.sparse_initializer)
    for each in named:
        each.name = renamed(each.name)
