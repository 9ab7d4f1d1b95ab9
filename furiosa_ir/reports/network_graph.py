"""The network as a graph: layers, and who reads whose results, over all segments.

Within a device segment its backend says that (`Execution.flow`), within a host segment its
sub-model; where neither does, the segment is one node.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from furiosa_ir.errors import FuriosaError
from furiosa_ir.program import HostSegment, Program
from furiosa_ir.reports.profile import Profile


@dataclass(frozen=True, slots=True)
class Node:
    """A layer, a segment, or a tensor at the network's ends.

    Attributes:
        label: what it is called, short.
        detail: its operator, how many layers it stands for, or the tensor's type.
        kind: "layer", "segment", "input" or "output".
        segment: index of its segment; None for a tensor.
        layer: index of its layer; None for a tensor or a segment.
    """

    label: str
    detail: str
    kind: str
    segment: int | None = None
    layer: int | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """From a node to one that reads its result.

    Attributes:
        source, target: indices of nodes.
        tensor: index of the program's tensor that crosses from segment to segment there; None
            within a segment.
    """

    source: int
    target: int
    tensor: int | None = None


@dataclass(frozen=True, slots=True)
class NetworkGraph:
    """Nodes and edges; layers that no data goes through (folded into others) have no node."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def network_graph(profile: Profile) -> NetworkGraph:
    """The graph of a program."""
    return _Builder(profile).build()


class _Builder:
    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._program: Program = profile.program
        self._nodes: list[Node] = []
        self._edges: dict[tuple[int, int], int | None] = {}
        self._of_layer: dict[int, int] = {}
        self._makers: dict[int, set[int]] = defaultdict(set)
        self._takers: dict[int, set[int]] = defaultdict(set)

    def build(self) -> NetworkGraph:
        program, execution = self._program, self._profile.execution
        is_known = execution is not None and bool(execution.takes or execution.flow)
        for index, segment in enumerate(program.segments):
            if isinstance(segment, HostSegment):
                flow = _sub_model_flow(program, index, segment)
                if flow.makes:
                    self._connect(flow.layers, flow.takes, flow.makes)
                else:
                    self._whole(index)
            elif not is_known:
                self._whole(index)
        if execution is not None:
            self._connect(execution.flow, execution.takes, execution.makes)
        self._ends()
        for tensor, makers in self._makers.items():
            for maker in sorted(makers):
                for taker in sorted(self._takers.get(tensor, ())):
                    self._edges.setdefault((maker, taker), tensor)
        edges = (Edge(a, b, tensor) for (a, b), tensor in self._edges.items() if a != b)
        return NetworkGraph(tuple(self._nodes), tuple(edges))

    def _connect(
        self,
        flow: tuple[tuple[int, int], ...],
        takes: tuple[tuple[int, int], ...],
        makes: tuple[tuple[int, int], ...],
    ) -> None:
        for a, b in flow:
            self._edges.setdefault((self._layer(a), self._layer(b)), None)
        for tensor, layer in takes:
            self._takers[tensor].add(self._layer(layer))
        for layer, tensor in makes:
            self._makers[tensor].add(self._layer(layer))

    def _layer(self, index: int) -> int:
        if index not in self._of_layer:
            layer = self._profile.layers[index]
            self._of_layer[index] = len(self._nodes)
            node = Node(layer.short, layer.operator, "layer", layer.segment, index)
            self._nodes.append(node)
        return self._of_layer[index]

    def _whole(self, index: int) -> None:
        segment = self._program.segments[index]
        held = sum(layer.segment == index for layer in self._program.layers)
        counted = f"{held} layer{'' if held == 1 else 's'}"
        node = len(self._nodes)
        self._nodes.append(Node(segment.name, counted, "segment", index))
        for tensor in segment.reads:
            self._takers[tensor].add(node)
        for tensor in segment.makes:
            self._makers[tensor].add(node)

    def _ends(self) -> None:
        program = self._program
        before = [variable.before for variable in program.variables]
        for tensor in dict.fromkeys((*program.inputs, *before)):
            self._makers[tensor].add(self._end(tensor, "input"))
        after = [variable.after for variable in program.variables]
        for tensor in dict.fromkeys((*program.outputs, *after)):
            self._takers[tensor].add(self._end(tensor, "output"))

    def _end(self, index: int, kind: str) -> int:
        tensor = self._program.tensors[index]
        shape = "x".join(map(str, tensor.shape))
        self._nodes.append(Node(tensor.name, f"{tensor.dtype} {shape}", kind))
        return len(self._nodes) - 1


@dataclass(frozen=True, slots=True)
class _Flow:
    """Of one segment, as in `Execution`; nothing is made where nothing is known."""

    layers: tuple[tuple[int, int], ...] = ()
    takes: tuple[tuple[int, int], ...] = ()
    makes: tuple[tuple[int, int], ...] = ()


def _sub_model_flow(program: Program, index: int, segment: HostSegment) -> _Flow:
    """The flow in a host segment's sub-model."""
    # Imported here: a program that runs whole on the device needs no importer.
    from xdsl.dialects.func import ReturnOp  # noqa: PLC0415
    from xdsl.ir import SSAValue  # noqa: PLC0415

    from furiosa_ir.importers import load  # noqa: PLC0415
    from furiosa_ir.ir.location import layer_name  # noqa: PLC0415
    from furiosa_ir.ir.segments import main_function  # noqa: PLC0415

    known = {row.name: i for i, row in enumerate(program.layers) if row.segment == index}
    try:
        main = main_function(load(bytes(segment.model)))
    except FuriosaError:
        return _Flow()  # it may be of a plug-in's operators
    # Layers, and for the segment's inputs the complement of the tensor's number.
    made_by: dict[SSAValue, set[int]] = {
        value: {~tensor}
        for value, tensor in zip(main.body.block.args, segment.inputs, strict=False)
    }
    edges: dict[tuple[int, int], None] = {}
    makes: list[tuple[int, int]] = []
    for op in main.body.block.ops:
        if isinstance(op, ReturnOp):
            for value, tensor in zip(op.arguments, segment.outputs, strict=False):
                makes += [(node, tensor) for node in sorted(made_by.get(value, ())) if node >= 0]
            continue
        layer = known.get(layer_name(op))
        makers = {maker for value in op.operands for maker in made_by.get(value, ())}
        if layer is not None and op.operands:
            edges |= {(maker, layer): None for maker in sorted(makers) if maker != layer}
            makers = {layer}
        for result in op.results:
            made_by[result] = makers
    return _Flow(
        tuple((a, b) for a, b in edges if a >= 0),
        tuple((~a, b) for a, b in edges if a < 0),
        tuple(makes),
    )
