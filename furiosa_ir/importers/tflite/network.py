"""From the records of a file to `func.func @main`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    LocationAttr,
    StringAttr,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue

from furiosa_ir.dialects.graph import TFLITE_OPERATORS
from furiosa_ir.dialects.graph.base import constant_of
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.dialects.graph.variables import AssignVariableOp, ReadVariableOp
from furiosa_ir.errors import FuriosaError, ImportFailure
from furiosa_ir.host_kernels import find_kernel
from furiosa_ir.importers.imported import imported
from furiosa_ir.importers.tflite.custom import custom_result_shapes
from furiosa_ir.importers.tflite.declared import check_declared
from furiosa_ir.importers.tflite.elements import element_of_tensor
from furiosa_ir.importers.tflite.file import (
    CORRUPTION,
    FileRecord,
    SubgraphRecord,
    TensorRecord,
)
from furiosa_ir.importers.tflite.folding import fold
from furiosa_ir.importers.tflite.hazards import check_hazards, check_rows
from furiosa_ir.importers.tflite.operator import ImportedOperator, NotModelled
from furiosa_ir.importers.tflite.operator_record import OperatorRecord
from furiosa_ir.importers.tflite.option_tables import lacks_options
from furiosa_ir.importers.tflite.result_shapes import result_shapes
from furiosa_ir.importers.tflite.subgraphs import (
    OPERATOR_BYTES,
    call_shapes,
    called_subgraphs,
    check_arguments,
    check_nesting,
    is_its_operators,
    known_call,
    reached_subgraphs,
    size_of,
    tensor_types,
)
from furiosa_ir.importers.tflite.tensor_names import UniqueNames
from furiosa_ir.importers.tflite.variables import (
    RESOURCE_OPERATORS,
    Key,
    Variables,
    keeps_state,
    state_key,
)
from furiosa_ir.ir.constants import BlobAttr, Constant
from furiosa_ir.ir.location import name_loc
from furiosa_ir.ir.shaped_operation import (
    DYNAMIC,
    AnyTensor,
    Shape,
    element_of,
    shape_of,
    tensor_type,
)
from furiosa_ir.ir.value_tracking import ValueTracker, note_tensor, tracking
from furiosa_ir.limits import Budget, limit, way_out
from furiosa_ir.plugins import raise_plugin_failure


class NetworkImporter:
    """Imports the network of a checked file: its subgraph 0, with what that calls.

    Args:
        file: the records.
    """

    def __init__(self, file: FileRecord) -> None:
        self._file = file
        main = file.main
        # A dynamic batch shows as -1 in every tensor's signature; it is 1 unless asked otherwise.
        self.dynamic_batch = any(main.tensors[i].signature[:1] == (-1,) for i in main.inputs)
        self.layers = UniqueNames()
        room = limit("FUNCTION_BYTES") + _GROWTH * len(file.data)
        self._room = Budget(room, _too_many_calls)
        self._inferred: dict[tuple[int, tuple[Shape, ...]], list[Shape]] = {}
        self.variables = Variables(file)

    def run(self) -> FuncOp:
        """The function; inputs, operators and outputs in the order of the file."""
        main = self._file.main
        inputs, outputs = ([main.tensors[i] for i in t] for t in (main.inputs, main.outputs))
        if len(set(main.inputs)) != len(main.inputs):
            raise ImportFailure("an input of the network is listed twice")
        _check_writable(inputs)
        block = Block(arg_types=tensor_types(main, [t.shape for t in inputs]))
        results = SubgraphImporter(self, main, block, block.args).run()
        insert_constants(block, results)
        block.add_op(ReturnOp(*results))
        return FuncOp(
            "main",
            FunctionType.from_lists(block.arg_types, [v.type for v in results]),
            Region(block),
            arg_attrs=_names(inputs),
            res_attrs=_names(outputs),
        )

    def called(self, index: int, path: Sequence[int]) -> SubgraphRecord:
        """A subgraph whose operators stand in for a call.

        Args:
            index: which.
            path: the subgraphs that the call lies in, the outermost first.

        Raises:
            ImportFailure: it is not there, it calls itself, or the network grows too large.
        """
        check_nesting(index, path)
        graph = self._file.subgraph(index)
        self._room.take(OPERATOR_BYTES * (1 + len(graph.operators)))
        return graph

    def carried(self, record: OperatorRecord) -> Sequence[SubgraphRecord]:
        """The subgraphs that an operator which is carried whole takes with it.

        Raises:
            ImportFailure: they call themselves, they keep state, or the network grows too large.
        """
        graphs = reached_subgraphs(self._file, record)
        if any(map(keeps_state, graphs)):
            raise ImportFailure(
                f"{record.op_type} calls a subgraph that keeps state from run to run, which only "
                "the network itself, and what is run once in every run, can do here"
            )
        self._room.take(sum(map(size_of, graphs)))
        return graphs

    def infer(self, index: int, shapes: Sequence[Shape], path: Sequence[int]) -> list[Shape]:
        """The shapes of a subgraph's outputs, given those of its inputs; `path` as in `called`.

        Raises:
            ImportFailure: the subgraph does not take these shapes, or what `called` raises.
        """
        key = index, tuple(shapes)
        if key not in self._inferred:
            graph = self.called(index, path)
            check_arguments(graph, len(shapes))
            block = Block(arg_types=tensor_types(graph, shapes))
            with tracking(ValueTracker()):
                aside = SubgraphImporter(
                    self, graph, block, block.args, path=(*path, index), layers=UniqueNames()
                )
                self._inferred[key] = [shape_of(v) for v in aside.run()]
        return self._inferred[key]


def _check_writable(inputs: Sequence[TensorRecord]) -> None:
    """Inputs are memory; LiteRT writes them over the file's elements, which it may have mapped.

    Raises:
        ImportFailure: one has elements in the file.
    """
    constants = [t.name for t in inputs if t.data is not None]
    if constants:
        others = ",".join(t.name for t in inputs if t.data is None)
        raise ImportFailure(
            f"the input '{constants[0]}' is a constant of the file, over which LiteRT writes or "
            "at which it ends the process",
            hint=f"--inputs {others} leaves it a constant" if others else "leave it to be computed",
        )


class SubgraphImporter:
    """Imports one subgraph into a block.

    Args:
        network: what it is part of.
        graph: the subgraph.
        block: gets the operations.
        arguments: the values that are its inputs.
        path: the subgraphs that it lies in, itself included.
        prefix: of its layers' names.
        layers: makes them unique; the network's, where nothing is said.
        once: whether it is what CALL_ONCE runs.
    """

    def __init__(
        self,
        network: NetworkImporter,
        graph: SubgraphRecord,
        block: Block,
        arguments: Sequence[SSAValue],
        *,
        path: Sequence[int] = (0,),
        prefix: str = "",
        layers: UniqueNames | None = None,
        once: bool = False,
    ) -> None:
        self._network, self._graph, self._block = network, graph, block
        self._path, self._prefix = path, prefix
        self._layers = network.layers if layers is None else layers
        self._values: list[SSAValue | None] = [None] * len(graph.tensors)
        self._once = once
        self._handles: dict[int, Key] = {}
        self._changed: list[tuple[TensorRecord, SSAValue]] = []
        self._written: set[int] = set(graph.inputs)
        for index, value in zip(graph.inputs, arguments, strict=True):
            self._values[index] = value
        # What a file says of the shapes inside holds for the shapes that it says of the inputs.
        self._declared = all(
            shape_of(v) == graph.tensors[i].shape
            for i, v in zip(graph.inputs, arguments, strict=True)
        )

    def run(self) -> list[SSAValue]:
        """The values of the outputs. Constants among them need not be in the block yet."""
        for operator in self._graph.operators:
            self._operator(operator)
        return [self._operand(self._graph.tensors[i]) for i in self._graph.outputs]

    def _operator(self, record: OperatorRecord) -> None:
        name = self._graph.tensors[record.outputs[0]].name if record.outputs else ""
        # The operator's first output, as LiteRT names layers.
        layer = self._layers.unique(self._prefix + (name or record.op_type))
        try:
            self._import_operator(record, layer)
        except FuriosaError as error:
            failure = error
            if not isinstance(error, ImportFailure):
                failure = ImportFailure(
                    error.message, file=error.file, layer=error.layer, hint=error.hint
                )
            raise failure.at(layer=layer, hint=_what_it_lacks(record)) from None
        except CORRUPTION as error:
            raise_plugin_failure(error, layer)
            raise ImportFailure(
                f"the arguments of {record.op_type} make no sense",
                layer=layer,
                hint=_what_it_lacks(record),
            ) from error

    def _import_operator(self, record: OperatorRecord, layer: str) -> None:
        tensors = self._graph.tensors
        inputs = [None if i < 0 else tensors[i] for i in record.inputs]
        outputs = [tensors[i] for i in record.outputs]
        for tensor in outputs:
            if tensor.index in self._written or tensor.data is not None:
                raise ImportFailure(f"the tensor '{tensor.name}' is written twice")
            self._written.add(tensor.index)
        if record.op_type in RESOURCE_OPERATORS and not record.is_custom:
            self._resource_operator(record, inputs, outputs, name_loc(layer))
            return
        operands = [None if t is None else self._operand(t) for t in inputs]
        node = ImportedOperator(
            record,
            operands,
            inputs,
            [self._type(t, t.shape) for t in outputs],
            name_loc(layer),
            [tensors[i] for i in record.intermediates],
        )
        if not record.is_custom:
            check_rows(record.op_type, [(t.bits, t.shape) for t in inputs if t is not None])
            elements = [element_of(v) for v in operands if v is not None]
            made = [element_of_tensor(t) for t in outputs]
            check_hazards(record.op_type, elements, made, record.options)
        results = self._results(node, outputs, layer)
        if len(results) != len(outputs):
            raise ImportFailure(f"{record.op_type} has {len(results)} outputs, not {len(outputs)}")
        for op in node.operations:
            insert_constants(self._block, op.operands)
            self._block.add_op(op)
        for tensor, value in zip(outputs, results, strict=True):
            self._define(tensor, value)
            if tensor.is_variable:
                self._changed.append((tensor, value))
        for tensor, value in self._changed:
            self._define(tensor, value)
            if tensor.index not in self._graph.inputs:
                key = state_key(self._graph, tensor)
                self._variable_operation(
                    self._network.variables.assign(key, value, name_loc(layer))
                )
        self._changed.clear()

    def _define(self, tensor: TensorRecord, value: SSAValue) -> None:
        self._values[tensor.index] = value
        # Of a variable LiteRT tells only what it holds in the end.
        if self._path == (0,) and not tensor.is_variable:
            note_tensor(value, tensor.index)

    def _resource_operator(
        self,
        record: OperatorRecord,
        inputs: Sequence[TensorRecord | None],
        outputs: Sequence[TensorRecord],
        location: LocationAttr,
    ) -> None:
        """What VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE and CALL_ONCE are here.

        Raises:
            ImportFailure: they make no sense, or only running the network tells what they do.
        """
        variables = self._network.variables
        match record.op_type, inputs, outputs:
            case "VAR_HANDLE", [], [handle]:
                self._handles[handle.index] = variables.resource(record)
            case "READ_VARIABLE", [TensorRecord() as handle], [tensor]:
                read = variables.read(self._handle(handle), tensor, location, once=self._once)
                if self._declared:
                    check_declared(record.op_type, tensor, shape_of(read.results[0]))
                if isinstance(read, ReadVariableOp):  # constants come with what takes them
                    self._block.add_op(read)
                self._define(tensor, read.results[0])
            case "ASSIGN_VARIABLE", [TensorRecord() as handle, TensorRecord() as tensor], []:
                key, value = self._handle(handle), self._operand(tensor)
                if self._once:
                    variables.initialise(key, value)
                else:
                    self._variable_operation(variables.assign(key, value, location))
            case "CALL_ONCE", [], []:
                self._call_once(record)
            case _:
                raise ImportFailure(
                    f"{record.op_type} has {len(inputs)} inputs and {len(outputs)} outputs"
                )

    def _call_once(self, record: OperatorRecord) -> None:
        (index,) = called_subgraphs(record)
        if not self._network.variables.begins(index):
            return
        graph = self._network.called(index, self._path)
        check_arguments(graph, 0, 0)
        block = Block()
        with tracking(ValueTracker()):
            path = (*self._path, index)
            SubgraphImporter(
                self._network, graph, block, (), path=path, layers=UniqueNames(), once=True
            ).run()
        whole = next((op for op in block.ops if isinstance(op, OpaqueOp)), None)
        if whole is not None:
            raise ImportFailure(
                f"CALL_ONCE runs {whole.operator.data}: only constants can be what a network keeps "
                "from run to run before the first one"
            )

    def _handle(self, tensor: TensorRecord) -> Key:
        key = self._handles.get(tensor.index)
        if key is None:
            raise ImportFailure(f"no VAR_HANDLE before it makes the tensor '{tensor.name}'")
        return key

    def _variable_operation(self, op: AssignVariableOp) -> None:
        insert_constants(self._block, op.operands)
        self._block.add_op(op)

    def _results(
        self, node: ImportedOperator, outputs: Sequence[TensorRecord], layer: str
    ) -> Sequence[SSAValue]:
        """The operator's results: folded, modelled, those of the subgraph it calls, or opaque."""
        called = known_call(node)
        if called is not None:
            results = self._called(*called, outputs, layer)
            if results is not None:
                self._check(node, results, outputs)
                return results
        static = all(v is None or DYNAMIC not in shape_of(v) for v in node.operands)
        if node.op_type == "DENSIFY" and node.constant(0) is not None:
            return list(filter(None, node.operands))  # sparse tensors are dense when they are read
        if not node.record.is_custom and static:
            elements = fold(node)
            if elements is not None and not node.unread_options(()):
                return [node.value(elements)]
            operation = TFLITE_OPERATORS.get(node.op_type)
            if operation is not None:
                try:
                    results = imported(operation.from_tflite, node, node.op_type)
                except NotModelled:
                    pass
                else:
                    # What the operation would not know of, LiteRT does: the operator stays whole.
                    if not node.unread_options(operation.IGNORED):
                        self._check(node, results, outputs)
                        return results
        return self._opaque(node, outputs)

    def _called(
        self,
        index: int,
        arguments: Sequence[SSAValue | None],
        outputs: Sequence[TensorRecord],
        layer: str,
    ) -> Sequence[SSAValue] | None:
        """The results of a subgraph whose operators stand in for a call; None if they cannot."""
        graph = self._network.called(index, self._path)
        given = [a for a in arguments if a is not None]
        check_arguments(graph, len(given), len(outputs))
        if not is_its_operators(graph, given, outputs):
            return None
        path, prefix = (*self._path, index), f"{layer}/"
        inside = SubgraphImporter(
            self._network, graph, self._block, given, path=path, prefix=prefix, layers=self._layers
        )
        return inside.run()

    def _opaque(
        self, node: ImportedOperator, outputs: Sequence[TensorRecord]
    ) -> Sequence[SSAValue]:
        record = node.record
        carried = self._network.carried(record)
        shapes = None
        if record.is_custom:
            from furiosa_ir.importers.tflite.kernel_types import kernel_shapes  # noqa: PLC0415  # few

            shapes = kernel_shapes(node, outputs, declared=self._declared)
            if shapes is None and find_kernel(record.op_type) is None:
                shapes = custom_result_shapes(record.op_type, record.custom_options)
        elif all(
            v is not None or t is None for v, t in zip(node.operands, node.inputs, strict=True)
        ):
            shapes = result_shapes(node) or call_shapes(node, self._infer)
        if shapes is None or len(shapes) != len(outputs):
            shapes = [self._opaque_shape(t) for t in outputs]
        else:
            pairs = zip(outputs, shapes, strict=True)
            shapes = [self._settled(node.op_type, t, shape) for t, shape in pairs]
        node.result_types = [self._type(t, s) for t, s in zip(outputs, shapes, strict=True)]
        # Which operators change a variable that they take, only LiteRT knows.
        states: dict[TensorRecord, int] = {}
        for i, tensor in enumerate(node.inputs):
            if tensor is not None and tensor.is_variable:
                states.setdefault(tensor, i)
        results = node.opaque(carried, list(states.values()))
        self._changed = list(zip(states, results[len(outputs) :], strict=True))
        return results[: len(outputs)]

    def _infer(self, index: int, shapes: Sequence[Shape]) -> Sequence[Shape]:
        return self._network.infer(index, shapes, self._path)

    def _settled(self, operator: str, tensor: TensorRecord, shape: Shape) -> Shape:
        """A result's shape as the operator makes it; what its operands do not tell, from the file.

        Raises:
            ImportFailure: the file says otherwise.
        """
        made = tuple(DYNAMIC if n < 0 else n for n in shape)
        if not tensor.shape or not self._declared:
            return made
        check_declared(operator, tensor, made)
        declared = self._opaque_shape(tensor)
        return tuple(d if n == -1 else n for n, d in zip(shape, declared, strict=True))

    def _opaque_shape(self, tensor: TensorRecord) -> Shape:
        dynamic_batch = self._network.dynamic_batch
        return tuple(
            DYNAMIC if (s < 0 and not (i == 0 and dynamic_batch)) or not self._declared else n
            for i, (n, s) in enumerate(zip(tensor.shape, tensor.signature, strict=True))
        )

    def _check(
        self,
        node: ImportedOperator,
        results: Sequence[SSAValue],
        outputs: Sequence[TensorRecord],
    ) -> None:
        """The results have the shapes that the file gives them.

        Raises:
            ImportFailure: they have not.
        """
        if not self._declared or all(constant_of(v) is not None for v in results):
            return
        for value, tensor in zip(results, outputs, strict=False):
            check_declared(node.op_type, tensor, shape_of(value))

    def _operand(self, tensor: TensorRecord) -> SSAValue:
        """The tensor's value; what a variable holds here.

        Raises:
            ImportFailure: it has none, or is the handle of a variable.
        """
        value = self._values[tensor.index]
        if value is not None:
            return value
        if tensor.index in self._handles:
            raise ImportFailure(
                f"the handle '{tensor.name}' of a variable is given to something else than "
                "READ_VARIABLE and ASSIGN_VARIABLE"
            )
        if not tensor.is_variable:
            return self._constant(tensor)
        read = self._network.variables.state(self._graph, tensor, name_loc(tensor.name))
        self._block.add_op(read)
        self._values[tensor.index] = read.result
        return read.result

    def _constant(self, tensor: TensorRecord) -> SSAValue:
        data = tensor.data
        if data is None and 0 in tensor.shape and tensor.index not in self._written:
            data = np.zeros(tensor.shape, tensor.dtype)
        if data is None:
            raise ImportFailure(f"nothing before it writes the tensor '{tensor.name}'")
        op = ConstantOp.make(
            [],
            [element_of_tensor(tensor)],
            location=name_loc(tensor.name),
            value=BlobAttr(Constant(data)),
        )
        self._values[tensor.index] = op.results[0]
        return op.results[0]

    @staticmethod
    def _type(tensor: TensorRecord, shape: Shape) -> AnyTensor:
        return tensor_type(element_of_tensor(tensor), shape)


def insert_constants(block: Block, values: Sequence[SSAValue]) -> None:
    """Adds those constants to the block that are in none yet."""
    for value in values:
        owner = value.owner
        if isinstance(owner, Operation) and owner.parent is None:
            block.add_op(owner)


def _what_it_lacks(record: OperatorRecord) -> str | None:
    """What to say of an operator that is refused and has no options of its own kind."""
    if record.is_custom or not lacks_options(record.reader, record.op_type):
        return None
    return f"the file has no options of {record.op_type}, or another operator's"


_GROWTH = 16
"""Times the file's size that calls may make a network grow beside FUNCTION_BYTES, as in ONNX."""


def _too_many_calls() -> ImportFailure:
    return ImportFailure(
        "calls of its subgraphs make the network too large", hint=way_out("FUNCTION_BYTES")
    )


def _names(tensors: Sequence[TensorRecord]) -> ArrayAttr[DictionaryAttr]:
    return ArrayAttr([DictionaryAttr({"graph.name": StringAttr(t.name)}) for t in tensors])
