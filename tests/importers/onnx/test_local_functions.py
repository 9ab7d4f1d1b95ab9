"""Local functions: what calls of them compute is what onnxruntime, or onnx itself, computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx.local_functions import expanded_functions
from furiosa_ir.interpreter import run_module
from furiosa_ir.onnxruntime_session import onnx_session, run_session
from tests.draws import draws
from tests.importers.onnx.networks import imported

node = helper.make_node
DOMAIN = "local"
SHAPE = (2, 3, 4)


def referring(op: str, inputs: Sequence[str], outputs: Sequence[str], **names: Any) -> Any:
    """A node of a body: attribute name -> (the function's attribute, its type)."""
    made: Any = node(op, inputs, outputs)
    for name, (outer, kind) in names.items():
        made.attribute.append(AttributeProto(name=name, ref_attr_name=outer, type=kind))
    return made


def function(
    name: str,
    nodes: Sequence[Any],
    inputs: Sequence[str] = ("a",),
    outputs: Sequence[str] = ("b",),
    *,
    opset: int = 17,
    attributes: Sequence[str] = (),
    defaults: Sequence[Any] = (),
    overload: str = "",
) -> Any:
    """A local function."""
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(DOMAIN, 1)]
    made: Any = helper.make_function(
        DOMAIN, name, list(inputs), list(outputs), list(nodes), imports, list(attributes)
    )
    made.attribute_proto.extend(defaults)
    made.overload = overload
    return made


def call(
    name: str, inputs: Sequence[str] = ("x",), outputs: Sequence[str] = ("y",), **a: Any
) -> Any:
    """A call of a local function."""
    return node(name, inputs, outputs, domain=DOMAIN, **a)


def model_of(nodes: Sequence[Any], functions: Sequence[Any], *, opset: int = 17) -> onnx.ModelProto:
    """A network from x to y."""
    graph = helper.make_graph(
        list(nodes),
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, functions=functions, opset_imports=imports, ir_version=10)


X = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def ours(model: onnx.ModelProto) -> Any:
    """What the network makes of X here."""
    return run_module(imported(model), {"x": X})["y"]


def check(model: onnx.ModelProto) -> None:
    """Compares with onnxruntime."""
    (want,) = run_session(onnx_session(model.SerializeToString()), [X])
    np.testing.assert_allclose(ours(model), want, rtol=1e-5, atol=1e-6)


attribute = helper.make_attribute
F, INT, INTS, S, T = (
    getattr(AttributeProto, n) for n in ("FLOAT", "INT", "INTS", "STRING", "TENSOR")
)


ATTRIBUTES = {"slope": (F, 0.5, 0.25), "axes": (INTS, [1], [0, 2]), "axis": (INT, 0, 1)}
"""Of drawn functions: name -> type, the default, what the call gives."""


@st.composite
def _networks(draw: DrawFn) -> onnx.ModelProto:
    """Functions that call each other; an attribute is given, has a default, both, or neither."""
    functions: list[Any] = []
    for level in range(draw(st.integers(1, 3))):
        nodes = [
            referring("LeakyRelu", ["a"], ["t0"], alpha=("slope", F)),
            referring("ReduceMean", ["t0"], ["t1"], axes=("axes", INTS)),
            referring("Softmax", ["t1"], ["t2"], axis=("axis", INT)),
        ]
        if functions:
            inner = call(f"F{level - 1}", ["t2"], ["b"])
            for name, (kind, *_) in ATTRIBUTES.items():
                if draw(st.booleans()):
                    inner.attribute.append(AttributeProto(name=name, ref_attr_name=name, type=kind))
            nodes.append(inner)
        else:
            nodes.append(node("Identity", ["t2"], ["b"]))
        default = {n for n in ATTRIBUTES if draw(st.booleans())}
        made = function(
            f"F{level}",
            nodes,
            attributes=[n for n in ATTRIBUTES if n not in default],
            defaults=[attribute(n, v) for n, (_, v, _) in ATTRIBUTES.items() if n in default],
        )
        functions.append(made)
    values = {n: v for n, (_, _, v) in ATTRIBUTES.items() if draw(st.booleans())}
    return model_of([call(functions[-1].name, **values)], functions)


