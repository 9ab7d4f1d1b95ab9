"""Mutations of ONNX networks that protobuf can still parse."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from tests.fuzz import choices
from tests.fuzz.registry import Mutations

MUTATIONS = Mutations()


def mutate_onnx(data: bytes, rng: random.Random) -> tuple[bytes, list[str]]:
    """The network after one to four mutations, and their names."""
    model = onnx.ModelProto.FromString(data)
    applied = MUTATIONS.apply(model, rng)
    return model.SerializeToString(deterministic=True), applied


def _node(model: Any, rng: random.Random) -> Any:
    return rng.choice(model.graph.node)


def _input_slot(model: Any, rng: random.Random) -> tuple[Any, int]:
    node = rng.choice([n for n in model.graph.node if n.input])
    return node, rng.randrange(len(node.input))


def _values(model: Any) -> list[str]:
    graph = model.graph
    return [
        *(i.name for i in graph.input),
        *(t.name for t in graph.initializer),
        *(o for n in graph.node for o in n.output),
    ]


def _initializer(model: Any, rng: random.Random, *, of: str | None = None) -> Any:
    """A random initialiser; `of` "linear": the scale or zero point of a Q or DQ; "integer"."""
    tensors = list(model.graph.initializer)
    if of == "integer":
        tensors = [t for t in tensors if t.data_type in (TensorProto.INT64, TensorProto.INT32)]
    elif of == "linear":
        names = {
            name
            for n in model.graph.node
            if n.op_type in ("QuantizeLinear", "DequantizeLinear")
            for name in n.input[1:]
        }
        tensors = [t for t in tensors if t.name in names]
    return rng.choice(tensors)


def _set_array(tensor: Any, array: np.ndarray) -> None:
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


@lru_cache
def _operators() -> Sequence[str]:
    return sorted({s.name for s in onnx.defs.get_all_schemas() if not s.domain})


# -- attributes -----------------------------------------------------------------------------------


@MUTATIONS.weight(8)
def attribute_value(model: Any, rng: random.Random) -> None:
    """Another value of an attribute's type."""
    node = rng.choice([n for n in model.graph.node if n.attribute])
    attribute = rng.choice(node.attribute)
    match attribute.type:
        case AttributeProto.INT:
            attribute.i = choices.integer(rng, attribute.i)
        case AttributeProto.FLOAT:
            attribute.f = choices.number(rng, attribute.f)
        case AttributeProto.STRING:
            words = ("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET", "linear", "cubic", "constant")
            attribute.s = rng.choice((*words, choices.name(rng))).encode("utf-8", "replace")
        case AttributeProto.INTS:
            _change_list(attribute.ints, rng, choices.integer)
        case AttributeProto.FLOATS:
            _change_list(attribute.floats, rng, choices.number)
        case AttributeProto.TENSOR:
            _set_array(attribute.t, choices.disturb(rng, numpy_helper.to_array(attribute.t)))
        case _:
            attribute.type = rng.randrange(15)


def _change_list(items: Any, rng: random.Random, value: Callable[..., Any]) -> None:
    kind = rng.randrange(5)
    if kind <= 1 and items:
        i = rng.randrange(len(items))
        items[i] = value(rng, items[i])
    elif kind == 2 and items:
        del items[rng.randrange(len(items)) :]
    elif kind == 3:
        items.append(value(rng))
    else:
        items[:] = [value(rng)] * max(1, len(items))


@MUTATIONS.weight(3)
def drop_attribute(model: Any, rng: random.Random) -> None:
    node = rng.choice([n for n in model.graph.node if n.attribute])
    del node.attribute[rng.randrange(len(node.attribute))]


@MUTATIONS.weight(4)
def add_attribute(model: Any, rng: random.Random) -> None:
    """One that the operator's schema has, or any; possibly a second time."""
    node = _node(model, rng)
    known: list[str] = ["axis", "group", "to", "value"]
    if onnx.defs.has(node.op_type, node.domain):
        known += list(onnx.defs.get_schema(node.op_type, node.domain).attributes)
    key = rng.choice((*known, *known, *known, choices.name(rng)))
    value: Any = rng.choice(
        (
            choices.integer(rng),
            choices.number(rng),
            rng.choice(choices.NAMES),
            [choices.integer(rng) for _ in range(rng.choice((1, 2, 4, 9)))],
            [choices.number(rng) for _ in range(3)],
            numpy_helper.from_array(np.ones(rng.choice(((), (0,), (2, 3))), np.float32)),
        )
    )
    node.attribute.append(helper.make_attribute(key, value))


