"""What every `graph` operation shares: its place in both formats, shape rule, semantics, origin.

To add an operator, copy a neighbour in the module of its family, fill in `ONNX` and `TFLITE` (the
operator names that become it), the two import functions, the shape rule and `evaluate`, and list
the class in `dialects/graph/__init__.py`. Nothing else names the operator on this level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self, cast

import numpy as np
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    LocationAttr,
    StringAttr,
    TensorType,
    f64,
    i64,
)
from xdsl.ir import Attribute, Data, Operation, ParametrizedAttribute, SSAValue, TypeAttribute
from xdsl.irdl import IRDLOperation, irdl_attr_definition, opt_prop_def, traits_def
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.traits import Pure

from furiosa_ir.dialects.quant import Quantization, UniformType
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.constants import Array, BlobAttr

Shape = tuple[int, ...]
DYNAMIC = -1
"""The extent of a dimension that only running the network tells (host operators only)."""

AnyTensor = TensorType[Attribute]


@irdl_attr_definition
class OriginAttr(Data[tuple[str, BlobAttr]]):
    """`#graph.origin<onnx, #graph.blob<...>>`: the operator as its file holds it.

    The bytes are a model of that one operator: a serialised `ModelProto` whose inputs and outputs
    are the operation's ("onnx"), or a TFLite model without tensors ("tflite"). An operation that
    stays on the
    host is written into its host segment's sub-model from its origin, so a rewrite that changes
    what an operation computes must not hand the origin on.
    """

    name = "graph.origin"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> tuple[str, BlobAttr]:
        with parser.in_angle_brackets():
            framework = parser.parse_identifier()
            parser.parse_punctuation(",")
            blob = parser.parse_attribute()
        if framework not in ("onnx", "tflite"):
            parser.raise_error(f"unknown framework '{framework}'")
        if not isinstance(blob, BlobAttr):
            parser.raise_error("an origin needs a #graph.blob")
        return framework, blob

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(self.data[0] + ", ")
            printer.print_attribute(self.data[1])


@irdl_attr_definition
class StringType(ParametrizedAttribute, TypeAttribute):
    """`!graph.string`: text elements, which only host operators take. No constant is of them."""

    name = "graph.string"


class OnnxNode(Protocol):
    """What an operator's `from_onnx` sees of the node it becomes (the importer implements it)."""

    op_type: str
    domain: str
    opset: int
    """The version of the node's operator set that the file asks for."""
    operands: Sequence[SSAValue | None]
    """The inputs; None for one left out."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Attribute name -> int, float, str, numpy array, list of those; with schema defaults."""
        ...

    @property
    def output_count(self) -> int:
        """How many outputs the node has, trailing ones left out not counted."""
        ...

    def constant(self, index: int) -> Array | None:
        """The elements of input `index` where it is constant, else None."""
        ...

    def shape(self, index: int = 0) -> Shape:
        """The static shape of input `index`."""
        ...

    def value(self, array: Array | BlobAttr, element: Attribute | None = None) -> SSAValue:
        """A `graph.constant` of these elements (stored integers, if `element` is quantised)."""
        ...

    def emit(
        self,
        op: type[GraphOp],
        operands: Sequence[SSAValue | Sequence[SSAValue | None] | None],
        *,
        elements: Sequence[Attribute] | None = None,
        **properties: object,
    ) -> Sequence[SSAValue]:
        """Adds an operation (see `GraphOp.make`); without `elements` all results get operand 0's.

        Returns:
            Its results; a `from_onnx` returns as many as its node has outputs.
        """
        ...

    def unsupported(self) -> Sequence[SSAValue]:
        """The node as `graph.opaque`: for forms of the operator that are not modelled."""
        ...


class TFLiteNode(Protocol):
    """What an operator's `from_tflite` sees of the operator it becomes (the importer's)."""

    op_type: str
    """Upper-case builtin name ("CONV_2D")."""
    version: int
    options: Any
    """The reader of the builtin options table (package `tflite`, e.g. `tflite.Conv2DOptions`)."""
    operands: Sequence[SSAValue | None]
    result_types: Sequence[AnyTensor]
    """The types of the operator's outputs as the file has them (shape and element)."""

    def constant(self, index: int) -> Array | None:
        """The elements of input `index` where it is constant, else None."""
        ...

    def shape(self, index: int = 0) -> Shape:
        """The static shape of input `index`."""
        ...

    def value(self, array: Array, element: Attribute | None = None) -> SSAValue:
        """A `graph.constant` of these elements (of that element type, if it is quantised)."""
        ...

    def emit(
        self,
        op: type[GraphOp],
        operands: Sequence[SSAValue | None],
        *,
        elements: Sequence[Attribute] | None = None,
        **properties: object,
    ) -> Sequence[SSAValue]:
        """Adds an operation; without `elements` the results get the outputs' element types."""
        ...

    def activation(self, value: SSAValue, function: int) -> SSAValue:
        """The fused activation (`tflite.ActivationFunctionType`) as an operation after `value`."""
        ...

    def unsupported(self) -> Sequence[SSAValue]:
        """The operator as `graph.opaque`: for forms of the operator that are not modelled."""
        ...


