"""The subgraphs that operators call, and what importing them tells of the call.

TFLite keeps the branches of an IF, the condition and body of a WHILE and the decomposition of a
composite as further subgraphs of the file. They take all they use as inputs and know nothing of
who calls them, so a call whose subgraph is known beforehand is its operators, and any other is
carried whole, with every subgraph that it reaches (`origin`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.ir import SSAValue

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.tflite.elements import element_of_tensor
from furiosa_ir.importers.tflite.file import FileRecord, SubgraphRecord, TensorRecord
from furiosa_ir.importers.tflite.operator import ImportedOperator
from furiosa_ir.importers.tflite.operator_record import OperatorRecord, subgraph_options
from furiosa_ir.ir.shaped_operation import (
    DYNAMIC,
    AnyTensor,
    Shape,
    element_of,
    shape_of,
    tensor_type,
)
from furiosa_ir.limits import limit, way_out

_ROUNDS = 4
"""How often the shapes that a WHILE hands on are looked at before they count as unknown."""

Shapes = Sequence[Shape]

Infer = Callable[[int, Shapes], Shapes]
"""(index of a subgraph, shapes of its inputs) -> shapes of its outputs."""


def called_subgraphs(record: OperatorRecord) -> tuple[int, ...]:
    """The indices of the subgraphs that an operator names.

    Raises:
        ImportFailure: it lacks the options that name them.
    """
    names = subgraph_options(record)
    if not all(hasattr(record.options, name) for name in names):
        raise ImportFailure(f"{record.op_type} does not say which subgraph it calls")
    return tuple(int(getattr(record.options, name)()) for name in names)


def reached_subgraphs(
    file: FileRecord,
    record: OperatorRecord,
    known: dict[int, SubgraphRecord] | None = None,
) -> list[SubgraphRecord]:
    """Every subgraph that running an operator may call, each once, callers before what they call.

    Args:
        file: where they are.
        record: the operator.
        known: those that operators before it reach, by number, whose inside is not looked at
            again; gets the others.

    Raises:
        ImportFailure: one is not there, one calls itself, or they nest deeper than NESTING.
    """
    finished = {} if known is None else known
    path: list[int] = [0]

    def visit(operator: OperatorRecord) -> None:
        for index in called_subgraphs(operator):
            check_nesting(index, path)
            if index in finished:
                continue
            graph = file.subgraph(index)
            path.append(index)
            for inner in graph.operators:
                visit(inner)
            path.pop()
            finished[index] = graph

    visit(record)
    return list(finished.values())[::-1]


def check_nesting(index: int, path: Sequence[int]) -> None:
    """Checks that a subgraph may be called from the innermost of those on the path.

    Raises:
        ImportFailure: it is among them, or they are too many.
    """
    if index in path:
        raise ImportFailure(f"subgraph {index} calls itself")
    if len(path) > limit("NESTING"):
        raise ImportFailure(f"subgraphs nest {len(path)} deep", hint=way_out("NESTING"))


def size_of(graph: SubgraphRecord) -> int:
    """About how many bytes carrying a subgraph takes, its constants included."""
    constants = sum(t.stored.nbytes for t in graph.tensors if t.stored is not None)
    return constants + OPERATOR_BYTES * (len(graph.tensors) + len(graph.operators))


OPERATOR_BYTES = 512
"""What an operator of a subgraph counts against the limit FUNCTION_BYTES, as an ONNX node does."""


def known_call(node: ImportedOperator) -> tuple[int, Sequence[SSAValue | None]] | None:
    """The subgraph that an operator runs whatever its data are, and what it gives to it.

    None where the data decide, or where it is not run once.
    """
    match node.op_type:
        case "STABLEHLO_COMPOSITE":
            return called_subgraphs(node.record)[0], node.operands
        case "IF":
            condition = node.constant(0)
            if condition is None or condition.size != 1:
                return None
            then, otherwise = called_subgraphs(node.record)
            return (then if condition.reshape(-1)[0] else otherwise), node.operands[1:]
        case _:
            return None


def check_arguments(graph: SubgraphRecord, inputs: int, outputs: int | None = None) -> None:
    """Checks that a call has the subgraph's number of inputs, and of outputs if it is given.

    Raises:
        ImportFailure: it has another.
    """
    if inputs != len(graph.inputs):
        raise ImportFailure(
            f"subgraph {graph.index} has {len(graph.inputs)} inputs, {inputs} are given to it"
        )
    if outputs is not None and outputs != len(graph.outputs):
        raise ImportFailure(
            f"subgraph {graph.index} has {len(graph.outputs)} outputs, {outputs} are taken of it"
        )


def is_its_operators(
    graph: SubgraphRecord, arguments: Sequence[SSAValue], outputs: Sequence[TensorRecord]
) -> bool:
    """Whether a call is the subgraph's operators on the call's arguments.

    LiteRT copies bytes into a subgraph and out of it: where it says something else of their
    quantisation than the caller, they change their meaning.
    """
    own = [element_of_tensor(graph.tensors[i]) for i in (*graph.inputs, *graph.outputs)]
    given = [*map(element_of, arguments), *map(element_of_tensor, outputs)]
    return own == given


def call_shapes(node: ImportedOperator, infer: Infer) -> Shapes | None:
    """The shapes of the results of IF and WHILE, of other operators None.

    An extent that depends on the data is DYNAMIC; None where the rank does.
    """
    values = [v for v in node.operands if v is not None]
    if len(values) != len(node.operands) or node.op_type not in ("IF", "WHILE"):
        return None
    shapes = [shape_of(v) for v in values]
    first, second = called_subgraphs(node.record)
    if node.op_type == "IF":
        return _common(infer(first, shapes[1:]), infer(second, shapes[1:]))
    for _ in range(_ROUNDS):
        handed_on = _common(shapes, infer(second, shapes))
        if handed_on is None or handed_on == shapes:
            return handed_on
        shapes = list(handed_on)
    return None


def _common(one: Shapes, other: Shapes) -> Shapes | None:
    """What holds of both: extents that differ are DYNAMIC; None where ranks differ."""
    if list(map(len, one)) != list(map(len, other)):
        return None
    return [
        tuple(n if n == m else DYNAMIC for n, m in zip(a, b, strict=True))
        for a, b in zip(one, other, strict=True)
    ]


def tensor_types(graph: SubgraphRecord, shapes: Shapes) -> Sequence[AnyTensor]:
    """The types of a subgraph's inputs, where they have these shapes."""
    tensors = [graph.tensors[i] for i in graph.inputs]
    return [tensor_type(element_of_tensor(t), s) for t, s in zip(tensors, shapes, strict=True)]
