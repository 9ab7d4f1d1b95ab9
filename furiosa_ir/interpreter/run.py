"""Running functions and whole modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

from furiosa_ir.dialects.ftensor import TensorOp
from furiosa_ir.dialects.ftensor.fused import FusedOp
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.dialects.graph.variables import AssignVariableOp, ReadVariableOp, variables_of
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.interpreter.elements import is_float, numpy_dtype
from furiosa_ir.interpreter.graph import evaluate_exactly, evaluate_float32, is_float32_input
from furiosa_ir.interpreter.opaque import run_opaque
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.shaped_operation import DYNAMIC, element_of, shape_of
from furiosa_ir.numerics.array import Array

LowerOperation = Callable[[GraphOp, str], FuncOp | None]
"""From an operation and its numerics to an `ftensor` function of its operands.

Numerics are those of `Interpreter.litert_numerics`. Constants among the operands are inside the
function, not arguments; uint8 data is int8 with its top bit flipped, in arguments and results.
None: it has no such arithmetic.
"""

RunHost = Callable[[GraphOp, Sequence[Array]], Sequence[Array]]
"""Evaluates an operator in its own framework."""

Inputs = Mapping[str, Any] | Sequence[Any]


@dataclass
class Interpreter:
    """Evaluates the functions of a module.

    Attributes:
        module: what holds the functions that are called.
        lower_operation: gives quantised operations of a TFLite network their arithmetic.
        run_host: evaluates opaque operators, and quantised ones of TFLite that have no integer
            form; default: opaque ones of ONNX, by onnxruntime.
        watch: is told each operation and its results, in order of execution.
        state: what its variables hold, by name: runs read and change it; default: what they are
            before the first run.
    """

    module: ModuleOp
    lower_operation: LowerOperation | None = None
    run_host: RunHost = run_opaque
    watch: Callable[[Operation, Sequence[Array]], None] | None = None
    _lowered: dict[Operation, FuncOp | None] = field(
        default_factory=dict[Operation, "FuncOp | None"]
    )
    state: dict[str, Array] = field(kw_only=True, default_factory=dict[str, Array])

    def __post_init__(self) -> None:
        for name, op in variables_of(self.module).items():
            self.state.setdefault(name, op.initial.array)

    @property
    def source(self) -> str:
        """The framework that decides the numerics: "onnx" or "tflite"."""
        source = self.module.attributes.get("graph.source")
        return source.data if isinstance(source, StringAttr) else "onnx"

    def function(self, name: str) -> FuncOp:
        """The function of that name.

        Raises:
            ExecutionFailure: the module has none.
        """
        for op in self.module.ops:
            if isinstance(op, FuncOp) and op.sym_name.data == name:
                return op
        raise ExecutionFailure(f"the module has no function @{name}")

    def run(self, inputs: Inputs) -> dict[str, Array]:
        """Runs `@main`: named inputs (or inputs in order) to named outputs.

        What it assigns to variables, the next run reads.

        Raises:
            ExecutionFailure: an input does not fit, or an operation has no semantics here.
        """
        main = self.function("main")
        arrays = _in_order(main, inputs)
        results = self.call(main, arrays)
        names = value_names(main.res_attrs, len(results), "output")
        returned = cast("ReturnOp", main.body.block.last_op).operands
        return {
            name: array.astype(numpy_dtype(element_of(value)), copy=False)
            for name, array, value in zip(names, results, returned, strict=True)
        }

    def call(self, function: FuncOp, arrays: Sequence[Array]) -> list[Array]:
        """Evaluates a function. Real results are doubles under ONNX's numerics.

        Raises:
            ExecutionFailure: an operation has no semantics here.
        """
        block = function.body.block
        values: dict[SSAValue, Array] = {
            a: self._argument(a, array) for a, array in zip(block.args, arrays, strict=True)
        }
        remaining = _count_uses(function)
        for op in block.ops:
            operands = [values[v] for v in op.operands]
            if isinstance(op, ReturnOp):
                return operands
            results = self.evaluate(op, operands)
            if self.watch is not None:
                self.watch(op, results)
            for value in op.operands:
                remaining[value] -= 1
                if not remaining[value]:
                    del values[value]  # a big network's activations do not fit memory at once
            made = zip(op.results, results, strict=True)
            values.update((v, r) for v, r in made if remaining.get(v))
        raise ExecutionFailure(f"the function @{function.sym_name.data} does not return")

    def _argument(self, argument: SSAValue, array: Array) -> Array:
        exact = self.source == "onnx" and is_float(element_of(argument))
        if exact and not self._is_float32_input(argument):
            return array.astype(np.float64, copy=False)
        return array

    def _is_float32_input(self, argument: SSAValue) -> bool:
        """`is_float32_input`, also where a segment that is called does the quantising."""
        calls = [use for use in argument.uses if isinstance(use.operation, CallOp)]
        if not calls:
            return is_float32_input(argument)
        return len(calls) == len(list(argument.uses)) and all(
            self._is_float32_input(
                self.function(cast("CallOp", use.operation).callee.string_value()).body.block.args[
                    use.index
                ]
            )
            for use in calls
        )

    @property
    def litert_numerics(self) -> str:
        """Which of LiteRT's kernels a TFLite network means: "litert", the reference, or others."""
        kernels = self.module.attributes.get("graph.kernels")
        optimized = isinstance(kernels, StringAttr) and kernels.data == "optimized"
        return "litert_default" if optimized else "litert"

    def evaluate(self, op: Operation, operands: Sequence[Array]) -> Sequence[Array]:
        """The results of one operation."""
        match op:
            case ReadVariableOp():
                return [self.state[op.symbol]]
            case AssignVariableOp():
                self.state[op.symbol] = operands[0]
                return []
            case CallOp():
                return self.call(self.function(op.callee.string_value()), operands)
            case TensorOp():
                return self.evaluate_integers(op, operands)
            case FusedOp():
                return [self._fused(op, operands)]
            case OpaqueOp():
                return self._opaque(op, operands)
            case GraphOp():
                if self.source == "onnx":
                    return evaluate_exactly(op, operands)
                results = evaluate_float32(op, operands)
                return self._lower(op, operands) if results is None else results
            case _:
                raise ExecutionFailure(
                    f"the interpreter does not know {op.name}",
                    layer=layer_name(op) or None,
                    hint="it runs modules of the graph and ftensor levels, and kernels",
                )

    def _fused(self, op: FusedOp, operands: Sequence[Array]) -> Array:
        values: dict[SSAValue, Array] = dict(zip(op.body.block.args, operands, strict=True))
        for inner in op.operations:
            results = self.evaluate_integers(inner, [values[v] for v in inner.operands])
            if self.watch is not None:
                self.watch(inner, results)
            values.update(zip(inner.results, results, strict=True))
        return values[op.yielded]

    def evaluate_integers(self, op: TensorOp, operands: Sequence[Array]) -> Sequence[Array]:
        """The results of an `ftensor` operation, which integers define in one way only."""
        return op.evaluate(*operands)

    def _opaque(self, op: OpaqueOp, operands: Sequence[Array]) -> Sequence[Array]:
        if self.source == "onnx" and _is_real_number_again(op):
            return operands
        results = self.run_host(op, operands)
        if self.source != "onnx":
            return results
        return [
            r.astype(np.float64) if is_float(element_of(v)) else r
            for v, r in zip(op.results, results, strict=True)
        ]

    def _lower(self, op: GraphOp, operands: Sequence[Array]) -> Sequence[Array]:
        """A quantised operation of a TFLite network, by its `ftensor` form."""
        if self.lower_operation is None:
            raise ExecutionFailure(
                f"{op.name} on quantised data has LiteRT's arithmetic, "
                "which only a lowering to ftensor defines",
                layer=layer_name(op) or None,
                hint="give the interpreter `lower_operation`",
            )
        if op not in self._lowered:
            self._lowered[op] = self.lower_operation(op, self.litert_numerics)
        lowered = self._lowered[op]
        if lowered is None:
            return self.run_host(op, operands)
        arguments = [
            _flipped(array)
            for value, array in zip(op.operands, operands, strict=True)
            if not isinstance(value.owner, ConstantOp)
        ]
        results = self.call(lowered, arguments)
        return [
            _flipped(r, back=True) if numpy_dtype(element_of(v)) == np.uint8 else r
            for v, r in zip(op.results, results, strict=True)
        ]


