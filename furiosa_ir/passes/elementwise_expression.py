"""Expressions of one 8-bit value: what they are in the graph, and their 256 results."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from xdsl.ir import Operation, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of
from furiosa_ir.dialects.graph.elementwise import BinaryOp, TableOp, UnaryOp
from furiosa_ir.dialects.graph.evaluation import evaluate_table
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp
from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.dialects.quant.arithmetic import dequantize, quantize
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.numerics.array import Array

_LONGEST = 64
"""Operations in an expression; a bound on the work, not on what could be tabulated."""

_LONGEST_TEXT = 1 << 9
"""Characters of what is written of an expression."""

_VARIABLE = re.compile(r"\bx\b")

_ELEMENTWISE = (UnaryOp, BinaryOp, QuantizeOp, DequantizeOp)


@dataclass(frozen=True)
class Expression:
    """A value as a function of another one, element by element.

    Attributes:
        source: the 8-bit value it depends on, quantised with one scale.
        result: the value.
        steps: the operations between them, each after those it depends on; constants are scalars.
    """

    source: SSAValue
    result: SSAValue
    steps: tuple[GraphOp, ...]

    @property
    def functions(self) -> list[GraphOp]:
        """The steps that compute something."""
        return [s for s in self.steps if not isinstance(s, DequantizeOp | QuantizeOp)]

    def table(self) -> Array:
        """The stored result for each stored source, from the least to the greatest.

        In double precision; every quantised step rounds ties to even and saturates.
        """
        quantization = quantization_of(self.source)
        assert quantization is not None
        low, high = quantization.storage_range
        stored = np.arange(low, high + 1).astype(quantization.dtype)
        values: dict[SSAValue, Array] = {self.source: stored}
        with np.errstate(all="ignore"):
            for step in self.steps:
                values[step.results[0]] = _evaluate(step, values)
        return values[self.result]

    def text(self) -> str:
        """The expression for people: `mul(x, sigmoid(x))`; what is too long in it is `...`."""
        names: dict[SSAValue, str] = {self.source: "x"}
        for step in self.steps:
            operands = [names.get(v) or _number(v) for v in step.operands]
            if isinstance(step, DequantizeOp):
                name = operands[0]
            elif isinstance(step, QuantizeOp):
                name = f"round({operands[0]})"
            elif isinstance(step, TableOp):
                name = _VARIABLE.sub(lambda _, inner=operands[0]: inner, step.function.data)
            else:
                name = f"{step.name.removeprefix('graph.')}({', '.join(operands)})"
            # x + x, added to itself again and again, would be twice as long each time.
            names[step.results[0]] = name if len(name) <= _LONGEST_TEXT else "..."
        text = names[self.result]
        # That the result is rounded goes without saying.
        return text[6:-1] if isinstance(self.steps[-1], QuantizeOp) else text


def _number(value: SSAValue) -> str:
    constant = constant_of(value)
    return "?" if constant is None else f"{_real(value, constant).reshape(-1)[0]:.6g}"


def _real(value: SSAValue, elements: Array) -> Array:
    quantization = quantization_of(value)
    return (
        elements.astype(np.float64) if quantization is None else dequantize(elements, quantization)
    )


def _evaluate(step: GraphOp, values: dict[SSAValue, Array]) -> Array:
    operands: list[Array] = []
    for operand in step.operands:
        known = values.get(operand)
        if known is None:
            constant = constant_of(operand)
            assert constant is not None
            known = constant.reshape(-1)
        operands.append(_real(operand, known))
    target = quantization_of(step.results[0])
    if isinstance(step, TableOp):
        source = quantization_of(step.x)
        assert source is not None
        return step.table.array[values[step.x].astype(np.int64) - source.storage_range[0]]
    if isinstance(step, QuantizeOp | DequantizeOp):
        real = operands[0]
    else:
        real = evaluate_table(step, operands, 256)
    return real if target is None else quantize(real, target)


def is_byte(value: SSAValue) -> bool:
    """Whether a value is quantised to 8 bits with one scale."""
    quantization: Quantization | None = quantization_of(value)
    return (
        quantization is not None
        and quantization.axis is None
        and quantization.storage in ("i8", "u8")
    )


def find_expression(result: SSAValue) -> Expression | None:
    """The longest expression that makes `result` of one 8-bit value; None if there is none."""
    shape = shape_of(result)
    steps: dict[GraphOp, None] = {}
    frontier: dict[SSAValue, None] = {result: None}
    found: Expression | None = None
    while len(steps) < _LONGEST:
        value = _next(frontier, shape)
        if value is None:
            break
        del frontier[value]
        step = cast("GraphOp", value.owner)
        steps[step] = None
        for operand in step.operands:
            if not _is_scalar(operand):
                frontier[operand] = None
        if len(frontier) == 1:
            (source,) = frontier
            if is_byte(source) and shape_of(source) == shape:
                found = Expression(source, result, tuple(reversed(steps)))
    return found


def _is_scalar(value: SSAValue) -> bool:
    constant = constant_of(value)
    return constant is not None and constant.size == 1


def _next(frontier: dict[SSAValue, None], shape: tuple[int, ...]) -> SSAValue | None:
    """A value of the frontier whose definition may join the expression.

    It must not depend on another one, or the steps would not be in order.
    """
    if any(shape_of(v) != shape for v in frontier):
        return None
    ready = [v for v in frontier if isinstance(v.owner, _ELEMENTWISE)]
    if len(frontier) - len(ready) > 1:
        return None  # two values that nothing can join: no single source is left to be found
    if len(ready) == 1 and len(frontier) == 1:
        return ready[0]
    for value in ready:
        if not any(other is not value and _reaches(other, value) for other in frontier):
            return value
    return None


def _reaches(start: SSAValue, target: SSAValue) -> bool:
    """Whether `start` is computed from `target`, as far as elementwise operations go."""
    pending, seen = [start], set[Any]()
    while pending and len(seen) < _LONGEST:
        value = pending.pop()
        owner = value.owner
        if not isinstance(owner, _ELEMENTWISE) or owner in seen:
            continue
        seen.add(owner)
        for operand in cast("Operation", owner).operands:
            if operand is target:
                return True
            pending.append(operand)
    return False
