"""A part of a TFLite network, of fixed extents: as records to import, or as a file for LiteRT."""

from __future__ import annotations

import mmap
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import flatbuffers
import numpy as np

from furiosa_ir.errors import ImportFailure
from furiosa_ir.formats import TFLITE_IDENTIFIER
from furiosa_ir.importers.tflite.operator_record import OperatorRecord
from furiosa_ir.importers.tflite.option_tables import read_options
from furiosa_ir.importers.tflite.tensor_names import boundary_names
from furiosa_ir.importers.tflite.vectors import Vectors
from furiosa_ir.network_part import Part, Shape, checked_shape, missing_value
from furiosa_ir.tflite_schema import tflite


@dataclass(frozen=True)
class Selection:
    """What a part keeps of subgraph 0.

    Attributes:
        inputs, outputs: numbers of tensors.
        operators: numbers of operators, in the file's order.
        tensors: numbers of all tensors that these use or make.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[int, ...]
    tensors: frozenset[int]


def select(model: Any, graph: Any, vectors: Vectors, part: Part) -> Selection:
    """What a part keeps of a subgraph.

    Args:
        model, graph: the flatbuffers readers of the file and of its subgraph.
        vectors: copies vectors of the file.
        part: which.

    Raises:
        ImportFailure: the subgraph has no tensors of these names; or an output needs an input that
            is not among those given.
    """
    count = graph.TensorsLength()
    names = [vectors.text(graph.Tensors(i).Name()) for i in range(count)]
    given = vectors.indices(graph.InputsAsNumpy(), count, "the network's inputs")
    made: dict[int, int] = {}
    uses: list[tuple[int, ...]] = []
    state = _State(graph, vectors)
    for i in range(graph.OperatorsLength()):
        reader = graph.Operators(i)
        what = "an operator"
        uses.append(vectors.indices(reader.InputsAsNumpy(), count, what, optional=True))
        results = vectors.indices(reader.OutputsAsNumpy(), count, what)
        made |= dict.fromkeys(results, i)
        kind = model.OperatorCodes(reader.OpcodeIndex()).BuiltinCode()
        state.note(i, kind, reader, uses[-1], results)
    computed = {*given, *made}
    outputs = vectors.indices(graph.OutputsAsNumpy(), count, "the network's outputs")
    for index, name in boundary_names(names, given, outputs).items():
        names[index] = name
    find = _Names(names, computed)
    if part.outputs is not None:
        outputs = tuple(map(find, part.outputs))
    inputs = given if part.inputs is None else tuple(map(find, part.inputs))
    kept, tensors = _reached(outputs, frozenset(inputs), made, uses, state)
    for index in given:
        if _is_constant(model, graph.Tensors(index)):
            continue
        if index in tensors and index not in inputs:
            raise ImportFailure(
                f"the outputs need the input '{names[index]}', which is not among the inputs given",
                hint="name it too, or a tensor between",
            )
    if part.inputs is None:
        inputs = tuple(i for i in inputs if i in tensors)
    results = {t for i in kept for t in _results(graph, i)}
    return Selection(
        inputs, outputs, tuple(sorted(kept)), frozenset({*tensors, *inputs, *outputs, *results})
    )


def _is_constant(model: Any, tensor: Any) -> bool:
    """Whether the file has a tensor's elements, be it listed as an input."""
    number = tensor.Buffer()
    if not 0 < number < model.BuffersLength():
        return False
    buffer = model.Buffers(number)
    return buffer.DataLength() > 0 or buffer.Offset() > 1


def _results(graph: Any, operator: int) -> Sequence[int]:
    outputs = graph.Operators(operator).OutputsAsNumpy()
    return [] if isinstance(outputs, int) else outputs.tolist()