class GraphOp(IRDLOperation):
    """An operator of a network. Operands and results are statically shaped tensors.

    Where an element type is `!quant.uniform`, the operator means: dequantise, compute in real
    numbers (`evaluate`), quantise. How the last step rounds, and what is rounded in between, is the
    framework's: the module's `graph.source` ("onnx": exact, ties to even; "tflite": LiteRT's
    reference kernels) tells.
    """

    ONNX: ClassVar[tuple[str, ...]] = ()
    """ONNX operators that become this; with a domain as "com.microsoft::Gelu"."""
    TFLITE: ClassVar[tuple[str, ...]] = ()
    """TFLite builtin operators that become this."""

    origin = opt_prop_def(OriginAttr)

    traits = traits_def(Pure())

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """Adds what the ONNX node means. Default: same operands, attributes by property name."""
        names = cls.get_irdl_definition().properties
        return node.emit(
            cls, node.operands, **{k: v for k, v in node.attributes.items() if k in names}
        )

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        """Adds what the TFLite operator means. Default: same operands, no properties."""
        return node.emit(cls, node.operands)

    def result_shapes(self) -> Sequence[Shape]:
        """The shape rule: one shape for each result, from operands and properties.

        Raises:
            VerificationFailure: the operands' shapes contradict each other.
        """
        raise NotImplementedError(f"{self.name} has no shape rule")

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        """The operator in real numbers, on the elements of its operands (float64 or integers).

        Operands left out are not passed. Layouts are the operation's own.
        """
        raise NotImplementedError(f"{self.name} has no semantics")

    @classmethod
    def make(
        cls,
        operands: Sequence[SSAValue | Sequence[SSAValue] | None],
        elements: Sequence[Attribute],
        *,
        location: LocationAttr | None = None,
        **properties: object,
    ) -> Self:
        """Builds the operation; the shape rule gives the result types.

        Args:
            operands: one entry for each operand definition; None for an optional one left out.
            elements: the element type of each result.
            location: the framework's layer.
            properties: Python values (int, float, str, bool, sequences) or attributes.

        Raises:
            VerificationFailure: the shape rule finds a contradiction.
        """
        placeholder = [TensorType(element, []) for element in elements]
        variadic = cls.get_irdl_definition().results
        is_variadic = len(variadic) == 1 and type(variadic[0][1]).__name__ == "VarResultDef"
        op = cls.build(
            operands=[[] if o is None else o for o in operands],
            properties={k: as_attribute(v) for k, v in properties.items() if v is not None},
            result_types=[placeholder] if is_variadic else placeholder,
        )
        if location is not None:
            op.location = location
        for result, element, shape in zip(op.results, elements, op.result_shapes(), strict=True):
            result._type = TensorType(element, shape)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return op

    def verify_(self) -> None:
        for result, shape in zip(self.results, self.result_shapes(), strict=True):
            if shape_of(result) != tuple(shape):
                raise VerificationFailure(
                    f"{self.name}: result has shape {list(shape_of(result))}, "
                    f"its operands make {list(shape)}"
                )


def as_attribute(value: object) -> Attribute:
    """A Python value as the attribute that properties of `graph` operations use for it.

    int, bool -> i64; float -> f64; str -> string; sequence of int -> array<i64>; of float ->
    array<f64>; of str -> an array of strings; a numpy array -> a blob.
    """
    match value:
        case Attribute():
            return value
        case bool() | int() | np.integer():
            return IntegerAttr(int(value), i64)
        case float() | np.floating():
            return FloatAttr(float(value), f64)
        case str():
            return StringAttr(value)
        case np.ndarray():
            return BlobAttr.of(cast("Array", value))
        case list() | tuple():
            items = cast("Sequence[Any]", value)
            if items and all(isinstance(i, str) for i in items):
                return ArrayAttr([StringAttr(i) for i in items])
            if any(isinstance(i, float | np.floating) for i in items):
                return DenseArrayBase.from_list(f64, [float(i) for i in items])
            return DenseArrayBase.from_list(i64, [int(i) for i in items])
        case _:
            raise TypeError(f"no attribute for a {type(value).__name__}")


def shape_of(value: SSAValue) -> Shape:
    """The shape of a tensor value."""
    return cast("AnyTensor", value.type).get_shape()


def element_of(value: SSAValue) -> Attribute:
    """The element type of a tensor value."""
    return cast("AnyTensor", value.type).element_type


def quantization_of(value: SSAValue) -> Quantization | None:
    """How a value is quantised; None where its elements are plain numbers."""
    element = element_of(value)
    return element.data if isinstance(element, UniformType) else None


def constant_of(value: SSAValue) -> Array | None:
    """The elements of a value that a `graph.constant` makes, else None."""
    owner = value.owner
    if isinstance(owner, Operation) and owner.name == "graph.constant":
        return cast("BlobAttr", owner.properties["value"]).array
    return None


def ints(attribute: DenseArrayBase) -> tuple[int, ...]:
    """The integers of an array property."""
    return cast("DenseArrayBase[IntegerType]", attribute).get_values()


def broadcast_shapes(op: Operation, shapes: Sequence[Shape]) -> Shape:
    """Numpy's broadcasting rule.

    Raises:
        VerificationFailure: the shapes do not broadcast.
    """
    try:
        return tuple(int(n) for n in np.broadcast_shapes(*shapes))
    except ValueError:
        text = " and ".join(str(list(s)) for s in shapes)
        raise VerificationFailure(f"{op.name}: shapes {text} do not broadcast") from None


def normal_axis(op: Operation, axis: int, rank: int) -> int:
    """An axis counted from the front.

    Raises:
        VerificationFailure: it is out of range.
    """
    if not -rank <= axis < max(rank, 1):
        raise VerificationFailure(f"{op.name}: axis {axis} is out of range for rank {rank}")
    return axis % rank if rank else 0
