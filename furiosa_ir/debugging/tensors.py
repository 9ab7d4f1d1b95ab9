"""What layers make on an input: of a module by the interpreter, of a program between segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import CallOp
from xdsl.ir import Operation, SSAValue

from furiosa_ir.backends import backend_for
from furiosa_ir.debugging.execution import Feeds, Memory, run
from furiosa_ir.errors import FuriosaError
from furiosa_ir.interpreter.elements import is_float, numpy_dtype
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.passes import nearest
from furiosa_ir.ir.shaped_operation import element_of
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import HostSegment, Program
from furiosa_ir.runtime.engines import host_engine
from furiosa_ir.runtime.isolation import SharedProcessEngine
from furiosa_ir.runtime.state import State


class _Enough(Exception):  # no error: how a run is left whose rest nobody wants
    pass


def layers_of(module: ModuleOp) -> list[str]:
    """The names of a module's layers, in order of the operations; constants have none."""
    return list(dict.fromkeys(layer_name(op) for op in _computing(module)))


def _computing(module: ModuleOp) -> list[Operation]:
    return [
        op
        for op in module.walk()
        if op.operands and op.results and not isinstance(op, CallOp) and layer_name(op)
    ]


def chosen_layers(module: ModuleOp, names: Sequence[str]) -> dict[str, str]:
    """The layers that somebody means.

    Args:
        module: any.
        names: names of layers, patterns of them ('*' as in file names), several with commas.

    Returns:
        Layer -> what to call it: as it was asked for, or by all its names where that is a pattern.

    Raises:
        FuriosaError: there is no such layer.
    """
    layers = layers_of(module)
    known = {name for layer in layers for name in (layer, *layer.split("+"))}
    found: dict[str, str] = {}
    for given in names:
        for name in [given] if given in known else given.split(","):
            matching = [
                layer
                for layer in layers
                if any(fnmatchcase(each, name) for each in (layer, *layer.split("+")))
            ]
            if not matching:
                raise FuriosaError(f"there is no layer '{name}'", hint=nearest(name, known))
            for layer in matching:
                found.setdefault(layer, name if name in known else layer)
    return found


def tensors_of_module(
    module: ModuleOp,
    feeds: Feeds,
    *,
    layers: Mapping[str, str] | None = None,
    until: str | None = None,
    memory: Memory | None = None,
) -> dict[str, Array]:
    """What layers make on one input, in order of execution: of several values of a layer the last.

    Quantised values are their stored integers; real numbers have the type that the module gives
    them.

    Args:
        module: operations and kernels, no commands.
        feeds: arrays by name.
        layers: layer -> what to call it; None: all by their names.
        until: the layer behind which nothing is run.
        memory: what other runs have computed.

    Raises:
        ExecutionFailure: an operation has no semantics.
    """
    wanted = {name: name for name in layers_of(module)} if layers is None else layers
    last = {layer_name(op): op for op in _computing(module)}
    found: dict[str, Array] = {}

    def see(op: Operation, results: Sequence[Array]) -> None:
        layer = layer_name(op)
        if not op.operands or isinstance(op, CallOp):
            return
        if layer in wanted and results:
            found[wanted[layer]] = _outside(op.results[-1], results[-1])
        if layer == until and op is last[layer]:
            raise _Enough

    with suppress(_Enough):
        run(module, feeds, see, memory)
    return found


def _outside(value: SSAValue, array: Array) -> Array:
    """An array in the type that its value has; exact arithmetic computes in doubles."""
    element = element_of(value)
    return array.astype(numpy_dtype(element), copy=False) if is_float(element) else array


def tensors_of_program(program: Program, inputs: Sequence[Array]) -> dict[str, Array]:
    """All tensors that a program's segments exchange, by name, and its outputs.

    What is in between lies in the device's memory, in tiles, for as long as it is needed.

    Raises:
        FuriosaError: an array does not fit, or a host segment does not run.
    """
    backend = backend_for(program.target)
    executor = backend.executor(program)
    values: dict[int, Array] = dict(zip(program.inputs, map(np.asarray, inputs), strict=True))
    values.update(State(program).values)
    for index, segment in enumerate(program.segments):
        needed = {tensor: values[tensor] for tensor in segment.reads}
        if isinstance(segment, HostSegment):
            engine = host_engine(segment, SharedProcessEngine)
            made = engine.run([needed[tensor] for tensor in segment.reads])
            values.update(zip(segment.makes, map(np.asarray, made), strict=True))
        else:
            values.update(executor.run_segment(index, needed))
    tensors = {program.tensors[i].name: array for i, array in values.items()}
    outputs = zip(program.output_tensors, program.outputs, strict=True)
    return tensors | {tensor.name: values[i] for tensor, i in outputs}