def _reached(
    ends: Sequence[int],
    entries: frozenset[int],
    made: Mapping[int, int],
    uses: Sequence[Sequence[int]],
    state: _State,
) -> tuple[set[int], set[int]]:
    """The operators that tensors depend on, from the entries on, and the tensors they use.

    A tensor depends on what changes the state that it is made of, in this run or those before.
    """
    kept: set[int] = set()
    tensors = set(ends)
    pending = list(ends)
    while pending:
        tensor = pending.pop()
        operators = state.with_tensor(tensor)
        if tensor not in entries and tensor in made:
            operators.append(made[tensor])
        while operators:
            operator = operators.pop()
            if operator in kept:
                continue
            kept.add(operator)
            operators += state.with_operator(operator)
            used = [i for i in uses[operator] if i >= 0 and i not in tensors]
            tensors.update(used)
            pending += used
    return kept, tensors


class _State:
    """Which operators change what others take in the next run; none is found by its results.

    Args:
        graph: the subgraph's reader.
        vectors: copies vectors of the file.
    """

    def __init__(self, graph: Any, vectors: Vectors) -> None:
        self._graph, self._vectors = graph, vectors
        self._variables: dict[int, Hashable] = {}  # of VAR_HANDLE, and of the tensors they make
        self._handles: dict[int, Hashable] = {}
        self._changing: defaultdict[Hashable, list[int]] = defaultdict(list)
        self._always: list[int] = []
        self._users: defaultdict[int, list[int]] = defaultdict(list)

    def note(
        self, number: int, kind: int, reader: Any, inputs: Sequence[int], results: Sequence[int]
    ) -> None:
        """Takes in an operator, in the file's order."""
        if kind == tflite.BuiltinOperator.VAR_HANDLE:
            options = read_options(reader, "VAR_HANDLE")
            names = options.Container(), options.SharedName()
            self._variables[number] = tuple(map(self._vectors.text, names))
            self._handles.update(dict.fromkeys(results, self._variables.get(number)))
        elif kind == tflite.BuiltinOperator.ASSIGN_VARIABLE and inputs:
            self._changing[self._handles.get(inputs[0])].append(number)
        elif not results:
            self._always.append(number)  # CALL_ONCE
        for tensor in {*inputs, *results}:
            if tensor >= 0 and self._graph.Tensors(tensor).IsVariable():
                self._users[tensor].append(number)

    def with_operator(self, number: int) -> list[int]:
        """What changes the variable that an operator gives a handle of; none of another."""
        if number not in self._variables:
            return []
        first, self._always = self._always, []
        return [*self._changing.pop(self._variables[number], ()), *first]

    def with_tensor(self, tensor: int) -> list[int]:
        """Whoever takes a variable tensor, and may change it."""
        return self._users.pop(tensor, [])


class _Names:
    """Finds the tensor of a name, among those that are computed."""

    def __init__(self, names: Sequence[str], computed: set[int]) -> None:
        self._names, self._computed = names, computed
        self._counts = Counter(names[i] for i in computed)

    def __call__(self, name: str) -> int:
        """The number of the tensor.

        Raises:
            ImportFailure: there is none, or several.
        """
        found = [i for i in sorted(self._computed) if self._names[i] == name and name]
        if len(found) == 1:
            return found[0]
        if found:
            raise ImportFailure(f"{len(found)} tensors are called '{name}'")
        if name and name in self._names:
            raise ImportFailure(f"'{name}' is a constant of the network")
        raise missing_value(name, [n for n in self._counts if n], "tensor")


# Extents.


def given_shapes(
    part: Part, inputs: Sequence[tuple[str, Shape, Shape]], file_inputs: Sequence[str]
) -> dict[str, Shape]:
    """The shapes that a part gives to inputs, compared with what the file says of them.

    Args:
        part: the part.
        inputs: (name, shape, signature) of the part's inputs; of a signature, -1 is open.
        file_inputs: the names of the inputs of the whole network.

    Raises:
        ImportFailure: there is no such input, or they contradict each other.
    """
    if part.dims:
        raise ImportFailure(
            "a TFLite network has no names for its dimensions",
            hint="--input-shape NAME=1,H,W,3 instead of --dim",
        )
    known = {name: (shape, signature) for name, shape, signature in inputs}
    found: dict[str, Shape] = {}
    for name, shape in part.input_shapes:
        if name not in known:
            if name in file_inputs:
                continue  # it is left out of this part
            raise missing_value(name, list(known), "input")
        declared, signature = known[name]
        # Of [] nobody can tell whether it is a scalar or left out.
        extents = [None if n < 0 else n for n in signature] if declared else None
        found[name] = checked_shape(name, shape, extents)
    return found


