"""A part of an ONNX network, of fixed extents, as `onnx.utils.extract_model` takes it.

In place, on the message, before anything else looks at it: what is left out need not even be valid.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import onnx

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx.node_order import used_names
from furiosa_ir.native_onnx import infer_shapes
from furiosa_ir.native_process import NativeCrash, NativeRefusal
from furiosa_ir.network_part import Part, Shape, checked_shape, missing_value

_LOG = logging.getLogger(__name__)

_SHAPES = 4096
"""Constants of up to this many elements may be shapes, which inference needs."""


def take_part(model: onnx.ModelProto, part: Part) -> None:
    """Leaves of a network what a part says, with the extents that it says.

    Args:
        model: is changed.
        part: which.

    Raises:
        ImportFailure: the network has no such values, inputs or dimensions; or they contradict
            what the file says of them; or an output needs an input that is not among those given.
    """
    if part.is_whole:
        return
    graph: Any = model.graph
    constants = _constants(graph)
    inputs = [i for i in graph.input if i.name not in constants]
    _fix(graph, inputs, part)
    if not part.is_cut:
        return
    made = {str(o): i for i, node in enumerate(graph.node) for o in node.output if o}
    values = dict.fromkeys([*(str(i.name) for i in inputs), *made, *constants])
    for name in (*(part.inputs or ()), *(part.outputs or ())):
        if name not in values:
            raise missing_value(name, values)
    entries = _entries(model, inputs, part, constants)
    ends = [str(o.name) for o in graph.output] if part.outputs is None else list(part.outputs)
    kept, needed = _reached(graph, ends, {str(e.name) for e in entries}, made)
    _leave_inputs(graph, inputs, entries, needed, part)
    _rename(graph, kept, {str(e.name) for e in entries})
    known = {str(v.name): v for v in (*graph.value_info, *graph.output)}
    outputs = [
        onnx.ValueInfoProto.FromString(known[n].SerializeToString())
        if n in known
        else onnx.ValueInfoProto(name=n)
        for n in ends
    ]
    del graph.output[:]
    graph.output.extend(outputs)
    edges = {str(v.name) for v in (*graph.input, *graph.output)}
    _keep(graph.node, [i in kept for i in range(len(graph.node))])
    _keep(graph.initializer, [t.name in needed for t in graph.initializer])
    _keep(graph.sparse_initializer, [t.values.name in needed for t in graph.sparse_initializer])
    _keep(graph.value_info, [v.name in needed and v.name not in edges for v in graph.value_info])


def _constants(graph: Any) -> set[str]:
    sparse = {str(t.values.name) for t in graph.sparse_initializer}
    return {str(t.name) for t in graph.initializer} | sparse


def _keep(entries: Any, is_kept: Sequence[bool]) -> None:
    """Removes entries of a repeated field without copying the others, which may be weights."""
    for index in reversed(range(len(entries))):
        if not is_kept[index]:
            del entries[index]


# Extents.


def _fix(graph: Any, inputs: Sequence[Any], part: Part) -> None:
    """Gives inputs their extents, and symbols theirs wherever inputs or values have them."""
    symbols = dict(part.dims)
    found = {d.dim_param for i in inputs for d in _dims(i) if d.dim_param}
    for symbol in symbols:
        if symbol not in found:
            raise missing_value(symbol, sorted(found), "symbolic dimension")
    by_name = {str(i.name): i for i in inputs}
    given = dict(part.input_shapes)
    # The shape of what becomes an input is for later.
    for name in given:
        if name not in by_name and name not in (part.inputs or ()):
            raise missing_value(name, by_name, "input")
    meant: dict[str, set[int]] = {}
    for name, shape in given.items():
        value = by_name.get(name)
        if value is None:
            continue
        checked_shape(name, shape, _declared(value))
        for extent, dim in zip(shape, _dims(value), strict=False):
            symbol = str(dim.dim_param)
            if symbols.get(symbol, extent) != extent:
                raise ImportFailure(
                    f"the dimension '{symbol}' is given as {symbols[symbol]}, and as {extent} in "
                    f"the shape of the input '{name}'"
                )
            if symbol:
                meant.setdefault(symbol, set()).add(extent)
        _give(value, shape)
    # A symbol has one extent; where the file uses it for two, the shapes that are given count.
    bound = {s: n.copy().pop() for s, n in meant.items() if len(n) == 1} | symbols
    for value in (*inputs, *graph.value_info):
        for dim in _dims(value):
            if dim.dim_param in bound:
                dim.dim_value = bound[dim.dim_param]


def _dims(value: Any) -> Any:
    return value.type.tensor_type.shape.dim if value.type.HasField("tensor_type") else ()


def _declared(value: Any) -> list[int | None] | None:
    """The extents that the file gives an input; None for open ones, or without any rank."""
    if not value.type.HasField("tensor_type"):
        raise ImportFailure(f"the input '{value.name}' is no tensor: it has no shape")
    if not value.type.tensor_type.HasField("shape"):
        return None
    return [
        int(d.dim_value) if d.HasField("dim_value") and d.dim_value >= 0 else None
        for d in _dims(value)
    ]


def _give(value: Any, shape: Shape) -> None:
    target = value.type.tensor_type.shape
    target.ClearField("dim")
    for extent in shape:
        target.dim.add().dim_value = extent


# The part.


def _entries(
    model: Any, inputs: Sequence[Any], part: Part, constants: set[str]
) -> list[onnx.ValueInfoProto]:
    """The part's inputs: of the file, or values that it computes."""
    by_name = {str(i.name): i for i in inputs}
    if part.inputs is None:
        return list(inputs)
    for name in part.inputs:
        if name in constants:
            raise ImportFailure(
                f"'{name}' is a constant of the network",
                hint="inputs are values that the network computes, or inputs of its own",
            )
    inner = [name for name in part.inputs if name not in by_name]
    given = dict(part.input_shapes)
    for value in _typed(model, inner) if inner else ():
        name = str(value.name)
        if name in given:
            checked_shape(name, given[name], _declared(value))
            _give(value, given[name])
        by_name[name] = value
    return [by_name[name] for name in part.inputs]


