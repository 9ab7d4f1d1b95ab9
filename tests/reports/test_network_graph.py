"""The graph over all segments, and the graph as DOT."""

from __future__ import annotations

import dataclasses
import re

from furiosa_ir.program import Program
from furiosa_ir.reports.dot import dot_text
from furiosa_ir.reports.network_graph import network_graph
from furiosa_ir.reports.profiling import profile_program
from tests.reports.conftest import HOSTILE


def test_layers_inputs_and_outputs_hang_together(branching_program: Program) -> None:
    graph = network_graph(profile_program(branching_program))
    labels = [node.label for node in graph.nodes]
    edges = {(labels[e.source], labels[e.target]) for e in graph.edges}
    hostile = next(n.label for n in graph.nodes if n.layer == 2)
    assert edges == {
        ("image", "image_q"),
        ("image_q", "stem"),
        ("stem", hostile),
        ("stem", "right"),
        (hostile, "right"),
        ("right", "head"),
        ("head", "n18_q_d"),
        ("n18_q_d", "n18_q_d"),  # the output is called as the layer that makes it
    }
    crossing = {(labels[e.source], labels[e.target]) for e in graph.edges if e.tensor is not None}
    assert ("image_q", "stem") in crossing
    assert ("head", "n18_q_d") in crossing
    assert ("stem", "right") not in crossing
    assert {node.kind for node in graph.nodes} == {"layer", "input", "output"}


def test_a_segment_of_which_nothing_is_known_is_one_node(branching_program: Program) -> None:
    profile = dataclasses.replace(profile_program(branching_program), execution=None)
    graph = network_graph(profile)
    (segment,) = (node for node in graph.nodes if node.kind == "segment")
    assert segment.label == "npu_1"
    assert segment.detail == "4 layers"
    at = graph.nodes.index(segment)
    assert {edge.target for edge in graph.edges if edge.source == at}
    assert {edge.source for edge in graph.edges if edge.target == at}


def test_dot_quotes_every_name(branching_program: Program) -> None:
    layers = tuple(
        dataclasses.replace(layer, operator=f'a"b\\{HOSTILE}\n')
        for layer in branching_program.layers
    )
    profile = profile_program(dataclasses.replace(branching_program, layers=layers), title='t"\\')
    text = dot_text(profile)
    # Without its strings, in which only escaped quotes stand, what is left is the language's own.
    left = re.sub(r'"(?:[^"\\]|\\.)*"', "S", text)
    assert not re.search(r'["\\<>&\']', left.replace("->", ""))
    graph = network_graph(profile)
    assert left.count("->") == len(graph.edges)
    assert left.count("subgraph cluster_") == len(branching_program.segments)
    assert all(f"n{at} [label=S" in left for at in range(len(graph.nodes)))