# For LiteRT.


def content_of_part(data: bytes | mmap.mmap, part: Part) -> bytes:
    """The file of a part of a network: what LiteRT makes of it, the part means.

    Raises:
        ImportFailure: the network has no such part.
        CompilationFailure: LiteRT, whose package has the writer, is not installed.
        CORRUPTION: the file is corrupt (`importers.tflite.file`).
    """
    content = bytes(data)
    if part.is_whole:
        return content
    try:
        from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415  # an extra
    except ImportError:
        raise ImportFailure(
            "a part of a TFLite network needs the package ai-edge-litert",
            hint="pip install 'furiosa-ir[litert]'",
        ) from None
    from furiosa_ir.importers.tflite.unpacking import unpacked  # noqa: PLC0415  # of parts alone

    reader = tflite.Model.GetRootAs(content, 0)
    chosen = select(reader, reader.Subgraphs(0), Vectors(len(content)), part)
    model: Any = unpacked(content, schema)
    graph = model.subgraphs[0]
    names = [(t.name or b"").decode(errors="replace") for t in graph.tensors]
    for index, name in boundary_names(names, graph.inputs, graph.outputs).items():
        names[index] = name
    file_inputs = [names[i] for i in graph.inputs]
    if part.is_cut:
        graph.inputs = np.array(chosen.inputs, np.int32)
        graph.outputs = np.array(chosen.outputs, np.int32)
        graph.operators = [graph.operators[i] for i in chosen.operators]
        model.signatureDefs = None
        _only_used_codes(model)
    rows = [
        (names[i], _shape(graph.tensors[i]), _signature(graph.tensors[i])) for i in graph.inputs
    ]
    shapes = given_shapes(part, rows, file_inputs)
    for index in graph.inputs:
        if names[index] in shapes:
            graph.tensors[index].shape = np.array(shapes[names[index]], np.int32)
            graph.tensors[index].shapeSignature = None
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=TFLITE_IDENTIFIER)
    return bytes(builder.Output())


def _shape(tensor: Any) -> Shape:
    return () if tensor.shape is None else tuple(map(int, tensor.shape))


def _signature(tensor: Any) -> Shape:
    signature = tensor.shapeSignature
    return _shape(tensor) if signature is None else tuple(map(int, signature))


def _only_used_codes(model: Any) -> None:
    """Leaves out operator codes that nothing uses: LiteRT wants a kernel for each."""
    operators = [op for graph in model.subgraphs for op in graph.operators or ()]
    used = sorted({op.opcodeIndex for op in operators})
    places = {old: new for new, old in enumerate(used)}
    model.operatorCodes = [model.operatorCodes[i] for i in used]
    for op in operators:
        op.opcodeIndex = places[op.opcodeIndex]


def without_double(
    operators: Sequence[OperatorRecord], inputs: Sequence[int], tensors: list[Any]
) -> list[OperatorRecord]:
    """Operators none of which makes an input of the part: such a result becomes another tensor.

    Args:
        operators: of the part; one may stay for its other results.
        inputs: of the part.
        tensors: the records; gets the new ones.
    """
    made: list[OperatorRecord] = []
    for record in operators:
        outputs = list(record.outputs)
        for place, index in enumerate(outputs):
            if index in inputs:
                outputs[place] = len(tensors)
                name = f"{tensors[index].name}/left_out"
                tensors.append(replace(tensors[index], index=len(tensors), name=name))
        made.append(
            record if tuple(outputs) == record.outputs else replace(record, outputs=tuple(outputs))
        )
    return made
