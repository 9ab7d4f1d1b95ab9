"""The network as Graphviz takes it: segments are clusters, crossings between them dashed."""

from __future__ import annotations

from furiosa_ir.errors import readable
from furiosa_ir.program import HostSegment
from furiosa_ir.reports.network_graph import Node, network_graph
from furiosa_ir.reports.profile import Profile

_LONGEST = 400
"""Characters of a name."""

_FILL = {"npu": "#d6e4fa", "host": "#fbe3cc"}


def dot_text(profile: Profile) -> str:
    """The graph in the DOT language."""
    graph, program = network_graph(profile), profile.program
    lines = [
        f"digraph {_quoted(profile.title)} {{",
        '  node [shape=box, style="rounded,filled", fontname="sans-serif", fillcolor="#eeeeee"];',
    ]
    for index, segment in enumerate(program.segments):
        fill = _FILL["host" if isinstance(segment, HostSegment) else "npu"]
        lines += [f"  subgraph cluster_{index} {{", f"    label={_quoted(segment.name)};"]
        lines += [
            f"    n{at} [label={_label(profile, node)}, fillcolor={_quoted(fill)}];"
            for at, node in enumerate(graph.nodes)
            if node.segment == index
        ]
        lines.append("  }")
    lines += [
        f"  n{at} [label={_label(profile, node)}];"
        for at, node in enumerate(graph.nodes)
        if node.segment is None
    ]
    for edge in graph.edges:
        style = ""
        if edge.tensor is not None:
            style = f" [style=dashed, label={_quoted(program.tensors[edge.tensor].name)}]"
        lines.append(f"  n{edge.source} -> n{edge.target}{style};")
    return "\n".join([*lines, "}", ""])


def _label(profile: Profile, node: Node) -> str:
    """Name, operator, and where it runs on the NPU its share of the time."""
    parts = [node.label, node.detail]
    if node.layer is not None:
        share = profile.layers[node.layer].share
        if share is not None:
            parts.append(f"{share:.1%} of the time")
    return _quoted("\n".join(parts))


def _quoted(text: str) -> str:
    r"""A string of the DOT language: `"` and `\` are escaped, lines end in `\n`."""
    lines = [readable(line, _LONGEST) for line in text.split("\n")]
    return '"' + "\\n".join(x.replace("\\", "\\\\").replace('"', '\\"') for x in lines) + '"'