@MUTATIONS.weight(1)
def attribute_type(model: Any, rng: random.Random) -> None:
    """The declared type no longer is that of the value."""
    node = rng.choice([n for n in model.graph.node if n.attribute])
    rng.choice(node.attribute).type = rng.randrange(15)


# -- initialisers ---------------------------------------------------------------------------------


@MUTATIONS.weight(4)
def initializer_shape(model: Any, rng: random.Random) -> None:
    """Other dimensions over the same bytes, or with bytes that fill them."""
    tensor = _initializer(model, rng)
    dims = choices.shape(rng, list(tensor.dims))
    if rng.random() < 0.6 and all(n >= 0 for n in dims) and prod(dims) <= 1 << 20:
        array = numpy_helper.to_array(tensor)
        if array.size:
            _set_array(tensor, np.resize(array, dims))
            return
    tensor.dims[:] = dims


@MUTATIONS.weight(4)
def initializer_type(model: Any, rng: random.Random) -> None:
    """Another element type over the same bytes, or with converted elements."""
    tensor = _initializer(model, rng, of=rng.choice((None, "linear", "integer")))
    if rng.random() < 0.3:
        tensor.data_type = rng.randrange(30)
        return
    dtypes = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float16, np.float32)
    dtype = rng.choice((*dtypes, np.float64, np.bool_))
    with np.errstate(all="ignore"):
        _set_array(tensor, numpy_helper.to_array(tensor).astype(dtype))
    if tensor.data_type == TensorProto.INT8 and rng.random() < 0.2:
        tensor.data_type = TensorProto.INT4
        tensor.raw_data = tensor.raw_data[: (len(tensor.raw_data) + 1) // 2]


@MUTATIONS.weight(6)
def quantization_parameter(model: Any, rng: random.Random) -> None:
    """A scale that is zero, negative, no number or tiny; a zero point elsewhere."""
    tensor = _initializer(model, rng, of="linear")
    _set_array(tensor, choices.disturb(rng, numpy_helper.to_array(tensor)))


@MUTATIONS.weight(4)
def initializer_values(model: Any, rng: random.Random) -> None:
    tensor = _initializer(model, rng, of=rng.choice((None, "integer")))
    _set_array(tensor, choices.disturb(rng, numpy_helper.to_array(tensor)))


@MUTATIONS.weight(2)
def initializer_storage(model: Any, rng: random.Random) -> None:
    """Missing, duplicate, truncated, external, or stored in another field."""
    graph = model.graph
    index = rng.randrange(len(graph.initializer))
    tensor = graph.initializer[index]
    match rng.randrange(7):
        case 0:
            del graph.initializer[index]
        case 1:
            graph.initializer.add().CopyFrom(tensor)
        case 2:
            tensor.raw_data = tensor.raw_data[: rng.randint(0, len(tensor.raw_data))]
        case 3:
            tensor.data_location = TensorProto.EXTERNAL
            place = rng.choice(("/etc/passwd", "../x", "weights.bin", ""))
            tensor.external_data.add(key="location", value=place)
        case 4:
            tensor.ClearField("raw_data")
            tensor.float_data.extend([choices.number(rng)] * rng.randrange(5))
        case 5:
            tensor.name = choices.name(rng)
        case _:
            graph.input.append(helper.make_tensor_value_info(tensor.name, 1, list(tensor.dims)))


# -- declared types -------------------------------------------------------------------------------


@MUTATIONS.weight(6)
def declared_shape(model: Any, rng: random.Random) -> None:
    graph = model.graph
    value = rng.choice((*graph.input, *graph.input, *graph.output, *graph.value_info))
    tensor = value.type.tensor_type
    old = [d.dim_value for d in tensor.shape.dim]
    match rng.randrange(8):
        case 0:
            tensor.ClearField("shape")
        case 1 if old:
            rng.choice(tensor.shape.dim).dim_param = choices.name(rng)
        case 2 if old:
            rng.choice(tensor.shape.dim).Clear()
        case _:
            tensor.ClearField("shape")
            tensor.shape.SetInParent()
            for n in choices.shape(rng, old):
                tensor.shape.dim.add(dim_value=n)


@MUTATIONS.weight(3)
def declared_type(model: Any, rng: random.Random) -> None:
    graph = model.graph
    value = rng.choice((*graph.input, *graph.output, *graph.value_info))
    match rng.randrange(5):
        case 0:
            value.ClearField("type")
        case 1:
            value.type.sequence_type.elem_type.tensor_type.elem_type = 1
        case _:
            value.type.tensor_type.elem_type = rng.choice((0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 99))


@MUTATIONS.weight(4)
def forget_declarations(model: Any, rng: random.Random) -> None:
    """Nothing but the inputs is declared, so that other shapes contradict nothing."""
    graph = model.graph
    del graph.value_info[:]
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    if rng.random() < 0.7:
        source = rng.choice(graph.input).type.tensor_type.shape.dim
        old = [d.dim_value for d in source]
        i = rng.randrange(len(old))
        source[i].dim_value = rng.choice((0, 1, 2, 3, 5, 17, old[i] + 1, old[i] - 1, 2 * old[i]))


# -- edges ----------------------------------------------------------------------------------------


@MUTATIONS.weight(6)
def rewire(model: Any, rng: random.Random) -> None:
    """An input comes from another value, possibly a later one (a cycle)."""
    node, slot = _input_slot(model, rng)
    node.input[slot] = rng.choice(_values(model))


@MUTATIONS.weight(3)
def swap_edges(model: Any, rng: random.Random) -> None:
    (a, i), (b, j) = _input_slot(model, rng), _input_slot(model, rng)
    a.input[i], b.input[j] = b.input[j], a.input[i]


@MUTATIONS.weight(4)
def drop_edge(model: Any, rng: random.Random) -> None:
    node, slot = _input_slot(model, rng)
    match rng.randrange(4):
        case 0:
            node.input[slot] = ""
        case 1:
            del node.input[slot]
        case 2:
            node.input[slot] = choices.name(rng)
        case _ if node.output:
            del node.output[rng.randrange(len(node.output))]


@MUTATIONS.weight(2)
def duplicate_edge(model: Any, rng: random.Random) -> None:
    node, slot = _input_slot(model, rng)
    node.input.extend([node.input[slot]] * rng.choice((1, 1, 2, 300)))


@MUTATIONS.weight(2)
def rename_output(model: Any, rng: random.Random) -> None:
    """A result has the name of another value, or its users look elsewhere."""
    node = rng.choice([n for n in model.graph.node if n.output])
    slot = rng.randrange(len(node.output))
    node.output[slot] = rng.choice((*_values(model), choices.name(rng)))


@MUTATIONS.weight(4)
def graph_results(model: Any, rng: random.Random) -> None:
    """The network's inputs and outputs: fewer, other, the same twice, intermediate ones."""
    graph = model.graph
    match rng.randrange(6):
        case 0:
            del graph.output[rng.randrange(len(graph.output))]
        case 1:
            del graph.input[rng.randrange(len(graph.input))]
        case 2:
            graph.output.add().CopyFrom(rng.choice((*graph.output, *graph.input)))
        case 3:
            graph.input.add().CopyFrom(rng.choice((*graph.output, *graph.input)))
        case 4:
            graph.output.add(name=rng.choice(_values(model)))
        case _:
            # A part of the network.
            del graph.output[:]
            graph.output.add(name=rng.choice(_values(model)))


# -- nodes ----------------------------------------------------------------------------------------


@MUTATIONS.weight(4)
def drop_node(model: Any, rng: random.Random) -> None:
    """Without a node; mostly, its users take its first input instead."""
    index = rng.randrange(len(model.graph.node))
    node = model.graph.node[index]
    if rng.random() < 0.8 and node.input and node.output:
        for other in model.graph.node:
            for i, name in enumerate(other.input):
                if name == node.output[0]:
                    other.input[i] = node.input[0]
    del model.graph.node[index]


@MUTATIONS.weight(2)
def duplicate_node(model: Any, rng: random.Random) -> None:
    """A second time: with the same results, or with new ones that another node takes."""
    node = _node(model, rng)
    made = copy.deepcopy(node)
    if rng.random() < 0.7:
        made.name = f"{node.name}/again"
        made.output[:] = [f"{o}/again" for o in node.output]
        user, slot = _input_slot(model, rng)
        user.input[slot] = rng.choice(made.output)
    model.graph.node.insert(rng.randint(0, len(model.graph.node)), made)


@MUTATIONS.weight(1)
def swap_nodes(model: Any, rng: random.Random) -> None:
    nodes = list(model.graph.node)
    i, j = rng.sample(range(len(nodes)), 2)
    nodes[i], nodes[j] = nodes[j], nodes[i]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


@MUTATIONS.weight(6)
def change_operator(model: Any, rng: random.Random) -> None:
    """Another operator of ONNX, of one that is in the network, or none."""
    node = _node(model, rng)
    kind = rng.randrange(10)
    if kind <= 3:
        node.op_type = rng.choice(_operators())
    elif kind <= 7:
        alike = [s for s in _operators() if _arity(s) == (len(node.input), len(node.output))]
        node.op_type = rng.choice(alike)
        if rng.random() < 0.6:
            del node.attribute[:]
    elif kind == 8:
        node.op_type = choices.name(rng)
    else:
        domains = ("ai.onnx", "ai.onnx.ml", "com.microsoft", "com.acme", choices.name(rng))
        node.domain = rng.choice(domains)
        if rng.random() < 0.5:
            model.opset_import.add(domain=node.domain, version=1)


@lru_cache(maxsize=1024)
def _arity(operator: str) -> tuple[int, int]:
    schema = onnx.defs.get_schema(operator)
    return schema.min_input, schema.min_output


@MUTATIONS.weight(4)
def insert_operator(model: Any, rng: random.Random) -> None:
    """An operator of one input on an edge."""
    node, slot = _input_slot(model, rng)
    source = node.input[slot]
    result = f"{source}/inserted{rng.randrange(1 << 30)}"
    operator = rng.choice([s for s in _operators() if _arity(s)[0] == 1])
    new = helper.make_node(operator, [source], [result])
    node.input[slot] = result
    model.graph.node.insert(rng.randrange(len(model.graph.node) + 1), new)


@MUTATIONS.weight(1)
def into_subgraph(model: Any, rng: random.Random) -> None:
    """A node in both branches of an If, nested some or many levels deep."""
    node = rng.choice([n for n in model.graph.node if n.output])
    condition = numpy_helper.from_array(np.array(rng.random() < 0.5), "condition/mutated")
    if all(t.name != condition.name for t in model.graph.initializer):
        model.graph.initializer.append(condition)
    for level in range(rng.choice((1, 1, 2, 3, 10, 28))):
        inner = copy.deepcopy(node)
        inner.output[:] = [f"{o}/inner{level}" if o else "" for o in node.output]
        results = [onnx.ValueInfoProto(name=o) for o in inner.output if o]
        branch = onnx.GraphProto(name=f"branch{level}", node=[inner], output=results)
        outputs = list(node.output)
        node.CopyFrom(helper.make_node("If", ["condition/mutated"], outputs, name=node.name))
        other = branch if level < 3 else onnx.GraphProto(name="none", output=results)
        node.attribute.append(helper.make_attribute("then_branch", branch))
        node.attribute.append(helper.make_attribute("else_branch", other))


@MUTATIONS.weight(1)
def into_function(model: Any, rng: random.Random) -> None:
    """A node as a function of the model, possibly one that calls itself."""
    node = rng.choice([n for n in model.graph.node if n.input and all(n.input) and all(n.output)])
    body = copy.deepcopy(node)
    if rng.random() < 0.2:
        body.op_type, body.domain = "Mutated", "local"
    function = helper.make_function(
        "local", "Mutated", list(node.input), list(node.output), [body], list(model.opset_import)
    )
    model.functions.append(function)
    model.opset_import.add(domain="local", version=1)
    node.op_type, node.domain = "Mutated", "local"
    del node.attribute[:]


# -- the model ------------------------------------------------------------------------------------


@MUTATIONS.weight(3)
def operator_set(model: Any, rng: random.Random) -> None:
    match rng.randrange(6):
        case 0:
            del model.opset_import[rng.randrange(len(model.opset_import))]
        case 1:
            model.opset_import.add(domain=choices.name(rng), version=choices.integer(rng))
        case 2:
            model.ir_version = choices.integer(rng)
        case _:
            rng.choice(model.opset_import).version = rng.choice((*range(-1, 30), 2**31, 2**63 - 1))


@MUTATIONS.weight(3)
def names(model: Any, rng: random.Random) -> None:
    """A value or node with another name, wherever it is said."""
    new = choices.name(rng)
    graph = model.graph
    if rng.random() < 0.4:
        _node(model, rng).name = new
        return
    old = rng.choice(_values(model))
    for node in graph.node:
        for said in (node.input, node.output):
            for i, name in enumerate(said):
                if name == old:
                    said[i] = new
    for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        if value.name == old:
            value.name = new
