"""State: what a network keeps from one run to the next.

A variable is a symbol of the module, as IREE's `util.global` is; `@main` reads and assigns it, and
no segment does: a segment is a function of its operands, and who holds the state (a session) is
free to hold several. Operations run in the order in which they stand, so a read behind an
assignment is what was assigned. `graph-partition` leaves at most one read of each variable, in
front of the first segment, and at most one assignment, behind the last.

TFLite's CALL_ONCE, VAR_HANDLE, READ_VARIABLE and ASSIGN_VARIABLE become these, and its variable
tensors (`importers/tflite/variables.py`); ONNX has no state.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar, cast
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
from typing_extensions import override
from xdsl.dialects.builtin import (
    FlatSymbolRefAttrConstr,
    LocationAttr,
    ModuleOp,
    StringAttr,
    SymbolNameConstraint,
    SymbolRefAttr,
    TensorType,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import IRDLOperation, operand_def, prop_def, result_def, traits_def
from xdsl.traits import MemoryReadEffect, MemoryWriteEffect, SymbolOpInterface

from furiosa_ir.dialects.graph.quantization import storage_type
from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.assembly_format import AssemblyOp
from furiosa_ir.ir.constants import BlobAttr, element_name
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.ir.shaped_operation import DYNAMIC, AnyTensor, shape_text
from furiosa_ir.numerics.array import Array


@irdl_op_definition
class VariableOp(AssemblyOp):
    """A tensor that keeps its elements from run to run, and what they are before the first one.

    `type` is a tensor of static shape; `initial` holds its elements (the stored integers, where it
    is quantised).

        graph.variable @ring {type = tensor<1x2x40xi8>, initial = #ring}
    """

    name = "graph.variable"
    LEADING: ClassVar = "sym_name"

    sym_name = prop_def(SymbolNameConstraint())
    type = prop_def(TensorType)
    initial = prop_def(BlobAttr)

    traits = traits_def(SymbolOpInterface())

    @staticmethod
    def of(name: str, tensor: AnyTensor, initial: Array) -> VariableOp:
        """A variable of that name and type, which is `initial` before the first run."""
        return VariableOp.build(
            properties={
                "sym_name": StringAttr(name),
                "type": tensor,
                "initial": BlobAttr.of(np.ascontiguousarray(initial).reshape(initial.shape)),
            }
        )

    @override
    def verification_key(self) -> Hashable | None:
        known = {"sym_name": StringAttr, "type": TensorType, "initial": BlobAttr}
        if self.attributes or {n: type(a) for n, a in self.properties.items()} != known:
            return None
        given = self.initial.data
        return id(self.type), given.shape, given.dtype, type(self.parent_op())

    def verify_(self) -> None:
        shape = self.type.get_shape()
        if DYNAMIC in shape:
            raise VerificationFailure(
                f"the variable '{self.sym_name.data}' has the open shape {shape_text(shape)}"
            )
        if not isinstance(self.parent_op(), ModuleOp):
            raise VerificationFailure("a variable belongs to the module")
        given = self.initial.data
        if given.shape != shape:
            raise VerificationFailure(
                f"the variable '{self.sym_name.data}' is {shape_text(shape)}, its initial elements "
                f"are {list(given.shape)}"
            )
        if element_name(given.dtype) != str(stored(self.type)):
            raise VerificationFailure(
                f"the initial elements of the variable '{self.sym_name.data}' are "
                f"{element_name(given.dtype)}, not {stored(self.type)}"
            )


class _AccessOp(AssemblyOp):
    """What reads and assigns have in common: a variable, and a value of its elements."""

    LEADING: ClassVar = "variable"

    variable = prop_def(FlatSymbolRefAttrConstr)

    WHAT: ClassVar[str]

    @property
    def symbol(self) -> str:
        """The variable's name."""
        return self.variable.string_value()

    def value(self) -> SSAValue:
        """What is read or assigned."""
        raise NotImplementedError

    @override
    def verification_key(self) -> Hashable | None:
        found = self._found()
        names = tuple(self.properties)
        if found is None or self.attributes or names != ("variable",):
            return None
        nested = self.variable.nested_references.data
        types = tuple(map(id, (found.type, *self.operand_types, *self.result_types)))
        return id(self.parent_op()), types, nested

    def _found(self) -> VariableOp | None:
        module = self.get_toplevel_object()
        return _variable(module, self.symbol) if isinstance(module, ModuleOp) else None

    def verify_(self) -> None:
        found = self._found()
        if found is None:
            raise VerificationFailure(f"there is no variable @{self.symbol}")
        parent = self.parent_op()
        if not isinstance(parent, FuncOp) or parent.sym_name.data != "main":
            raise VerificationFailure(
                f"{self.WHAT} the variable @{self.symbol} outside of @main: segments keep no state"
            )
        kept, mine = found.type, cast("AnyTensor", self.value().type)
        if kept.get_shape() != mine.get_shape() or stored(kept) != stored(mine):
            raise VerificationFailure(
                f"{self.WHAT} {mine}, but the variable @{self.symbol} is {kept}"
            )


@irdl_op_definition
class ReadVariableOp(_AccessOp):
    """The elements that a variable has here.

    The result may be quantised otherwise than the variable: it is the same stored integers.

        %0 = graph.read_variable @ring : tensor<1x2x40xi8>
    """

    name = "graph.read_variable"
    WHAT: ClassVar = "reads"

    result = result_def(TensorType)

    traits = traits_def(MemoryReadEffect())

    @staticmethod
    def of(name: str, tensor: Attribute, location: LocationAttr) -> ReadVariableOp:
        """The elements of that variable as a tensor of that type."""
        op = ReadVariableOp.build(
            properties={"variable": SymbolRefAttr(name)}, result_types=[tensor]
        )
        op.location = location
        return op

    def value(self) -> SSAValue:
        return self.result


@irdl_op_definition
class AssignVariableOp(_AccessOp):
    """From here on, and in the next run, the variable has the operand's elements.

    A session keeps what a run assigned only if the run came to its end.

        graph.assign_variable @ring, %0
    """

    name = "graph.assign_variable"
    WHAT: ClassVar = "assigns"

    x = operand_def(TensorType)

    traits = traits_def(MemoryWriteEffect())

    @staticmethod
    def of(name: str, value: SSAValue, location: LocationAttr) -> AssignVariableOp:
        """The assignment of that value to that variable."""
        op = AssignVariableOp.build(operands=[value], properties={"variable": SymbolRefAttr(name)})
        op.location = location
        return op

    def value(self) -> SSAValue:
        return self.x


def variables_of(module: ModuleOp) -> dict[str, VariableOp]:
    """The variables of a module by name, in order."""
    return {op.sym_name.data: op for op in module.ops if isinstance(op, VariableOp)}


_KNOWN: WeakKeyDictionary[ModuleOp, WeakValueDictionary[str, VariableOp]] = WeakKeyDictionary()
"""Of modules whose variables were looked up: thousands of accesses may look for thousands."""


def _variable(module: ModuleOp, name: str) -> VariableOp | None:
    known = _KNOWN.get(module)
    found = None if known is None else known.get(name)
    if found is None or found.parent_op() is not module or found.sym_name.data != name:
        _KNOWN[module] = WeakValueDictionary(variables_of(module))
        found = _KNOWN[module].get(name)
    return found


def stored(tensor: AnyTensor) -> Attribute:
    """The plain type of the elements as they are stored; quantised ones are integers."""
    element = tensor.element_type
    return storage_type(element) if isinstance(element, UniformType) else element


OPERATIONS: tuple[type[IRDLOperation], ...] = (VariableOp, ReadVariableOp, AssignVariableOp)
"""No operators of a network: they compute nothing, so no pass and no lowering looks for them."""
