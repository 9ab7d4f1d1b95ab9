"""Builds an ONNX graph from SSA values: names, initialisers, quantised values as integers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.dialects.quant import Quantization, UniformType
from furiosa_ir.importers.onnx import tensors
from furiosa_ir.importers.onnx.node_order import subgraphs
from furiosa_ir.ir.shaped_operation import DYNAMIC, AnyTensor, element_of, shape_of


class OnnxWriter:
    """The graph being written and the name of each value in it.

    A value of a quantised type is a tensor of its stored integers.

    Args:
        opset: the version of the default operator set.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.graph: Any = onnx.GraphProto(name="host_segment")
        self.domains: dict[str, int] = {"": opset}
        self._names: dict[SSAValue, str] = {}
        self._reals: dict[SSAValue, str] = {}
        self._count = 0
        self._taken: set[str] = set()

    def fresh(self) -> str:
        """A name that nothing has yet."""
        self._count += 1
        name = f"/{self._count}"
        return name if name not in self._taken else self.fresh()

    def take(self, names: Iterable[str]) -> None:
        """Keeps `fresh` from making these names."""
        self._taken.update(names)

    def rename(self, names: Mapping[str, str]) -> None:
        """Renames tensors, initialisers included, wherever nodes and their subgraphs say them."""
        for tensor in self.graph.initializer:
            tensor.name = names.get(tensor.name, tensor.name)
        for node in self.graph.node:
            rename(node, names)

    def bind(self, value: SSAValue, name: str) -> None:
        """Says which tensor holds a value (its stored integers, if it is quantised)."""
        self._names[value] = name

    def name(self, value: SSAValue) -> str:
        """The tensor that holds a value."""
        return self._names[value]

    def node(
        self,
        op_type: str,
        inputs: Sequence[str],
        *,
        outputs: int = 1,
        domain: str = "",
        **attributes: Any,
    ) -> list[str]:
        """Appends a node; returns the names of its outputs."""
        names = [self.fresh() for _ in range(outputs)]
        made: Any = helper.make_node(op_type, inputs, names, domain=domain)
        for key, value in attributes.items():
            if value is not None:
                # An empty list does not say of what it is.
                kind = onnx.AttributeProto.INTS if value in ([], ()) else None
                made.attribute.append(helper.make_attribute(key, value, attr_type=kind))
        self.graph.node.append(made)
        return names

    def single(self, op_type: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Appends a node of one output; returns its name."""
        return self.node(op_type, inputs, **attributes)[0]

    def constant(self, array: Any, dtype: Any = None) -> str:
        """An initialiser. What float32 does not hold is infinite, as it is in onnxruntime."""
        with np.errstate(over="ignore"):
            elements = np.asarray(array, dtype)
        name = self.fresh()
        contiguous = np.ascontiguousarray(elements).reshape(elements.shape)
        self.graph.initializer.append(numpy_helper.from_array(contiguous, name))
        return name

    def real(self, value: SSAValue) -> str:
        """The tensor of the real numbers that a value stands for."""
        quantization = quantization_of(value)
        if quantization is None:
            return self._names[value]
        name = self._reals.get(value)
        if name is None:
            name = self._linear("DequantizeLinear", self._names[value], quantization)
            self._reals[value] = name
        return name

    def store(self, real: str, value: SSAValue) -> None:
        """Binds a value to the tensor of its real numbers, quantised if its type is."""
        quantization = quantization_of(value)
        if quantization is None:
            name = real
        elif quantization.storage == "i32":
            name = self._accumulator(real, quantization, len(shape_of(value)))
        else:
            name = self._linear("QuantizeLinear", real, quantization)
        self.bind(value, name)

    def _accumulator(self, real: str, quantization: Quantization, rank: int) -> str:
        """Stored i32 integers of real numbers: QuantizeLinear makes none."""
        scales = np.array(quantization.scales, np.float32)
        if quantization.axis is not None:
            scales = scales.reshape([-1 if i == quantization.axis else 1 for i in range(rank)])
        steps = self.single("Round", [self.single("Div", [real, self.constant(scales)])])
        return self.single("Cast", [steps], to=TensorProto.INT32)

    def _linear(self, op_type: str, x: str, quantization: Quantization) -> str:
        per_tensor = quantization.axis is None
        scales = np.array(quantization.scales, np.float32)
        points = np.array(quantization.zero_points, quantization.dtype)
        inputs = [x, self.constant(scales[0] if per_tensor else scales)]
        # Of i32 the standard allows no zero point but 0, and some kernels none at all.
        if quantization.storage != "i32":
            inputs.append(self.constant(points[0] if per_tensor else points))
        return self.single(op_type, inputs, axis=quantization.axis)

    def permuted(self, name: str, source: str, target: str) -> str:
        """A tensor in another layout: "NHWC" -> "NCHW"."""
        if source == target:
            return name
        return self.single("Transpose", [name], perm=[source.index(d) for d in target])

    def value_info(self, name: str, type_: Attribute) -> onnx.ValueInfoProto:
        """What the graph says of an input or output."""
        tensor = cast("AnyTensor", type_)
        shape = [None if n == DYNAMIC else n for n in tensor.get_shape()]
        return helper.make_tensor_value_info(name, tensor_type(tensor.element_type), shape)


def rename(node: Any, names: Mapping[str, str]) -> None:
    """Renames what a node uses and makes, and what its subgraphs use from outside.

    Names that stand for one thing outside and another in a subgraph are not told apart.
    """
    for said in (node.input, node.output):
        for i, name in enumerate(said):
            if name in names:
                said[i] = names[name]
    for graph in subgraphs(node):
        for inner in graph.node:
            rename(inner, names)
        for output in graph.output:
            output.name = names.get(output.name, output.name)


def tensor_type(element: Attribute) -> int:
    """The ONNX type code of an element type; of a quantised one, that of its stored integers."""
    if isinstance(element, UniformType):
        return helper.np_dtype_to_tensor_dtype(element.data.dtype)
    return tensors.type_code(element)


def plain_dtype(value: SSAValue) -> np.dtype[Any]:
    """The numpy dtype in which a plain value's constants are written."""
    if quantization_of(value) is not None:
        return np.dtype(np.float32)
    return tensors.dtype_of_element(element_of(value))