def _typed(model: Any, names: Sequence[str]) -> list[Any]:
    """Values with the types that onnx infers, or the file declares.

    Raises:
        ImportFailure: neither tells the element type of one.
    """
    small = onnx.ModelProto(ir_version=model.ir_version)
    small.opset_import.extend(model.opset_import)
    small.functions.extend(model.functions)
    graph: Any = small.graph
    graph.name = model.graph.name
    graph.node.extend(model.graph.node)
    listed = {str(i.name) for i in model.graph.input}
    graph.input.extend(model.graph.input)
    for tensor in model.graph.initializer:  # without the weights: their types are enough
        if prod(tensor.dims) <= _SHAPES and not tensor.data_location:
            graph.initializer.add().CopyFrom(tensor)
        elif tensor.name not in listed:
            kind, dims = tensor.data_type, list(tensor.dims)
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, kind, dims))
    graph.value_info.extend(model.graph.value_info)
    graph.output.extend(model.graph.output)
    known = {str(v.name): v for v in (*graph.value_info, *graph.output)}
    try:
        inferred = onnx.ModelProto.FromString(infer_shapes(small.SerializeToString())).graph
        known |= {str(v.name): v for v in (*inferred.value_info, *inferred.output)}
    except (NativeCrash, NativeRefusal) as error:
        _LOG.debug("onnx infers no types: %s", error)
    for name in names:
        if name not in known or not known[name].type.tensor_type.elem_type:
            raise ImportFailure(
                f"nothing tells the element type of '{name}', which is to be an input",
                hint="declare it in the model (graph.value_info)",
            )
    of_file = (*graph.input, *graph.value_info, *graph.output)
    symbols = {d.dim_param for v in of_file for d in _dims(v)}
    for name in names:
        for dim in _dims(known[name]):
            if dim.dim_param not in symbols:  # onnx's inference has made it up
                dim.ClearField("dim_param")
    return [known[name] for name in names]


def _reached(
    graph: Any, ends: Sequence[str], entries: set[str], made: Mapping[str, int]
) -> tuple[set[int], set[str]]:
    """The nodes that values depend on, from inputs on, and all values they use or make."""
    kept: set[int] = set()
    needed: set[str] = set(ends)
    pending = list(ends)
    while pending:
        name = pending.pop()
        index = made.get(name)
        if name in entries or index is None or index in kept:
            continue
        kept.add(index)
        used = used_names(graph.node[index])
        needed.update(used, map(str, graph.node[index].output))
        pending += used
    return kept, needed


def _leave_inputs(
    graph: Any,
    inputs: Sequence[Any],
    entries: Sequence[onnx.ValueInfoProto],
    needed: set[str],
    part: Part,
) -> None:
    """Makes the entries the graph's inputs: all that are named, else those that are needed."""
    names = {str(e.name) for e in entries}
    for value in inputs:
        if value.name in needed and value.name not in names:
            raise ImportFailure(
                f"the outputs need the input '{value.name}', which is not among the inputs given",
                hint="name it too, or a value between",
            )
    if part.inputs is None:
        entries = [e for e in entries if e.name in needed]
    for entry in entries:
        if entry.name not in needed:
            _LOG.warning("the input '%s' is not needed by any of the outputs", entry.name)
    # Old files list constants among the inputs.
    constants = _constants(graph)
    listed = [i for i in graph.input if i.name in constants and i.name in needed]
    copies = [onnx.ValueInfoProto.FromString(e.SerializeToString()) for e in (*entries, *listed)]
    del graph.input[:]
    graph.input.extend(copies)


def _rename(graph: Any, kept: set[int], entries: set[str]) -> None:
    """Renames results that are inputs now, of nodes that stay for their other results."""
    taken = {str(o) for node in graph.node for o in node.output}
    for index in kept:
        node = graph.node[index]
        for place, name in enumerate(node.output):
            if name in entries:
                other = f"{name}/left_out"
                while other in taken:
                    other += "_"
                taken.add(other)
                node.output[place] = other
