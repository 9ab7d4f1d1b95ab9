"""The state of a TFLite network: resource variables and variable tensors, as variables of a module.

A resource variable is known by its container and name: VAR_HANDLE gives a handle of it, which
READ_VARIABLE and ASSIGN_VARIABLE take, and the subgraph of CALL_ONCE assigns it before the first
run. A variable tensor (`is_variable`) is an input that its operator changes in place, as SVDF does
its state; LiteRT fills it with zeros, of int8 with the zero point, before the first run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
from xdsl.dialects.builtin import LocationAttr, TensorType
from xdsl.ir import Operation, SSAValue

from furiosa_ir.dialects.graph.base import constant_of
from furiosa_ir.dialects.graph.movement import ReshapeOp, TransposeOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.graph.variables import (
    AssignVariableOp,
    ReadVariableOp,
    VariableOp,
    stored,
)
from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.tflite.elements import element_of_tensor
from furiosa_ir.importers.tflite.file import FileRecord, SubgraphRecord, TensorRecord
from furiosa_ir.importers.tflite.operator_record import OperatorRecord
from furiosa_ir.importers.tflite.subgraphs import called_subgraphs, reached_subgraphs
from furiosa_ir.importers.tflite.tensor_names import UniqueNames
from furiosa_ir.ir.constants import BlobAttr, Constant
from furiosa_ir.ir.element_types import dtype_of_element
from furiosa_ir.ir.shaped_operation import DYNAMIC, AnyTensor, shape_text, tensor_type
from furiosa_ir.limits import Budget, limit, way_out
from furiosa_ir.numerics.array import Array

RESOURCE_OPERATORS = ("CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE")
"""Operators that become reads and assignments, or nothing."""

Key = tuple[str, str] | tuple[int, int, str]
"""What a file knows a variable by: container and name, or subgraph, tensor and its name."""


@dataclass
class _Variable:
    """A variable as far as the operators before have told of it.

    Attributes:
        name: its symbol.
        type: None as long as nothing has assigned it.
        initial: its elements before the first run; None if they are not said.
        is_used: whether the network itself, not only CALL_ONCE, has read or assigned it.
    """

    name: str
    type: AnyTensor | None = None
    initial: Array | None = None
    is_used: bool = False


class Variables:
    """The variables of a network.

    Args:
        file: where it is from.
    """

    def __init__(self, file: FileRecord) -> None:
        self._file = file
        self._known: dict[Key, _Variable] = {}
        self._names = UniqueNames()
        self._assigned: set[Key] | None = None
        self._accessed: dict[str, _Variable] = {}
        self._initialised: set[int] = set()
        self._room = Budget(limit("STATE_BYTES") + len(file.data), _too_much)

    def operations(self) -> list[VariableOp]:
        """What the module declares, in the order in which the network first meets them."""
        made: list[VariableOp] = []
        for variable in self._accessed.values():
            kind = variable.type
            assert kind is not None
            initial = variable.initial
            if initial is None:  # assigned before it is read, in each run
                initial = np.zeros(kind.get_shape(), dtype_of_element(stored(kind)))
            made.append(VariableOp.of(variable.name, kind, initial))
        return made

    def resource(self, record: OperatorRecord) -> Key:
        """What VAR_HANDLE gives a handle of."""
        return resource_key(self._file, record)

    def begins(self, subgraph: int) -> bool:
        """Whether CALL_ONCE runs that subgraph here: the first time that it is called."""
        known = subgraph in self._initialised
        self._initialised.add(subgraph)
        return not known

    def initialise(self, key: Key, value: SSAValue) -> None:
        """An ASSIGN_VARIABLE of the subgraph of CALL_ONCE.

        Raises:
            ImportFailure: the value is no constant, or operators have used the variable before.
        """
        variable = self._variable(key)
        if variable.is_used:
            raise ImportFailure(
                f"CALL_ONCE initialises the variable '{variable.name}' behind operators that use it"
            )
        elements = _elements_of(value)
        if elements is None:
            raise ImportFailure(
                f"CALL_ONCE computes the initial elements of the variable '{variable.name}', "
                "which can only be constants",
                hint="store them in the file as a constant",
            )
        self._room.take(elements.nbytes)
        variable.type, variable.initial = _tensor_type(value), elements

    def read(
        self, key: Key, tensor: TensorRecord, location: LocationAttr, *, once: bool = False
    ) -> Operation:
        """The elements that a resource variable has here: a constant, if no run changes them.

        Args:
            key: the variable.
            tensor: what READ_VARIABLE makes.
            location: of the operation.
            once: whether the subgraph of CALL_ONCE reads it.

        Raises:
            ImportFailure: nothing has assigned it, or it holds elements of another type.
        """
        variable = self._variable(key)
        variable.is_used = variable.is_used or not once
        if variable.type is None:
            raise ImportFailure(f"reads the variable '{variable.name}', which nothing has assigned")
        made = tensor_type(element_of_tensor(tensor), variable.type.get_shape())
        self._check(variable, "reads", made)
        if once or key not in self._assigned_keys():
            assert variable.initial is not None
            blob = BlobAttr(Constant(variable.initial))
            return ConstantOp.make([], [made.element_type], location=location, value=blob)
        self._accessed[variable.name] = variable
        return ReadVariableOp.of(variable.name, made, location)

    def assign(self, key: Key, value: SSAValue, location: LocationAttr) -> AssignVariableOp:
        """The assignment of a value to a variable.

        Raises:
            ImportFailure: it has another shape or type than the variable.
        """
        variable = self._variable(key)
        variable.is_used = True
        if variable.type is None:
            variable.type = _tensor_type(value)
            self._room.take(_bytes_of(variable.type))
        self._check(variable, "assigns", _tensor_type(value))
        self._accessed[variable.name] = variable
        return AssignVariableOp.of(variable.name, value, location)

    def state(
        self, graph: SubgraphRecord, tensor: TensorRecord, location: LocationAttr
    ) -> ReadVariableOp:
        """What a variable tensor of a subgraph holds here."""
        key = state_key(graph, tensor)
        variable = self._variable(key)
        if variable.type is None:
            variable.type = tensor_type(element_of_tensor(tensor), tensor.shape)
            self._room.take(_bytes_of(variable.type))
            zero = 0
            if tensor.quantization is not None and tensor.dtype == np.int8:
                zero = tensor.quantization.zero_points[0]
            variable.initial = np.full(tensor.shape, zero, tensor.dtype)
        self._accessed[variable.name] = variable
        return ReadVariableOp.of(variable.name, variable.type, location)

    def _variable(self, key: Key) -> _Variable:
        if key not in self._known:
            self._known[key] = _Variable(self._names.unique(str(key[-1]) or "variable"))
        return self._known[key]

    def _check(self, variable: _Variable, verb: str, given: AnyTensor) -> None:
        kept = variable.type
        assert kept is not None
        if DYNAMIC in given.get_shape():
            raise ImportFailure(
                f"{verb} elements of the open shape {shape_text(given.get_shape())} of the "
                f"variable '{variable.name}'"
            )
        if kept.get_shape() != given.get_shape() or stored(kept) != stored(given):
            raise ImportFailure(
                f"{verb} {stored(given)}{list(given.get_shape())}, but the variable "
                f"'{variable.name}' is {stored(kept)}{list(kept.get_shape())}, and state keeps "
                "its shape"
            )

    def _assigned_keys(self) -> set[Key]:
        """The resource variables that a run may change."""
        if self._assigned is None:
            self._assigned = set(assignments(self._file))
        return self._assigned


def resource_key(file: FileRecord, record: OperatorRecord) -> tuple[str, str]:
    """The container and the name of the variable that VAR_HANDLE gives a handle of."""
    options = record.options
    return file.text(options.Container()), file.text(options.SharedName())


def state_key(graph: SubgraphRecord, tensor: TensorRecord) -> tuple[int, int, str]:
    """What a variable tensor is known by: LiteRT has one, however often its subgraph is called."""
    return graph.index, tensor.index, tensor.name


def keeps_state(graph: SubgraphRecord) -> bool:
    """Whether a subgraph keeps something from one run to the next."""
    return any(t.is_variable for t in graph.tensors) or any(
        op.op_type in RESOURCE_OPERATORS for op in graph.operators
    )


def assignments(file: FileRecord) -> Iterator[Key]:
    """The resource variables that a run of the network may assign, once an assignment."""
    graphs = {0: file.main}
    for record in file.main.operators:
        if record.op_type != "CALL_ONCE" and called_subgraphs(record):
            reached_subgraphs(file, record, graphs)
    for graph in graphs.values():
        handles = {
            record.outputs[0]: record
            for record in graph.operators
            if record.op_type == "VAR_HANDLE" and record.outputs
        }
        for record in graph.operators:
            if record.op_type == "ASSIGN_VARIABLE" and record.inputs:
                handle = handles.get(record.inputs[0])
                if handle is not None:
                    yield resource_key(file, handle)


def _tensor_type(value: SSAValue) -> AnyTensor:
    kind = value.type
    assert isinstance(kind, TensorType)
    return kind  # pyright: ignore[reportUnknownVariableType]


def _bytes_of(tensor: AnyTensor) -> int:
    """How many bytes the elements take.

    Raises:
        ImportFailure: no run can keep elements of that type.
    """
    dtype = dtype_of_element(stored(tensor))
    if dtype is None:
        raise ImportFailure(f"elements of type {stored(tensor)} cannot be kept from run to run")
    return dtype.itemsize * prod(max(n, 0) for n in tensor.get_shape())


def _elements_of(value: SSAValue) -> Array | None:
    """The elements of a constant, moved or not."""
    moves: list[ReshapeOp | TransposeOp] = []
    while isinstance(value.owner, ReshapeOp | TransposeOp):
        moves.append(value.owner)
        value = value.owner.operands[0]
    elements = constant_of(value)
    if elements is not None:
        for move in reversed(moves):
            (elements,) = move.evaluate(elements)
    return elements


def _too_much() -> ImportFailure:
    return ImportFailure("the network keeps too much from run to run", hint=way_out("STATE_BYTES"))