def run_module(
    module: ModuleOp,
    inputs: Inputs,
    *,
    lower_operation: LowerOperation | None = None,
    run_host: RunHost = run_opaque,
) -> dict[str, Array]:
    """Runs a module's `@main` on arrays, by name or in order.

    Args:
        module: of the graph or ftensor level, cut into segments or not.
        inputs: arrays as the network's user gives them.
        lower_operation: needed for quantised TFLite networks at the graph level.
        run_host: as in `Interpreter`.

    Returns:
        Output name -> array, in order.

    Raises:
        ExecutionFailure: an input does not fit, or an operation has no semantics here.
    """
    return Interpreter(module, lower_operation, run_host).run(inputs)


def run_function(
    function: FuncOp,
    arrays: Sequence[Array],
    *,
    source: str = "onnx",
    lower_operation: LowerOperation | None = None,
) -> list[Array]:
    """Runs one function that calls no other, in a module or not.

    Args:
        function: of the graph or ftensor level.
        arrays: its arguments.
        source: the framework whose numerics apply at the graph level.
        lower_operation: needed for quantised operations under TFLite's.

    Raises:
        ExecutionFailure: an operation has no semantics here.
    """
    module = ModuleOp([], {"graph.source": StringAttr(source)})
    return Interpreter(module, lower_operation).call(function, arrays)


