"""Whether an operator takes the element types of its inputs, as its schema says."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import onnx
from xdsl.ir import SSAValue

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx.tensors import type_code, type_name
from furiosa_ir.ir.shaped_operation import element_of


class _Input(NamedTuple):
    """What a schema says of an input.

    Attributes:
        name: the input's.
        variable: of its type, the same for all inputs of one type; empty if each is of its own.
        allowed: the types, as "tensor(float)".
    """

    name: str
    variable: str
    allowed: frozenset[str]


def check_types(op_type: str, domain: str, opset: int, operands: Sequence[SSAValue | None]) -> None:
    """Compares the element types of a node's inputs with the operator's schema, if it has one.

    Args:
        op_type: the operator.
        domain: its operator set.
        opset: the version of that.
        operands: the inputs; None for one left out or without a type in the IR.

    Raises:
        ImportFailure: the operator does not take one, or two differ that must not.
    """
    inputs = _inputs(op_type, domain, opset)
    if inputs is None:
        return
    first: dict[str, tuple[str, str]] = {}
    for index, operand in enumerate(operands):
        given = inputs[min(index, len(inputs) - 1)] if inputs else None
        if operand is None or given is None:
            continue
        name = type_name(type_code(element_of(operand)))
        if f"tensor({name})" not in given.allowed:
            raise ImportFailure(f"the operator '{op_type}' takes no {name} as '{given.name}'")
        other, wanted = first.setdefault(given.variable or str(index), (given.name, name))
        if name != wanted:
            raise ImportFailure(
                f"the operator '{op_type}' takes '{other}' and '{given.name}' of one type, "
                f"not {wanted} and {name}"
            )


def _inputs(op_type: str, domain: str, opset: int) -> tuple[_Input, ...] | None:
    """The inputs of the schema; the last one stands for all that follow if it is variadic."""
    try:
        return _inputs_of_schema(op_type, domain, opset)
    except onnx.defs.SchemaError:  # not remembered: a plug-in may register one
        return None


@lru_cache(maxsize=4096)
def _inputs_of_schema(op_type: str, domain: str, opset: int) -> tuple[_Input, ...]:
    schema: Any = onnx.defs.get_schema(op_type, opset, domain)
    constraints = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    made: list[_Input] = []
    for formal in schema.inputs:
        allowed = constraints.get(formal.type_str, [formal.type_str])
        variable = str(formal.type_str) if formal.is_homogeneous else ""
        made.append(_Input(str(formal.name), variable, frozenset(map(str, allowed))))
    return tuple(made)
