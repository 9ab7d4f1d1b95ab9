"""Functions of `ftensor` in native code, many in a module, against what they are defined as.

What takes long is each call of IREE's compiler.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from xdsl.dialects.builtin import FunctionType, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue

from furiosa_ir.backends.mlir.executor import load_module
from furiosa_ir.backends.mlir.lowering.conversion import convert_function
from furiosa_ir.backends.mlir.lowering.emission import Parameters
from furiosa_ir.backends.mlir.native_code import compile_text
from furiosa_ir.backends.mlir.upstream_module import parameters_of, upstream_module, upstream_text
from furiosa_ir.dialects.ftensor import ConstantOp, TensorOp
from furiosa_ir.ir.constant_file import constant_chunks
from furiosa_ir.numerics.array import Array


def defined_results(function: FuncOp, inputs: Sequence[Array]) -> list[Array]:
    """What the operations of a function are defined to give."""
    block = function.body.block
    values: dict[SSAValue, Array] = dict(zip(block.args, inputs, strict=True))
    for op in block.ops:
        if isinstance(op, TensorOp):
            made = op.evaluate(*[values[v] for v in op.operands])
            values.update(zip(op.results, made, strict=True))
    assert isinstance(block.last_op, ReturnOp)
    return [np.array(values[v]) for v in block.last_op.arguments]


def return_everything(function: FuncOp) -> None:
    """Has a function give whatever it computes on the way."""
    block = function.body.block
    assert isinstance(block.last_op, ReturnOp)
    made = [
        result
        for op in block.ops
        if isinstance(op, TensorOp) and not isinstance(op, ConstantOp)
        for result in op.results
    ]
    block.last_op.detach()
    block.add_op(ReturnOp(*made))
    function.function_type = FunctionType.from_lists(
        [a.type for a in block.args], [v.type for v in made]
    )
    function.res_attrs = None


@dataclass(eq=False)
class NativeFunctions:
    """Functions that are compiled together.

    Attributes:
        elements: how many were compared.
    """

    elements: int = 0
    _functions: list[FuncOp] = field(default_factory=list[FuncOp])
    _inputs: list[list[Array]] = field(default_factory=list[list[Array]])
    _wanted: list[list[Array]] = field(default_factory=list[list[Array]])
    _parameters: Parameters = field(default_factory=lambda: Parameters({}))

    def add(self, function: FuncOp, inputs: Sequence[Array]) -> None:
        """Takes a function, which is lowered."""
        self._wanted.append(defined_results(function, inputs))
        self._inputs.append([*inputs])
        function.sym_name = StringAttr(f"f{len(self._functions)}")
        convert_function(function, self._parameters)
        self._functions.append(function)

    @property
    def module(self) -> ModuleOp:
        """What they are in upstream's dialects."""
        globals_ = [op.clone() for op in self._parameters.globals.values()]
        whole = ModuleOp([*globals_, *(f.clone() for f in self._functions)])
        return upstream_module(whole, [f for f in whole.ops if isinstance(f, FuncOp)])

    def differing(self) -> list[int]:
        """The numbers of those of which native code makes something else."""
        upstream = self.module
        code = compile_text(upstream_text(upstream), "the functions")
        held = b"".join(constant_chunks(parameters_of(upstream)))
        names = [f.sym_name.data for f in self._functions]
        loaded = load_module(code, held if self._parameters.globals else b"", names)
        found: list[int] = []
        for i, (run, inputs) in enumerate(zip(loaded, self._inputs, strict=True)):
            made = run(inputs)
            self.elements += sum(array.size for array in made)
            pairs = zip(made, self._wanted[i], strict=True)
            if not all(np.array_equal(a, b) for a, b in pairs):
                found.append(i)
        return found
