"""Functions of `ftensor` in native code, many in a module, against what they are defined as.

What takes long is each call of IREE's compiler.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue

from furiosa_ir.backends.mlir.dialect import GlobalOp
from furiosa_ir.backends.mlir.executor import load_module
from furiosa_ir.backends.mlir.lowering.conversion import convert_function
from furiosa_ir.backends.mlir.lowering.emission import Parameters
from furiosa_ir.backends.mlir.native_code import compile_text
from furiosa_ir.backends.mlir.text_safety import check_operations
from furiosa_ir.backends.mlir.upstream_module import loaded_globals, parameters_of
from furiosa_ir.backends.mlir.upstream_text import module_text
from furiosa_ir.dialects.ftensor import ConstantOp, TensorOp
from furiosa_ir.ir.constant_file import constant_chunks, constants_of
from furiosa_ir.ir.text import parse_module
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


def single_operations(
    function: FuncOp, inputs: Sequence[Array]
) -> Iterator[tuple[FuncOp, list[Array]]]:
    """Each operation of a function in a function of its own, with the values that it is given.

    Where each is right on the interpreter's values, so is every value of the whole. Returned all
    at once, values that are used as well keep IREE 3.13 from compiling large products.
    """
    block = function.body.block
    values: dict[SSAValue, Array] = dict(zip(block.args, inputs, strict=True))
    for op in block.ops:
        if not isinstance(op, TensorOp):
            continue
        made = op.evaluate(*[values[v] for v in op.operands])
        values.update(zip(op.results, made, strict=True))
        if isinstance(op, ConstantOp):
            continue
        given = [v for v in dict.fromkeys(op.operands) if not isinstance(v.owner, ConstantOp)]
        alone = Block(arg_types=[v.type for v in given])
        known: dict[SSAValue, SSAValue] = dict(zip(given, alone.args, strict=True))
        for value in op.operands:
            if value not in known:
                held = cast("ConstantOp", value.owner).clone()
                alone.add_op(held)
                known[value] = held.result
        copied = op.clone(value_mapper=known)
        alone.add_ops([copied, ReturnOp(*copied.results)])
        types = [a.type for a in alone.args], [r.type for r in copied.results]
        yield FuncOp("f", types, Region(alone)), [values[v] for v in given]


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
        return ModuleOp([*globals_, *(f.clone() for f in self._functions)])

    def differing(self) -> list[int]:
        """The numbers of those of which native code makes something else.

        Raises:
            FormatFailure: a lowering makes what is not safe in vectors of native code.
        """
        upstream = self.module
        functions = [op for op in upstream.ops if isinstance(op, FuncOp)]
        globals_ = loaded_globals(upstream, functions)
        text = module_text(globals_, functions)
        held = b"".join(constant_chunks(parameters_of(globals_)))
        parsed = parse_module(text, constants_of(memoryview(held)))
        check_operations(parsed, "the functions")
        parts = [[op for op in parsed.ops if isinstance(op, kind)] for kind in (GlobalOp, FuncOp)]
        assert module_text(*parts) == text  # pyright: ignore[reportArgumentType]
        code = compile_text(text, "the functions")
        names = [f.sym_name.data for f in self._functions]
        loaded = load_module(code, held if globals_ else b"", names)
        found: list[int] = []
        for i, (run, inputs) in enumerate(zip(loaded, self._inputs, strict=True)):
            made = run(inputs)
            self.elements += sum(array.size for array in made)
            pairs = zip(made, self._wanted[i], strict=True)
            if not all(np.array_equal(a, b) for a, b in pairs):
                found.append(i)
        return found
