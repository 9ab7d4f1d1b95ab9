"""The same small network three times: as a TFLite file, as graph operations, lowered.

A test case writes each operator once as a graph operation (which infers the result's shape) and
once as the TFLite operator that it stands for; `check` compares LiteRT's reference kernels with
the lowered `ftensor` operations, of the graph operations and of what the importer makes of the
file, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import OpResolverType
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from xdsl.builder import Builder, InsertPoint
from xdsl.dialects.builtin import TensorType, i8
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from furiosa_ir.dialects.ftensor import TensorOp
from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.graph.elementwise import ClipOp, ReluOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import UniformType, uniform
from furiosa_ir.importers.tflite import import_tflite
from furiosa_ir.interpreter.elements import numpy_dtype
from furiosa_ir.ir.constants import Array, BlobAttr
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.lowering import Emitter, find_lowering, refusal
from furiosa_ir.lowering.registry import LITERT
from tests.lowering.choices import Choices, described
from tests.oracle.litert import Operator, Tensor, build_model, run_reference

ACTIVATIONS = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu_n1_to_1": schema.ActivationFunctionType.RELU_N1_TO_1,
    "relu6": schema.ActivationFunctionType.RELU6,
}


@dataclass(eq=False)
class Value:
    """A tensor of the network: a graph value, and the TFLite tensor (made when first used)."""

    graph: SSAValue
    data: Array | None = None
    tensor: Tensor | None = None


class Network(Choices):
    """A network of int8 or uint8 tensors; stored integers are written as int8 and converted.

    With `ties`, all scales are powers of two and all integers small: many results lie exactly
    between two steps of the output, where kernels differ.

    Args:
        dtype: what activations are stored as.
        draw: what it is drawn from; None for one that is written out.
        numerics: the kernels that it is lowered to and compared with.
        ties: see above.
    """

    def __init__(
        self,
        dtype: type[np.int8 | np.uint8],
        draw: DrawFn | None = None,
        *,
        numerics: str = LITERT,
        ties: bool = False,
    ) -> None:
        super().__init__(draw)
        self.dtype = dtype
        self.numerics = numerics
        self.ties = ties
        self.block = Block()
        self.operators: list[Operator] = []
        self.inputs: list[tuple[SSAValue, Array]] = []
        self.operations: list[GraphOp] = []
        self.resolver = OpResolverType.BUILTIN_REF
        if numerics != LITERT:
            self.resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.importable = True
        self._names = 0

    @property
    def is_int8(self) -> bool:
        return self.dtype is np.int8

    # Quantisation and data.

    def scale(self, low: float = 0.002, high: float = 0.3) -> float:
        """A float32 scale, log-uniform."""
        if self.ties:
            exponents = int(np.ceil(np.log2(low))), int(np.floor(np.log2(high)))
            return 2.0 ** self.integer(*exponents)
        return float(np.float32(np.exp(self.real(np.log(low), np.log(high)))))

    def quantized(
        self,
        scale: float | Sequence[float] | None = None,
        zero_point: int | None = None,
        axis: int = 0,
    ) -> UniformType:
        """A quantised type of this dtype, drawn where nothing is said."""
        if scale is None:
            scale = self.scale()
        if zero_point is None:
            zero_point = self.zero_point(*((-8, 7) if self.ties else (-128, 127)))
        stored = zero_point + (0 if self.is_int8 else 128)
        return uniform(np.dtype(self.dtype), np.asarray(scale), np.asarray(stored), axis)

    def bytes(self, *shape: int) -> Array:
        """int8 data."""
        data = self.array(shape, -128, 127)
        return data // np.int8(self.integer(4, 29)) if self.ties else data

    def stored(self, data: Array) -> Array:
        """int8 data in this network's dtype; other data as it is."""
        if self.is_int8 or data.dtype != np.int8:
            return data
        return data.view(np.uint8) ^ np.uint8(128)

    def __repr__(self) -> str:
        """The operators, their tensors and the inputs: what hypothesis prints of a failure."""
        lines = [f"resolver {self.resolver.name}"]
        for operator in self.operators:
            options = vars(operator.options) if operator.options else {}
            lines.append(f"{operator.builtin} {options}")
            for kind, tensors in (("reads", operator.inputs), ("writes", operator.outputs)):
                lines += [f"  {kind} {_described(t)}" for t in tensors]
        lines += [f"input {argument.type}: {described(data)}" for argument, data in self.inputs]
        return "\n" + "\n".join(lines) + "\n"

    # Building.

    def input(self, data: Array, element: Attribute) -> Value:
        """An input that will hold `data`: int8, or of a plain element type."""
        argument = self.block.insert_arg(TensorType(element, data.shape), len(self.block.args))
        self.inputs.append((argument, data))
        return Value(argument)

    def constant(self, data: Array, element: UniformType) -> Value:
        """A quantised constant: int8 data (converted to this dtype), or an int32 bias."""
        stored = self.stored(data) if data.dtype == np.int8 else data
        op = ConstantOp.make([], [element], value=BlobAttr.of(stored))
        return Value(op.result, stored)

    def plain_constant(self, data: Array, element: Attribute) -> Value:
        """A constant of a plain element type."""
        op = ConstantOp.make([], [element], value=BlobAttr.of(data))
        return Value(op.result, data)

    def bias(self, data: Array, x: Value, weight: Value) -> Value:
        """An int32 bias in units of the product of the scales."""
        x_scale, scales = _quantization(x).scale, _quantization(weight).scales
        product = [float(np.float32(x_scale) * np.float32(s)) for s in scales]
        return self.constant(data, uniform(np.dtype(np.int32), np.array(product), 0, 0))

    def graph(
        self, op: type[GraphOp], operands: Sequence[Any], element: Attribute, **properties: object
    ) -> Value:
        """Adds a graph operation; operands are values, lists of values, or None."""
        plain = [
            [v.graph for v in o] if isinstance(o, list) else None if o is None else o.graph
            for o in operands
        ]
        operation = op.make(plain, [element], **properties)
        self.operations.append(operation)
        return Value(operation.results[0])

    def activation(self, value: Value, name: str) -> Value:
        """The fused activation as the importer writes it: an operation of its own."""
        element = element_of(value.graph)
        assert isinstance(element, UniformType)
        bounds: dict[str, tuple[float, float]] = {"relu6": (0.0, 6.0), "relu_n1_to_1": (-1.0, 1.0)}
        if name == "none":
            return value
        if name == "relu":
            return self.graph(ReluOp, [value], element)
        low, high = bounds[name]
        return self.graph(ClipOp, [value], element, minimum=low, maximum=high)

    def tflite(
        self,
        builtin: str,
        inputs: Sequence[Value | Array | None],
        output: Value,
        options: object | None = None,
        version: int = 2,
        **fields: object,
    ) -> None:
        """Adds the TFLite operator; plain arrays are constants; `fields` its options."""
        for name, value in fields.items():
            setattr(options, name, value)
        tensors = [self._tensor(v) for v in inputs]
        written = self._tensor(output)
        assert written is not None
        self.operators.append(Operator(builtin, tensors, [written], options, version))

    def _tensor(self, value: Value | Array | None) -> Tensor | None:
        if value is None:
            return None
        self._names += 1
        if isinstance(value, np.ndarray):
            return Tensor.constant(f"t{self._names}", value)
        if value.tensor is None and quantization_of(value.graph) is None:
            dtype = numpy_dtype(element_of(value.graph))
            value.tensor = Tensor(f"t{self._names}", shape_of(value.graph), dtype, data=value.data)
        if value.tensor is None:
            q = _quantization(value)
            axis = 0 if q.axis is None else q.axis
            shape = shape_of(value.graph)
            value.tensor = Tensor(
                f"t{self._names}", shape, q.dtype, q.scales, q.zero_points, axis, value.data
            )
        return value.tensor

    # Running.

    def reference(self) -> Array:
        """LiteRT's reference result, uint8 as int8 data."""
        arrays = [self.stored(data) for _, data in self.inputs]
        (result,) = run_reference(build_model(self.operators), arrays, self.resolver)
        return as_int8(result)

    def lowered(self) -> Array:
        """The result of the lowered graph operations, as int8 data."""
        arguments, data = zip(*self.inputs, strict=True)
        result = self.operations[-1].results[0]
        return evaluate_lowered(arguments, self.operations, result, data, self.numerics)

    def imported(self) -> Array:
        """The same from the TFLite file, through the importer."""
        module = import_tflite(build_model(self.operators))
        (function,) = module.body.ops
        assert isinstance(function, FuncOp)
        block = function.body.block
        data = [data for _, data in self.inputs]
        terminator = block.last_op
        assert terminator is not None
        return evaluate_lowered(block.args, block.ops, terminator.operands[0], data, self.numerics)

    def check(self) -> None:
        """Asserts that all agree on every byte."""
        expected, got = self.reference(), self.lowered()
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
        if self.importable:
            np.testing.assert_array_equal(self.imported(), expected)


