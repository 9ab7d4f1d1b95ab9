"""What every `graph` operation shares: its place in both formats, shape rule, semantics, origin.

To add an operator, copy a neighbour in the module of its family, fill in `ONNX` and `TFLITE` (the
operator names that become it), the two import functions, the shape rule and `evaluate`. Nothing
else names the operator on this level: the dialect takes the classes of its modules.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, cast

from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp, StringAttr, i1
from xdsl.ir import Attribute, Data, Operation, ParametrizedAttribute, SSAValue, TypeAttribute
from xdsl.irdl import irdl_attr_definition, opt_prop_def
from xdsl.parser import AttrParser
from xdsl.printer import Printer

from furiosa_ir.dialects.quant import Quantization, UniformType
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.constants import BlobAttr, TextAlias
from furiosa_ir.ir.shaped_operation import (
    DYNAMIC,
    AnyTensor,
    Shape,
    ShapedOp,
    element_of,
    shape_of,
    shape_text,
)
from furiosa_ir.numerics.array import Array


@irdl_attr_definition
class OriginAttr(Data[tuple[str, BlobAttr]], TextAlias):
    """`#graph.origin<onnx, #graph.blob<...>>`: the operator as its file holds it.

    The bytes are a model of that one operator: a serialised `ModelProto` whose inputs and outputs
    are the operation's ("onnx"), or a TFLite model without tensors ("tflite"). An operation that
    stays on the
    host is written into its host segment's sub-model from its origin, so a rewrite that changes
    what an operation computes must not hand the origin on.
    """

    name = "graph.origin"
    ALIAS_SUFFIX: ClassVar = "_origin"

    @property
    @override
    def needs_alias(self) -> bool:
        return self.data[1].needs_alias

    @property
    @override
    def alias_key(self) -> Hashable:
        return self.data[0], self.data[1].alias_key

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
        """Attribute name -> int, float, str, numpy array, list of those; with schema defaults.

        What is looked up counts as read; what is merely listed does not.
        """
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

        Where it is the operation that the node's operator is declared to become, properties that
        are not given are the attributes of their names, unless these have been read.

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
        """Adds an operation; without `elements` the results get the outputs' element types.

        Where it is the operation that the operator is declared to become, properties that are not
        given are the options of their names (`Alpha` is `alpha`), unless these have been read.
        """
        ...

    def activation(self, value: SSAValue, function: int) -> SSAValue:
        """The fused activation (`tflite.ActivationFunctionType`) as an operation after `value`."""
        ...

    def unsupported(self) -> Sequence[SSAValue]:
        """The operator as `graph.opaque`: for forms of the operator that are not modelled."""
        ...


def has_its_scales(value: SSAValue) -> bool:
    """Whether a value has as many scales as its quantised dimension has indices."""
    q = quantization_of(value)
    if q is None or q.axis is None:
        return True
    shape = shape_of(value)
    return 0 <= q.axis < len(shape) and shape[q.axis] in (len(q.scales), DYNAMIC)


class GraphOp(ShapedOp):
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
    IGNORED: ClassVar[Mapping[str, str]] = {}
    """ONNX attributes and TFLite options (by their names there) that change nothing, and why.

    An operator with any other that the import function has not read, and that is not what its
    absence means, stays whole, or is refused if nobody knows it.
    """

    CONVERTS: ClassVar[bool] = False
    """Whether plain elements of several types (f32 and i64, say) meet in it."""

    origin = opt_prop_def(OriginAttr)

    def semantic_properties(self) -> dict[str, Attribute]:
        """The properties that say what the operation computes: all but its origin."""
        return {name: value for name, value in self.properties.items() if name != "origin"}

    @override
    def verify_(self) -> None:
        super().verify_()
        if not self.CONVERTS:
            self._verify_elements()
        for value in (*self.operands, *self.results):
            q = quantization_of(value)
            if q is not None and not has_its_scales(value):
                raise VerificationFailure(
                    f"{self.name}: {len(q.scales)} scales along dimension {q.axis} of "
                    f"{shape_text(shape_of(value))}"
                )

    def macs(self) -> int:
        """Multiply-accumulates; 0 where only running the network tells."""
        return 0

    def _verify_elements(self) -> None:
        """Checks that plain elements, beside quantised and boolean ones, are of one type."""
        elements = dict.fromkeys(element_of(v) for v in (*self.operands, *self.results))
        plain = [e for e in elements if not isinstance(e, UniformType) and e != i1]
        if len(plain) > 1:
            raise VerificationFailure(f"{self.name}: elements of {plain[0]} and of {plain[1]}")

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """Adds what the ONNX node means. Default: same operands, attributes by property name."""
        return node.emit(cls, node.operands)

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        """Adds what the TFLite operator means. Default: same operands, options by property name."""
        return node.emit(cls, node.operands)


def quantization_of(value: SSAValue) -> Quantization | None:
    """How a value is quantised; None where its elements are plain numbers."""
    element = element_of(value)
    return element.data if isinstance(element, UniformType) else None


def is_from_tflite(module: ModuleOp) -> bool:
    """Whether a network was imported from TFLite, whose kernels define what it means."""
    return module.attributes.get("graph.source") == StringAttr("tflite")


_CONSTANTS = ("graph.constant", "ftensor.constant")


def constant_of(value: SSAValue) -> Array | None:
    """The elements of a value that is a constant, at any level; None of another. Do not write."""
    owner = value.owner
    if isinstance(owner, Operation) and owner.name in _CONSTANTS:
        return cast("BlobAttr", owner.properties["value"]).array
    return None
