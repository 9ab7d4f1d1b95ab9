"""A compiled module as a program: what `@main` calls, bound to tensors and segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FloatAttr,
    IntegerAttr,
    ModuleOp,
    StringAttr,
)
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, StringType, quantization_of
from furiosa_ir.dialects.graph.quantization import StorageCastOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.dialects.graph.variables import AssignVariableOp, ReadVariableOp, variables_of
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.exporters import export_segment
from furiosa_ir.ir.element_types import element_type_of
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.segments import hint_of, is_npu, main_function
from furiosa_ir.ir.shaped_operation import DYNAMIC, element_of, shape_of
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import (
    Binding,
    DeviceSegment,
    HostSegment,
    Layer,
    Program,
    Provenance,
    Tensor,
    Variable,
)

Codegen = Callable[[FuncOp, int], tuple[DeviceSegment, Sequence[Layer]]]
"""From the function of a device segment, and the number of layers before it, to the segment and the
rows of its own layers. Bindings have the number of the function's argument or result for tensor,
rows the segment 0: both are known only here."""


_MOST_MACS = (1 << 64) - 1
"""What a program can say."""


def assemble(
    module: ModuleOp,
    target: str,
    machine: dict[str, int],
    provenance: Provenance,
    codegen: Codegen,
) -> Program:
    """The program of a module whose device segments are ready for code generation.

    Args:
        module: `@main` calls `@npu_K` and `@host_K` only, with storage casts in between, and reads
            and assigns variables.
        target: what it is compiled for.
        machine: the target's parameters, as a program carries them.
        provenance: for the file's header.
        codegen: makes the device segments.

    Raises:
        CompilationFailure: a host segment cannot be written in its framework, or the network was
            not partitioned.
    """
    main = main_function(module)
    functions = {f.sym_name.data: f for f in module.ops if isinstance(f, FuncOp)}
    tensors: list[Tensor] = []
    indices: dict[SSAValue, int] = {}

    def add(value: SSAValue, attributes: DictionaryAttr) -> None:
        indices[value] = len(tensors)
        tensors.append(_tensor(value, attributes))

    for value, attributes in zip(main.body.block.args, _attributes(main.arg_attrs), strict=True):
        add(value, attributes)
    segments: list[DeviceSegment | HostSegment] = []
    layers: list[Layer] = []
    before: dict[str, int] = {}  # variable -> the tensor that holds it when a run begins
    after: dict[str, int] = {}  # the tensor that holds it now
    operations = list(main.body.block.ops)
    for op in operations:
        if isinstance(op, StorageCastOp):
            indices[op.result] = indices[op.x]
        elif isinstance(op, CallOp):
            function = functions[op.callee.string_value()]
            for result, attributes in zip(op.results, _attributes(function.res_attrs), strict=True):
                # The quantised view of an NPU's result carries more than the lowered one. A host's
                # result is quantised itself, and its storage cast is what an NPU takes.
                view = _outer_view(result) if is_npu(function) else result
                add(view, attributes)
                indices[result] = indices[view]
            inputs = tuple(indices[v] for v in op.operands)
            outputs = tuple(indices[v] for v in op.results)
            segment, rows = (
                _bound(codegen(function, len(layers)), inputs, outputs)
                if is_npu(function)
                else _host_segment(function, inputs, outputs)
            )
            segments.append(segment)
            layers.extend(replace(row, segment=len(segments) - 1) for row in rows)
        elif isinstance(op, ReadVariableOp):
            if op.symbol not in after:
                add(op.result, DictionaryAttr({"graph.name": StringAttr(op.symbol)}))
                before[op.symbol] = after[op.symbol] = indices[op.result]
            indices[op.result] = after[op.symbol]
        elif isinstance(op, AssignVariableOp):
            after[op.symbol] = indices[op.x]
        elif not isinstance(op, ReturnOp):
            raise CompilationFailure(
                f"'{op.name}' stands in @main, outside of all segments",
                layer=layer_name(op),
                hint="run graph-partition before the passes of the backend",
            )
    returned = [indices[v] for v in cast("ReturnOp", operations[-1]).arguments]
    names = _name_outputs(tensors, indices, returned, _attributes(main.res_attrs))
    return Program(
        target=target,
        machine=machine,
        tensors=tuple(tensors),
        inputs=tuple(range(len(main.body.block.args))),
        outputs=tuple(returned),
        segments=tuple(segments),
        layers=tuple(layers),
        compiler=provenance.compiler,
        options=provenance.options,
        pipeline=provenance.pipeline,
        source_hash=provenance.source_hash,
        source_framework=provenance.source_framework,
        resumed=provenance.resumed,
        output_names=names,
        variables=tuple(
            # One that nothing reads first is as good as none.
            Variable(name, before[name], after[name], _initial(variable.initial.array))
            for name, variable in variables_of(module).items()
            if name in before
        ),
    )


def _initial(elements: Array) -> bytes:
    return elements.astype(elements.dtype.newbyteorder("<"), copy=False).tobytes()


def _attributes(attributes: ArrayAttr[DictionaryAttr] | None) -> Sequence[DictionaryAttr]:
    return tuple(attributes or ())


def _outer_view(value: SSAValue) -> SSAValue:
    """What the rest of `@main` knows a call's result as: the storage cast of it, if any."""
    for use in value.uses:
        if isinstance(use.operation, StorageCastOp):
            return use.operation.result
    return value