@settings(deadline=None, max_examples=draws(30))
@given(_networks())
def test_attributes_come_from_the_call_then_from_the_default(model: onnx.ModelProto) -> None:
    check(model)


@pytest.mark.parametrize("given_value", [None, 3.0])
def test_attributes_in_subgraphs(given_value: float | None) -> None:
    branches = {
        name: helper.make_graph(
            [
                referring("Constant", [], ["c"], value_float=("v", F)),
                # 'a' is the function's input, 't' a value of its body.
                node("Mul", ["a", "c"], ["d"]),
                node(op, ["d", "t"], ["e"]),
            ],
            name,
            [],
            [helper.make_tensor_value_info("e", TensorProto.FLOAT, None)],
        )
        for name, op in (("then_branch", "Add"), ("else_branch", "Sub"))
    }
    nodes = [
        node("Relu", ["a"], ["t"]),
        node("ReduceSum", ["a"], ["s"], keepdims=0),
        node("Sub", ["s", "s"], ["zero"]),
        node("Greater", ["s", "zero"], ["p"]),
        node("If", ["p"], ["b"], **branches),
    ]
    made = function("F", nodes, defaults=[attribute("v", 7.0)])
    arguments = {} if given_value is None else {"v": given_value}
    # Twice: the values of the two bodies have names of their own.
    check(model_of([call("F", outputs=["m"], **arguments), call("F", ["m"])], [made]))


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("value", numpy_helper.from_array(np.array([1, 2, 3, 4], np.float32)), T),
        ("value_float", 2.0, F),
        ("value_floats", [1.0, 2.0, 3.0, 4.0], AttributeProto.FLOATS),
    ],
)
def test_the_value_of_a_constant(name: str, value: Any, kind: int) -> None:
    nodes = [
        referring("Constant", [], ["c"], **{name: ("v", kind)}),
        node("Mul", ["a", "c"], ["b"]),
    ]
    check(model_of([call("F")], [function("F", nodes, defaults=[attribute("v", value)])]))


def test_a_string_and_a_list_that_decide_the_shape() -> None:
    nodes = [
        referring("MaxPool", ["a"], ["b"], kernel_shape=("k", INTS), auto_pad=("pad", S)),
    ]
    made = function("F", nodes, defaults=[attribute("pad", "SAME_LOWER"), attribute("k", [3])])
    check(model_of([call("F")], [made]))
    check(model_of([call("F", k=[2], pad="VALID")], [made]))


def test_inputs_and_outputs_that_are_left_out() -> None:
    made = function(
        "F",
        [node("Clip", ["a", "low", "high"], ["b"]), node("Neg", ["a"], ["n"])],
        ["a", "low", "high"],
        ["n", "b", "a"],
    )
    # onnxruntime takes no call with outputs left out in front.
    zero = node("Constant", [], ["zero"], value_float=0.0)
    for inputs, outputs, want in (
        (["x", "zero"], ["", "y"], np.maximum(X, 0)),
        (["x", "", "zero"], ["", "y"], np.minimum(X, 0)),
        (["x"], ["y"], -X),
        (["x"], ["", "", "y"], X),  # an output that is an input
    ):
        result = ours(model_of([zero, call("F", inputs, outputs)], [made]))
        np.testing.assert_array_equal(result, want)


def test_functions_of_one_name_and_two_overloads() -> None:
    functions = [
        function("F", [node(op, ["a"], ["b"])], overload=name)
        for op, name in (("Neg", "one"), ("Exp", "two"))
    ]
    for name in ("one", "two"):
        proto = call("F")
        proto.overload = name
        check(model_of([proto], functions))


def test_values_of_the_network_are_not_those_of_a_body() -> None:
    nodes = [node("Relu", ["a"], ["t__1"]), node("Sub", ["t__1", "a"], ["b"])]
    network = [call("F", outputs=["t__1"]), node("Exp", ["x"], ["t__1__1"])]
    network.append(node("Add", ["t__1", "t__1__1"], ["y"]))
    check(model_of(network, [function("F", nodes)]))


