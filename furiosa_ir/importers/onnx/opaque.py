"""Operators carried whole: a model of the one node, its result types, its value if constant.

The origin of a `graph.opaque` from ONNX is a serialised `ModelProto` whose graph is that one node.
Its graph inputs are the operation's operands in order (`slots` leads from the node's inputs to
them; what subgraphs capture comes last), its outputs are the operation's results. So whoever holds
an origin can run it, infer its types, or write it into a larger model without knowing more.

A value that the IR has no type for (a sequence, complex numbers, a tensor of unknown rank) never
leaves an origin: the nodes that make it join the origin of each node that uses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import checker, helper

from furiosa_ir.dialects.graph.base import OriginAttr
from furiosa_ir.errors import ImportFailure, UnknownOperator
from furiosa_ir.importers.onnx import tensors
from furiosa_ir.importers.onnx.contrib import infer_with_onnxruntime
from furiosa_ir.importers.onnx.extra_operators import is_extra, schema_opset
from furiosa_ir.importers.onnx.folding import Folding
from furiosa_ir.importers.onnx.hazards import check_hazards
from furiosa_ir.importers.onnx.messages import one_sentence
from furiosa_ir.importers.onnx.node_order import all_nodes, subgraphs, used_names
from furiosa_ir.importers.onnx.opsets import raise_opset
from furiosa_ir.importers.onnx.shape_rules import ResultType, TypedNode, ruled_types
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.shaped_operation import DYNAMIC, AnyTensor
from furiosa_ir.ir.sizes import check_shape
from furiosa_ir.native_onnx import infer_shapes, run_model
from furiosa_ir.native_process import NativeCrash, NativeRefusal
from furiosa_ir.numerics.array import Array

_VALUES_FOR_INFERENCE = 4096
"""Constants of up to this many elements take part in shape inference (Reshape's shape, ...)."""


_WITH_SHAPE_RULES = 14
"""A set in which operators have shape rules that had none before (Compress, NonMaxSuppression), or
could not tell the rank that a vector of unknown elements gives (Reshape)."""


@dataclass
class Hidden:
    """What makes values that the IR has no type for: nodes in order, initialisers by name."""

    nodes: list[Any] = field(default_factory=list[Any])
    tensors: dict[str, Any] = field(default_factory=dict[str, Any])

    def include(self, other: Hidden) -> None:
        """Adds what makes another such value."""
        self.nodes += [n for n in other.nodes if all(n is not m for m in self.nodes)]
        self.tensors.update(other.tensors)

    def made_names(self) -> set[str]:
        """The values that the nodes and initialisers define."""
        return {str(o) for n in self.nodes for o in n.output} | self.tensors.keys()

    def free_names(self) -> list[str]:
        """The values that the nodes need from outside."""
        made = self.made_names()
        return [name for n in self.nodes for name in used_names(n) if name not in made]


class OpaqueNode:
    """A node with the types of its inputs, as a model of its own.

    Args:
        node: the `NodeProto`.
        hidden: what makes those of its inputs that have no type in the IR.
        opsets: operator set -> version, of the file.
        operands: the name of each other input, captured value or input of a hidden node -> its
            type.
        constants: those whose elements are known.
    """

    def __init__(
        self,
        node: Any,
        hidden: Hidden,
        opsets: Mapping[str, int],
        operands: Mapping[str, AnyTensor],
        constants: Mapping[str, Array],
    ) -> None:
        self.node = node
        self.outputs: list[str] = [str(o) for o in node.output if o]
        self.inputs: list[str] = list(operands)
        self._types = operands
        self._constants = constants
        graph = onnx.GraphProto(name=node.op_type or "node")
        for one in (*hidden.nodes, node):
            graph.node.add().CopyFrom(one)
            _write_out_inputs(graph.node[-1])
            _sort_attributes(graph.node[-1])
        graph.initializer.extend(hidden.tensors.values())
        graph.input.extend(_value_info(name, type_) for name, type_ in operands.items())
        graph.output.extend(onnx.ValueInfoProto(name=o) for o in self.outputs)
        domains = set[str]().union(*(_domains(n) for n in graph.node))
        imports = [helper.make_opsetid(d, opsets.get(d, 1)) for d in sorted(domains | {""})]
        self.model = helper.make_model(graph, opset_imports=imports, producer_name="furiosa-ir")
        # The oldest that holds it: onnxruntime refuses models of a newer IR version than its own.
        self.model.ir_version = helper.find_min_ir_version_for(imports, ignore_unknown=True)

    @property
    def slots(self) -> list[str]:
        """The node's inputs as the origin has them: those left out are written out, as ""."""
        return [str(i) for i in self.model.graph.node[-1].input]

    def origin(self) -> OriginAttr:
        """The node as it goes into the IR."""
        data = np.frombuffer(self.model.SerializeToString(deterministic=True), np.uint8)
        return OriginAttr(("onnx", BlobAttr.of(data)))

    def infer(self, declared: Mapping[str, ResultType]) -> list[ResultType]:
        """The result types: inferred, or where the operator is unknown, declared in the file.

        Results that the IR has no type for are no `outputs` from then on.

        Raises:
            ImportFailure: the inputs contradict the operator, or nothing tells the types.
        """
        ruled = ruled_types(TypedNode(self.node, self._types, self._constants))
        if ruled is not None:
            return self._settled(dict(zip(self.outputs, ruled, strict=True)))
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        model.graph.initializer.extend(
            tensors.tensor_of_array(array, name)
            for name, array in self._constants.items()
            if array.size <= _VALUES_FOR_INFERENCE
        )
        inferred = self._inferred(model)
        results: dict[str, ResultType] = {}
        known: dict[str, onnx.ValueInfoProto] = {}
        if self._is_unknown() and not all(_is_static(declared.get(o)) for o in self.outputs):
            try:
                known = infer_with_onnxruntime(model)
            except NativeCrash as crash:
                raise self._crashed(crash) from None
        for output in inferred.graph.output:
            result = _result_type(known.get(str(output.name), output))
            told = declared.get(str(output.name))
            if result is None or (_is_static(told) and not _is_static(result)):
                result = told or result or self._like_its_operand()
            if result is None and output.type.WhichOneof("value") in (None, "tensor_type"):
                result = self._in_a_newer_set(model, str(output.name))
            if result is not None:
                results[str(output.name)] = result
            elif output.type.WhichOneof("value") is None:
                raise UnknownOperator(
                    f"nothing tells the type of the result '{output.name}' of the operator "
                    f"'{self.node.op_type}'",
                    hint="declare it in the model (graph.value_info)",
                )
        return self._settled(results)

    def _settled(self, results: Mapping[str, ResultType]) -> list[ResultType]:
        """Gives the model its outputs; returns their types."""
        self.outputs = list(results)
        del self.model.graph.output[:]
        for name, result in results.items():
            # The shape may change with the batch size; the type is the operator's.
            kind = tensors.type_code(result.element)
            self.model.graph.output.append(helper.make_tensor_value_info(name, kind, None))
        return list(results.values())

    def _inferred(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """The model with the types of its outputs.

        onnx follows the elements of vectors, known or not, and gives what a vector is the shape of
        (Expand, Reshape) as many dimensions: a vector of 2^31 elements would take gigabytes and
        minutes. So a long one's length is left out at first, and given only if it makes no rank.
        """
        long = [
            v.name
            for v in model.graph.input
            if len(_extents(v)) == 1 and _extents(v)[0] > _VALUES_FOR_INFERENCE
        ]
        if not long:
            return self._infer_shapes(model, propagate=True)
        unknown = onnx.ModelProto()
        unknown.CopyFrom(model)
        for value in unknown.graph.input:
            if value.name in long:
                value.type.tensor_type.shape.dim[0].ClearField("value")
        inferred = self._infer_shapes(unknown, propagate=True)
        if all(o.type.tensor_type.HasField("shape") for o in inferred.graph.output):
            return self._infer_shapes(model, propagate=False)
        return inferred

    def _infer_shapes(self, model: onnx.ModelProto, *, propagate: bool) -> onnx.ModelProto:
        try:
            return self._infer(model, check_type=True, strict_mode=True, data_prop=propagate)
        except NativeRefusal as error:
            if not self._is_function():
                raise ImportFailure(one_sentence(str(error))) from None
        try:
            # onnx cannot infer strictly through the bodies of some of its function operators.
            return self._infer(model, data_prop=propagate)
        except NativeRefusal as error:
            raise ImportFailure(one_sentence(str(error))) from None

    def _infer(self, model: onnx.ModelProto, **options: bool) -> onnx.ModelProto:
        """onnx's own shape inference.

        Raises:
            NativeRefusal: it refuses the node.
            ImportFailure: it does not survive it.
        """
        try:
            data = infer_shapes(model.SerializeToString(), **options)
        except NativeCrash as crash:
            raise ImportFailure(
                f"onnx's shape inference of the operator '{self.node.op_type}' {crash}",
                hint=crash.hint,
            ) from None
        return onnx.ModelProto.FromString(data)

    def _in_a_newer_set(self, model: onnx.ModelProto, output: str) -> ResultType | None:
        """A result's type as a newer version of the operator has it: old ones lack shape rules."""
        opset = next(int(o.version) for o in model.opset_import if not o.domain)
        newer = onnx.ModelProto()
        newer.CopyFrom(model)
        try:
            raise_opset(newer, opset, max(opset, _WITH_SHAPE_RULES))
            inferred = self._inferred(newer)
        except ImportFailure:
            return None
        return next((_result_type(o) for o in inferred.graph.output if o.name == output), None)

    def _like_its_operand(self) -> ResultType | None:
        """Of the experiments that onnxruntime keeps: all have their operand's type and rank."""
        opset = next(int(o.version) for o in self.model.opset_import if not o.domain)
        if not is_extra(self.node, opset) or not self.node.input:
            return None
        info = next((i for i in self.model.graph.input if i.name == self.node.input[0]), None)
        known = None if info is None else _result_type(info)
        return known and ResultType(known.element, (DYNAMIC,) * len(known.shape))

    def _is_unknown(self) -> bool:
        """Whether onnx has no schema of the operator."""
        opset = next(int(o.version) for o in self.model.opset_import if not o.domain)
        return not onnx.defs.has(self.node.op_type, self.node.domain) or is_extra(self.node, opset)

    def _is_function(self) -> bool:
        try:
            schema: Any = onnx.defs.get_schema(self.node.op_type, self.node.domain)
        except onnx.defs.SchemaError:
            return False
        return bool(schema.has_function or schema.has_context_dependent_function)

    @property
    def can_be_evaluated(self) -> bool:
        """Whether all inputs are constant, and the operator always computes the same of them.

        Subgraphs are not entered (a Loop may have 2^60 rounds), nor are hidden values made.
        """
        return (
            bool(self.outputs)
            and len(self.model.graph.node) == 1
            and not any(subgraphs(self.node))
            and all(name in self._constants for name in self.inputs)
            and _deterministic(self.node)
        )

    def evaluate(self, folding: Folding) -> list[Array] | None:
        """The results where `can_be_evaluated`; None where that fails, or takes too much.

        onnxruntime computes them, as it would when the network runs. How its kernels round depends
        on the processor: reals that they compute are left to the machine that runs the network, or
        a program would depend on the machine that compiled it.

        Raises:
            ImportFailure: onnxruntime does not survive the operator, here or on the host.
        """
        try:
            results, seconds = run_model(
                self.model.SerializeToString(),
                [self._constants[name] for name in self.inputs],
                seconds=folding.seconds,
            )
        except NativeRefusal:
            return None  # the operator stays
        except NativeCrash as crash:
            if crash.hint is None:
                raise self._crashed(crash) from None
            folding.seconds = 0.0
            return None
        folding.seconds -= seconds
        same = all(map(_same_everywhere, self.model.graph.node))
        return results if same or all(map(_is_discrete, results)) else None

    def _crashed(self, crash: NativeCrash) -> ImportFailure:
        return ImportFailure(
            f"onnxruntime, which would run the operator '{self.node.op_type}', {crash}",
            hint=crash.hint,
        )


def check_node(node: Any, opsets: Mapping[str, int]) -> None:
    """Compares a node with the operator's schema: it exists, arity, attributes.

    Raises:
        ImportFailure: they do not fit.
    """
    for inner in all_nodes([node]):  # once more: a function's attributes may have become its own
        check_hazards(inner)
    domain = "" if node.domain == "ai.onnx" else str(node.domain)
    if domain not in opsets:
        if domain:
            raise ImportFailure(
                f"the model does not say which version of the operator set '{domain}' it uses"
            )
        raise ImportFailure("the model imports no operator set")
    if any(a.HasField("g") or a.graphs for a in node.attribute):
        return  # its subgraphs refer to what is outside; inference checks it with that in sight
    opset = opsets[domain]
    if is_extra(node, opset) and schema_opset(node, opset) == opset:
        return  # onnxruntime has no schema to show; it will say when it infers the types
    context = checker.C.CheckerContext()
    context.ir_version = onnx.IR_VERSION
    context.opset_imports = {**opsets, domain: schema_opset(node, opset)}
    try:
        checker.check_node(node, context)
    except checker.ValidationError as error:
        raise ImportFailure(one_sentence(str(error))) from None


def declared_type(value: Any) -> ResultType | None:
    """The type that a `ValueInfoProto` declares, if it is complete."""
    return _result_type(value)


def _result_type(value: Any) -> ResultType | None:
    tensor = value.type.tensor_type
    element = tensors.element_type(tensor.elem_type)
    if not value.type.HasField("tensor_type") or element is None or not tensor.HasField("shape"):
        return None
    # Some exporters write -1 for an extent that they leave open.
    dims = tuple(
        int(d.dim_value) if d.HasField("dim_value") and d.dim_value >= 0 else DYNAMIC
        for d in tensor.shape.dim
    )
    check_shape(dims, f"the value '{value.name}'")
    return ResultType(element, dims)


def _is_static(result: ResultType | None) -> bool:
    """Whether a type is known, with all its extents."""
    return result is not None and DYNAMIC not in result.shape


def _deterministic(node: Any) -> bool:
    """Whether a node always computes the same."""
    try:
        schema: Any = onnx.defs.get_schema(node.op_type, node.domain)
    except onnx.defs.SchemaError:
        return False
    return bool(schema.node_determinism == onnx.defs.OpSchema.NodeDeterminism.Deterministic)


def _extents(value: Any) -> list[int]:
    return [int(d.dim_value) for d in value.type.tensor_type.shape.dim]


_SAME_EVERYWHERE = frozenset(
    [
        "Abs",
        "Add",
        "Cast",
        "CastLike",
        "Ceil",
        "CenterCropPad",
        "Clip",
        "Compress",
        "Concat",
        "ConcatFromSequence",
        "Constant",
        "ConstantOfShape",
        "DequantizeLinear",
        "Div",
        "Expand",
        "EyeLike",
        "Flatten",
        "Floor",
        "Gather",
        "GatherElements",
        "GatherND",
        "Identity",
        "If",
        "Loop",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "OneHot",
        "Optional",
        "OptionalGetElement",
        "Pad",
        "Range",
        "Relu",
        "Reshape",
        "ReverseSequence",
        "Round",
        "Scatter",
        "ScatterElements",
        "ScatterND",
        "SequenceAt",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "Sign",
        "Slice",
        "Split",
        "SplitToSequence",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Tile",
        "TopK",
        "Transpose",
        "Trilu",
        "Unique",
        "Unsqueeze",
        "Where",
    ]
)
"""Operators that move and choose elements, or compute each by one operation that IEEE 754 defines.

Whatever else makes only integers of its operands is the same everywhere, too.
"""


def _same_everywhere(node: Any) -> bool:
    """Whether a node and its subgraphs compute the same reals on every processor."""
    return node.op_type in _SAME_EVERYWHERE and all(
        _same_everywhere(inner) for graph in subgraphs(node) for inner in graph.node
    )


def _is_discrete(array: Array) -> bool:
    """Whether the elements are integers, truth values or texts."""
    return array.dtype.kind in "iubOUS" or "int" in array.dtype.name


_INPUTS_IN_FULL = {"QLinearLeakyRelu": 5, "QLinearSigmoid": 5}
"""Operators of com.microsoft whose kernels read all of their inputs.

One that is written as left out ("") is a zero point of 0; one that is not written at all ends
onnxruntime's process (1.32).
"""


def _write_out_inputs(node: Any) -> None:
    """Names the inputs that are left out at the end, in the node and those of its subgraphs."""
    for inner in all_nodes([node]):
        if inner.domain == "com.microsoft" and len(inner.input):
            count = _INPUTS_IN_FULL.get(inner.op_type, 0)
            inner.input.extend([""] * (count - len(inner.input)))


def _sort_attributes(node: Any) -> None:
    """Puts the attributes of a node and of those in its subgraphs in the order of their names."""
    names = [str(a.name) for a in node.attribute]
    if names != sorted(names):
        in_order = onnx.NodeProto(attribute=sorted(node.attribute, key=lambda a: a.name))
        del node.attribute[:]
        node.attribute.extend(in_order.attribute)
    for graph in subgraphs(node):
        for inner in graph.node:
            _sort_attributes(inner)


def _value_info(name: str, type_: AnyTensor) -> onnx.ValueInfoProto:
    shape = [None if n == DYNAMIC else n for n in type_.get_shape()]
    return helper.make_tensor_value_info(name, tensors.type_code(type_.element_type), shape)


def _domains(node: Any) -> set[str]:
    """The operator sets that a node and its subgraphs use."""
    found = {"" if node.domain == "ai.onnx" else str(node.domain)}
    for attribute in node.attribute:
        graphs: Sequence[Any] = [attribute.g] if attribute.HasField("g") else attribute.graphs
        for graph in graphs:
            for inner in graph.node:
                found |= _domains(inner)
    return found