def _tensor(value: SSAValue, attributes: DictionaryAttr) -> Tensor:
    name = cast("StringAttr", attributes.data["graph.name"]).data
    q = quantization_of(value)
    if q is not None:
        dtype, scale, zero_point = np.dtype(q.dtype).name, q.scale, q.zero_point
        return Tensor(name, dtype, _extents(value), scale, zero_point)
    if "graph.scale" in attributes.data:
        return Tensor(
            name,
            cast("StringAttr", attributes.data["graph.dtype"]).data,
            _extents(value),
            cast("FloatAttr", attributes.data["graph.scale"]).value.data,
            cast("IntegerAttr", attributes.data["graph.zero_point"]).value.data,
        )
    return Tensor(name, dtype_name(element_of(value)), _extents(value))


def _extents(value: SSAValue) -> tuple[int, ...]:
    """The shape as a program has it: -1 where only running the network tells."""
    return tuple(-1 if n == DYNAMIC else n for n in shape_of(value))


def dtype_name(element: Attribute) -> str:
    """The name of a plain element type: numpy's or ml_dtypes', or "string"."""
    if isinstance(element, StringType):
        return "string"
    plain = element_type_of(element)
    return str(element) if plain is None else plain.name


def _name_outputs(
    tensors: list[Tensor],
    indices: dict[SSAValue, int],
    returned: Sequence[int],
    attributes: Sequence[DictionaryAttr],
) -> tuple[str, ...]:
    """Gives the tensors that `@main` returns the network's output names.

    An input that is returned, or a tensor returned twice, keeps its first name.

    Returns:
        The names of the outputs, where one of them is not that of its tensor.
    """
    inputs = {i for v, i in indices.items() if not hasattr(v, "op")}
    named: set[int] = set()
    names = [cast("StringAttr", entry.data["graph.name"]).data for entry in attributes]
    for index, name in zip(returned, names, strict=True):
        if index not in named and index not in inputs:
            tensors[index] = replace(tensors[index], name=name)
            named.add(index)
    differ = any(tensors[i].name != name for i, name in zip(returned, names, strict=True))
    return tuple(names) if differ else ()


def _bound(
    made: tuple[DeviceSegment, Sequence[Layer]],
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
) -> tuple[DeviceSegment, Sequence[Layer]]:
    """A device segment whose bindings name the program's tensors."""
    segment, layers = made
    bound = replace(
        segment,
        inputs=tuple(Binding(t, b.address) for t, b in zip(inputs, segment.inputs, strict=True)),
        outputs=tuple(Binding(t, b.address) for t, b in zip(outputs, segment.outputs, strict=True)),
    )
    return bound, layers


def _host_segment(
    function: FuncOp, inputs: tuple[int, ...], outputs: tuple[int, ...]
) -> tuple[HostSegment, Sequence[Layer]]:
    framework, model = export_segment(function)
    rows: list[tuple[str, str, int, str]] = []
    layers: list[Layer] = []
    for op in function.body.block.ops:
        if not isinstance(op, GraphOp) or isinstance(op, ConstantOp | StorageCastOp):
            continue  # no operators of the network
        name = layer_name(op)
        operator = op.operator.data if isinstance(op, OpaqueOp) else op.name.removeprefix("graph.")
        number, sentence, _ = hint_of(op)
        rows.append((operator, name, number, sentence))
        layers.append(Layer(name, operator, 0, min(op.macs(), _MOST_MACS), 0))
    symbol = function.sym_name.data
    return HostSegment(symbol, framework, inputs, outputs, model, tuple(rows)), layers