def test_an_operator_set_that_only_the_function_imports() -> None:
    made = function("F", [node("Gelu", ["a"], ["b"], domain="com.microsoft")])
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    check(model_of([call("F")], [made]))


@pytest.mark.parametrize(
    ("nodes", "opset"),
    [
        ([node("Hardmax", ["a"], ["b"], axis=1)], 11),
        ([node("Softmax", ["a"], ["b"])], 12),
        ([node("Unsqueeze", ["a"], ["t"], axes=[0]), node("Squeeze", ["t"], ["b"], axes=[0])], 11),
        ([node("ReduceMax", ["a"], ["b"], axes=[1], keepdims=0)], 13),
        ([node("Clip", ["a"], ["b"], min=0.0, max=0.5)], 6),
    ],
    ids=lambda value: "-".join(n.op_type for n in value) if isinstance(value, list) else str(value),
)
def test_a_function_of_an_older_operator_set(nodes: list[Any], opset: int) -> None:
    """onnxruntime takes them as of the network's set; the specification says the function's."""
    alone = model_of([], [], opset=opset)
    for proto in nodes:
        copy = onnx.NodeProto.FromString(proto.SerializeToString())
        for names in (copy.input, copy.output):
            names[:] = [{"a": "x", "b": "y"}.get(n, n) for n in names]
        alone.graph.node.append(copy)
    (want,) = run_session(onnx_session(alone.SerializeToString()), [X])
    result = ours(model_of([call("F")], [function("F", nodes, opset=opset)], opset=18))
    np.testing.assert_allclose(result, want, rtol=1e-5, atol=1e-6)


def test_a_network_of_an_older_operator_set_than_its_function() -> None:
    constant = node("Constant", [], ["c"], value_ints=[1])
    made = function("F", [constant, node("ReduceMax", ["a", "c"], ["b"], keepdims=0)], opset=18)
    model = model_of([node("Hardmax", ["x"], ["t"], axis=0), call("F", ["t"])], [made], opset=11)
    flat = X.reshape(-1)
    np.testing.assert_array_equal(ours(model), (flat == flat.max()).reshape(SHAPE).max(1))


@pytest.mark.parametrize(
    ("nodes", "functions", "what"),
    [
        ([call("F", ["x", "x"])], [function("F", [node("Neg", ["a"], ["b"])])], "has 1 inputs"),
        (
            [call("F", k=2)],
            [function("F", [referring("Elu", ["a"], ["b"], alpha=("k", F))], attributes=["k"])],
            "'k' of the function 'F' is of another type than 'alpha' of 'Elu'",
        ),
        ([call("F")], [function("F", [node("Neg", ["a"], ["c"])])], "output 'b' .* nowhere"),
        ([call("F")], [function("F", [node("Add", ["a", "x"], ["b"])])], "nowhere defined"),
    ],
)
def test_a_call_that_does_not_fit(nodes: list[Any], functions: list[Any], what: str) -> None:
    with pytest.raises(ImportFailure, match=what):
        imported(model_of(nodes, functions))


def test_a_graph_that_doubles_at_each_level() -> None:
    """A function that has a graph it is given in two places, given a call of itself, and so on."""
    both = dict.fromkeys(("then_branch", "else_branch"), ("g", AttributeProto.GRAPH))
    made = function("F", [referring("If", ["a"], ["b"], **both)], attributes=["g"])
    output = helper.make_tensor_value_info("b", TensorProto.FLOAT, None)
    graph = helper.make_graph([node("Identity", ["x"], ["b"])], "g", [], [output])
    for _ in range(30):
        graph = helper.make_graph([call("F", ["p"], ["b"], g=graph)], "g", [], [output])
    constant = node("Constant", [], ["p"], value=numpy_helper.from_array(np.array(True)))
    model = model_of([constant, call("F", ["p"], g=graph)], [made])
    assert model.ByteSize() < 10_000
    with pytest.raises(ImportFailure, match="too large"):
        expanded_functions(model, {"": 17, DOMAIN: 1})
