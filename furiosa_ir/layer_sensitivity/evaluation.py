"""Running a real form with some of its layers rounded, what is the same computed once.

    evaluation = Evaluation(form)
    state = evaluation.initial_state()
    base = evaluation.run(feeds, rounded=False, state=state)
    outputs = evaluation.vary(base, layer)       # as base, but for that layer

A run keeps every value. What varies from it is computed from the layer on, and only what depends on
the layer; where its results happen to be the same, nothing is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Operation, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.variables import AssignVariableOp, ReadVariableOp
from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.dialects.quant.arithmetic import dequantize, quantize
from furiosa_ir.interpreter import Interpreter
from furiosa_ir.interpreter.run import value_names
from furiosa_ir.ir.segments import main_function
from furiosa_ir.layer_sensitivity.real_form import RealForm, Site
from furiosa_ir.numerics.array import Array
from furiosa_ir.verification.host_operator import run_host_operator


@dataclass(frozen=True)
class Base:
    """A run of the whole network.

    Attributes:
        values: all of them.
        rounded: whether layers round.
        outputs: in order.
        state: what variables hold behind it.
    """

    values: Mapping[SSAValue, Array]
    rounded: bool
    outputs: list[Array]
    state: Mapping[str, Array]


class Evaluation:
    """Evaluates a real form by the interpreter, in float32.

    Args:
        form: the network.
    """

    def __init__(self, form: RealForm) -> None:
        self._interpreter = Interpreter(form.module, run_host=run_host_operator)
        main = main_function(form.module)
        self._arguments = main.body.block.args
        self.inputs = value_names(main.arg_attrs, len(self._arguments), "input")
        returned = cast("ReturnOp", main.body.block.last_op).operands
        self.outputs = value_names(main.res_attrs, len(returned), "output")
        self._returned = list(returned)
        self._layer_of: dict[Operation, int] = {}
        self._site_of: dict[Operation, Site] = {}
        self._passed: set[Operation] = set()
        for index, layer in enumerate(form.layers):
            for site in layer.sites:
                self._site_of[site.dequantize] = site
                self._layer_of[site.dequantize] = index
                self._passed.add(site.quantize)
                inside = site.dequantize.x.owner
                if isinstance(inside, Operation):  # the storage cast in between
                    self._passed.add(inside)
        self._constants: dict[SSAValue, Array] = {}
        self._operations: list[Operation] = []
        for op in main.body.block.ops:
            if isinstance(op, ReturnOp):
                break
            is_constant = isinstance(op, GraphOp) and all(v in self._constants for v in op.operands)
            if is_constant and op not in self._passed and op not in self._site_of:
                made = self._interpreter.evaluate(op, [self._constants[v] for v in op.operands])
                self._constants.update(zip(op.results, made, strict=True))
            else:
                self._operations.append(op)
        self._constants = {v: a for v, a in self._constants.items() if self._is_read_later(v)}
        self._last_use = {v: at for at, op in enumerate(self._operations) for v in op.operands}
        self._first = [
            min(self._operations.index(site.dequantize) for site in layer.sites)
            for layer in form.layers
        ]

    def _is_read_later(self, value: SSAValue) -> bool:
        return any(
            not isinstance(use.operation, GraphOp)
            or not all(r in self._constants for r in use.operation.results)
            for use in value.uses
        )

    def initial_state(self) -> dict[str, Array]:
        """What the network's variables hold before the first run."""
        return dict(self._interpreter.state)

    def run(
        self,
        feeds: Mapping[str, Array],
        *,
        rounded: bool,
        state: Mapping[str, Array],
        but: Collection[int] = (),
    ) -> Base:
        """The whole network.

        Args:
            feeds: its inputs.
            rounded: whether layers round.
            state: what variables hold before it.
            but: layers that do the other.

        Raises:
            ExecutionFailure: an operation cannot be computed.
        """
        held = dict(state)
        values = dict(self._constants)
        values.update(
            (a, np.asarray(feeds[n])) for n, a in zip(self.inputs, self._arguments, strict=True)
        )
        for op in self._operations:
            rounds = (self._layer_of.get(op) in but) != rounded
            results = self._evaluate(op, [values[v] for v in op.operands], held, rounds=rounds)
            values.update(zip(op.results, results, strict=True))
        return Base(values, rounded, [values[v] for v in self._returned], held)

    def vary(self, base: Base, layer: int) -> list[Array]:
        """The outputs where one layer does the other than the rest: rounds, or does not round.

        Args:
            base: the run that it varies; where it does nothing else, arrays are its own.
            layer: its index.

        Raises:
            ExecutionFailure: an operation cannot be computed.
        """
        changed: dict[SSAValue, Array] = {}
        held: dict[str, Array] = {}
        for at in range(self._first[layer], len(self._operations)):
            op = self._operations[at]
            mine = self._layer_of.get(op) == layer
            read = isinstance(op, ReadVariableOp) and op.symbol in held
            if not mine and not read and not any(v in changed for v in op.operands):
                continue
            operands = [changed[v] if v in changed else base.values[v] for v in op.operands]
            results = self._evaluate(op, operands, held, rounds=mine != base.rounded)
            for value, array in zip(op.results, results, strict=True):
                same = op in self._site_of and np.array_equal(array, base.values[value])
                if not same:
                    changed[value] = array
            for value in op.operands:
                if self._last_use[value] == at and value not in self._returned:
                    changed.pop(value, None)
        return [changed[v] if v in changed else base.values[v] for v in self._returned]

    def _evaluate(
        self, op: Operation, operands: Sequence[Array], state: dict[str, Array], *, rounds: bool
    ) -> Sequence[Array]:
        match op:
            case ReadVariableOp():
                return [state[op.symbol]]
            case AssignVariableOp():
                state[op.symbol] = operands[0]
                return []
            case _ if op in self._passed:
                return operands  # real numbers come to where they are rounded
            case _ if op in self._site_of:
                site = self._site_of[op]
                return [round_to(operands[0], site.written, site.read)] if rounds else operands
            case _:
                return self._interpreter.evaluate(op, operands)


def round_to(x: Array, written: Quantization, read: Quantization | None = None) -> Array:
    """The real numbers that remain of others where they are stored as integers.

    Args:
        x: real numbers; computed in their type.
        written: how they become integers.
        read: what the integers are taken for; None: for what they are.
    """
    read = written if read is None else read
    if written.axis is not None or read != written:
        return dequantize(quantize(x, written), read).astype(x.dtype)
    low, high = written.storage_range
    result = np.asarray(x / x.dtype.type(written.scale))
    np.rint(result, out=result)
    np.clip(result, low - written.zero_point, high - written.zero_point, out=result)
    result *= x.dtype.type(written.scale)
    return result