def as_int8(array: Array) -> Array:
    """uint8 data as int8; other data as it is."""
    return (array ^ np.uint8(128)).view(np.int8) if array.dtype == np.uint8 else array


def evaluate_lowered(
    arguments: Sequence[SSAValue],
    operations: Iterable[Operation],
    result: SSAValue,
    inputs: Sequence[Array],
    numerics: str = LITERT,
) -> Array:
    """The value of `result` after lowering `operations` to `ftensor`; data as int8."""
    target = Block(arg_types=[TensorType(i8, data.shape) for data in inputs])
    values: dict[SSAValue, SSAValue] = dict(zip(arguments, target.args, strict=True))
    emitter = Emitter(Builder(InsertPoint.at_end(target)), values)
    for operation in operations:
        if isinstance(operation, ConstantOp | ReturnOp):
            continue
        assert isinstance(operation, GraphOp)
        hint = refusal(operation, numerics)
        if hint is not None:
            raise Refused(str(hint))
        lowering = find_lowering(operation, numerics)
        assert lowering is not None
        results = lowering.function(operation, emitter)
        results = [results] if isinstance(results, SSAValue) else results
        values.update(zip(operation.results, results, strict=True))
    arrays: dict[SSAValue, Array] = dict(zip(target.args, inputs, strict=True))
    for operation in target.ops:
        assert isinstance(operation, TensorOp)
        operation.verify()
        evaluated = operation.evaluate(*(arrays[o] for o in operation.operands))
        arrays.update(zip(operation.results, evaluated, strict=True))
    return arrays[values[result]]