def value_names(
    attributes: ArrayAttr[DictionaryAttr] | None, count: int, default: str
) -> list[str]:
    """The names (`graph.name`) of a function's arguments or results; `output_3` without one."""
    names = [f"{default}_{i}" for i in range(count)]
    for i, entry in enumerate(attributes or ()):
        name = entry.data.get("graph.name")
        if isinstance(name, StringAttr):
            names[i] = name.data
    return names


def _in_order(main: FuncOp, inputs: Inputs) -> list[Array]:
    arguments = main.body.block.args
    names = value_names(main.arg_attrs, len(arguments), "input")
    if isinstance(inputs, Mapping):
        unknown = sorted(set(inputs) - set(names))
        missing = [n for n in names if n not in inputs]
        if unknown or missing:
            what = f"no input '{unknown[0]}'" if unknown else f"an input '{missing[0]}'"
            raise ExecutionFailure(f"the network has {what}", hint=f"inputs: {', '.join(names)}")
        given = [inputs[n] for n in names]
    else:
        given = list(inputs)
        if len(given) != len(names):
            raise ExecutionFailure(f"{len(given)} inputs for a network of {len(names)}")
    arrays: list[Array] = []
    for name, argument, array in zip(names, arguments, map(np.asarray, given), strict=True):
        shape, dtype = shape_of(argument), numpy_dtype(element_of(argument))
        fits = len(shape) == array.ndim and all(
            n in (m, DYNAMIC) for n, m in zip(shape, array.shape, strict=True)
        )
        if not fits or array.dtype != dtype:
            raise ExecutionFailure(
                f"the input '{name}' is {dtype.name}{list(shape)}, "
                f"not {array.dtype.name}{list(array.shape)}"
            )
        arrays.append(array)
    return arrays


def _count_uses(function: FuncOp) -> dict[SSAValue, int]:
    count: dict[SSAValue, int] = {}
    for op in function.body.block.ops:
        for value in op.operands:
            count[value] = count.get(value, 0) + 1
    return count


def _flipped(array: Array, *, back: bool = False) -> Array:
    """uint8 as int8 with the top bit flipped, or `back`; other dtypes as they are."""
    if back:
        return (array.view(np.uint8) ^ np.uint8(0x80)) if array.dtype == np.int8 else array
    return (array ^ np.uint8(0x80)).view(np.int8) if array.dtype == np.uint8 else array


def _is_real_number_again(op: OpaqueOp) -> bool:
    """Whether an operator casts a dequantised value to another float: no real number changes."""
    return (
        op.operator.data == "Cast"
        and isinstance(op.operands[0].owner, DequantizeOp)
        and is_float(element_of(op.results[0]))
    )