class Refused(Exception):
    """The lowering leaves the operator to the host."""


def _described(tensor: Tensor | None) -> str:
    if tensor is None:
        return "nothing"
    text = f"{tensor.name}: {np.dtype(tensor.dtype)} {tuple(tensor.shape)}"
    if tensor.scale is not None:
        text += f" scale {tensor.scale} zero point {tensor.zero_point}"
    return text if tensor.data is None else f"{text} = {described(tensor.data)}"


def _quantization(value: Value) -> Any:
    q = quantization_of(value.graph)
    assert q is not None
    return q


DTYPES: dict[str, type[np.int8 | np.uint8]] = {"int8": np.int8, "uint8": np.uint8}

Case = Callable[[Network], None]
"""Adds one operator with drawn shapes, parameters and data to a network."""

CASES: dict[str, Case] = {}
INT8_ONLY: set[str] = set()
"""Cases of operators, or forms of them, that LiteRT has for int8 only."""


def case(function: Case) -> Case:
    """Registers a case under its function's name."""
    CASES[function.__name__] = function
    return function


def int8_case(function: Case) -> Case:
    """Registers a case that LiteRT has for int8 only."""
    INT8_ONLY.add(function.__name__)
    return case(function)


@st.composite
def networks(
    draw: DrawFn, name: str, dtype: str, *, numerics: str = LITERT, ties: bool | None = None
) -> Network:
    """Networks of one operator of a case; half of them have ties, where nothing is said."""
    if ties is None:
        ties = draw(st.sampled_from([True, False]))
    net = Network(DTYPES[dtype], draw, numerics=numerics, ties=ties)
    CASES[name](net)
    return net


def forms() -> list[tuple[str, str]]:
    """Every case with each dtype that LiteRT has it for: (name, "int8" or "uint8")."""
    return [
        (name, dtype)
        for name in CASES
        for dtype in ("int8", "uint8")
        if dtype == "int8" or name not in INT8_ONLY
    ]
