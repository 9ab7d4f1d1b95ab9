"""No attribute of an ONNX operator is dropped: it is imported, stays with the operator, or refused.

ONNX's own examples of each operator get each attribute of their schema, with values that the
example does not have. Where the IR stays as it was, onnxruntime must make of both what it made.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, cast

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from xdsl.dialects.builtin import FloatAttr, f64
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, opt_prop_def

from furiosa_ir.dialects.graph import ONNX_OPERATORS
from furiosa_ir.dialects.graph.base import GraphOp, OnnxNode
from furiosa_ir.dialects.graph.elementwise import LeakyReluOp
from furiosa_ir.errors import FuriosaError
from furiosa_ir.importers.onnx import import_onnx
from furiosa_ir.importers.onnx.structural import STRUCTURAL
from furiosa_ir.ir.text import print_module
from furiosa_ir.onnxruntime_session import onnx_session, run_session

OPERATORS = sorted(
    name for name in {*ONNX_OPERATORS, *STRUCTURAL} if "::" not in name and name != "Constant"
)


@cache
def examples() -> dict[str, list[tuple[onnx.ModelProto, list[Any]]]]:
    """ONNX's examples of one node of an operator that we import: (model, inputs)."""
    found: dict[str, list[tuple[onnx.ModelProto, list[Any]]]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    for case in cases:
        model = case.model
        if model is None or len(model.graph.node) != 1 or not case.data_sets:
            continue
        node = model.graph.node[0]
        if node.domain in ("", "ai.onnx") and node.op_type in OPERATORS:
            (inputs, _) = case.data_sets[0]
            if all(isinstance(x, np.ndarray | np.generic) for x in inputs):
                arrays = [np.asarray(x) for x in inputs]
                found.setdefault(node.op_type, []).append((model, arrays))
    return found


def with_constants(model: onnx.ModelProto, inputs: Sequence[Any]) -> onnx.ModelProto:
    """The model, all inputs but the first one constant."""
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    names = [i.name for i in changed.graph.input]
    for name, value in list(zip(names, inputs, strict=True))[1:]:
        changed.graph.initializer.append(numpy_helper.from_array(value, name))
    del changed.graph.input[1:]
    for output in changed.graph.output:
        output.type.tensor_type.ClearField("shape")  # an attribute may change it
    return changed


def values(attribute: Any, given: AttributeProto | None, rank: int) -> Iterator[Any]:
    """Values of the schema's attribute that an example does not have."""
    now = None if given is None else helper.get_attribute_value(given)
    match attribute.type:
        case onnx.defs.OpSchema.AttrType.INT:
            yield from (v for v in (0, 1, 2, -1, 3) if v != now)
        case onnx.defs.OpSchema.AttrType.FLOAT:
            yield from (v for v in (0.25, 2.5) if v != now)
        case onnx.defs.OpSchema.AttrType.STRING:
            known = (
                *("SAME_UPPER", "VALID", "DCR", "CRD", "reflect", "edge", "tanh", "none"),
                *("nearest", "linear", "cubic", "align_corners", "asymmetric", "floor", "ceil"),
                *("half_pixel", "round_prefer_ceil", "not_larger", "up", "wrap"),
            )
            yield from (v for v in known if v.encode() != now)
        case onnx.defs.OpSchema.AttrType.INTS:
            length = len(now) if now else 2
            for v in (1, 2, 3):
                yield from ([v] * n for n in {length, 2, 4} if [v] * n != now)
            yield list(range(rank))
            yield [0] * (length - 1) + [1]
        case onnx.defs.OpSchema.AttrType.FLOATS:
            yield [2.0] * rank
        case _:
            return


def changed(model: onnx.ModelProto, name: str, value: Any) -> onnx.ModelProto:
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    node = copy.graph.node[0]
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])
    return copy


def imported(model: onnx.ModelProto) -> str | None:
    """The IR as text; None if it is refused."""
    try:
        module = import_onnx(model.SerializeToString())
    except FuriosaError:
        return None
    module.attributes.pop("graph.source_hash")
    whole = any(op.name == "graph.opaque" for op in module.walk())
    for op in () if whole else module.walk():  # an opaque operator is its origin
        op.properties.pop("origin", None)
    return print_module(module)


def run(model: onnx.ModelProto, x: Any) -> list[Any] | None:
    """What onnxruntime makes of it; None if it refuses it."""
    try:
        return run_session(onnx_session(model.SerializeToString()), [x])
    except Exception:  # noqa: BLE001  # onnxruntime's share no base
        return None


def dropped(op_type: str, examples_of_it: int) -> list[str]:
    """The attributes of an operator that the importer drops, each with the value that shows it."""
    found: list[str] = []
    for model, inputs in examples().get(op_type, [])[:examples_of_it]:
        base = with_constants(model, inputs)
        text = imported(base)
        if text is None or "graph.opaque" in text:
            continue
        before = run(base, inputs[0])
        version = next(o.version for o in base.opset_import if o.domain in ("", "ai.onnx"))
        schema = onnx.defs.get_schema(op_type, version, "")
        given = {a.name: a for a in base.graph.node[0].attribute}
        for name, attribute in schema.attributes.items():
            for value in values(attribute, given.get(name), inputs[0].ndim):
                other = changed(base, name, value)
                if imported(other) != text:
                    continue
                after = run(other, inputs[0])
                if after is not None and (before is None or not _equal(before, after)):
                    found.append(f"{op_type}-{version} {name} = {value}")
    return found


def _equal(a: list[Any], b: list[Any]) -> bool:
    return all(
        x.shape == y.shape and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")
        for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("op_type", OPERATORS)
def test_no_attribute_is_dropped(op_type: str):
    assert dropped(op_type, 1) == []


@pytest.mark.parametrize("op_type", OPERATORS)
def test_what_no_schema_knows_is_refused_or_stays_whole(op_type: str):
    for model, inputs in examples().get(op_type, [])[:1]:
        text = imported(changed(with_constants(model, inputs), "nobody_knows", 1))
        assert text is None or "graph.opaque" in text


# Plug-ins: operations that inherit from those of the dialect, with attributes of their own.


def _plug_in(base: type[GraphOp]) -> type[GraphOp]:
    """An operation of a plug-in that has a property `extra` more than its base class."""
    namespace = {
        "name": "graph.test_plug_in",
        "extra": opt_prop_def(FloatAttr.constr(f64)),
        "__doc__": "Test.",
        "__module__": __name__,
    }
    return cast("type[GraphOp]", irdl_op_definition(type("PlugInOp", (base,), namespace)))


def _of_plug_in(model: onnx.ModelProto, **more: float) -> onnx.ModelProto:
    """The example as an operator of the plug-in's domain, with the defaults that a schema has."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    node = copy.graph.node[0]
    given = {a.name for a in node.attribute}
    schema = onnx.defs.get_schema(node.op_type, copy.opset_import[0].version, "")
    node.attribute.extend(
        a.default_value
        for name, a in schema.attributes.items()
        if a.default_value.name and name not in given
    )
    node.attribute.extend(helper.make_attribute(name, value) for name, value in more.items())
    node.domain = "com.example"
    copy.opset_import.append(helper.make_opsetid("com.example", 1))
    return copy


def _bases() -> list[tuple[str, type[GraphOp]]]:
    """(operator, base class of what it becomes) for each base class with a shape rule."""
    found: dict[type[GraphOp], str] = {}
    for name, op in sorted(ONNX_OPERATORS.items()):
        if name == "AveragePool":
            continue  # it has an attribute that its base class has not
        for base in op.__mro__[1:]:
            if issubclass(base, GraphOp) and base.result_shapes is not GraphOp.result_shapes:
                found.setdefault(base, name.rpartition("::")[2])
    return [(name, base) for base, name in found.items() if name in OPERATORS]


@pytest.mark.parametrize(("op_type", "base"), _bases())
def test_a_plug_ins_attribute_is_imported_by_its_name(
    op_type: str, base: type[GraphOp], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(ONNX_OPERATORS, f"com.example::{op_type}", _plug_in(base))
    model, inputs = examples()[op_type][0]
    model = with_constants(model, inputs)
    assert "extra = 2.5" in (imported(_of_plug_in(model, extra=2.5)) or "")
    with pytest.raises(FuriosaError, match="the attribute 'other', which graph"):
        import_onnx(_of_plug_in(model, other=2.5).SerializeToString())


def test_an_import_function_that_drops_an_attribute_is_found(monkeypatch: pytest.MonkeyPatch):
    class Dropping(LeakyReluOp):
        """Test."""

        @classmethod
        def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
            return node.emit(LeakyReluOp, node.operands, alpha=0.01)

    monkeypatch.setitem(ONNX_OPERATORS, "LeakyRelu", Dropping)
    (model, inputs) = examples()["LeakyRelu"][0]
    text = imported(changed(with_constants(model, inputs), "alpha", 0.25))
    assert text is not None
    assert "graph.opaque" in text  # on the host, with its alpha


def test_a_contradictory_kernel_shape_is_refused():
    (model, inputs) = examples()["Conv"][0]
    (wrong,) = {
        imported(changed(with_constants(model, inputs), "kernel_shape", [k, k])) for k in (1, 2, 5)
    }
    assert wrong is None


def needless(op_type: str, examples_of_it: int) -> list[str]:
    """The attributes that send an operator to the host although they change nothing."""
    found: list[str] = []
    for model, inputs in examples().get(op_type, [])[:examples_of_it]:
        base = with_constants(model, inputs)
        text = imported(base)
        if text is None or "graph.opaque" in text:
            continue
        version = next(o.version for o in base.opset_import if o.domain in ("", "ai.onnx"))
        schema = onnx.defs.get_schema(op_type, version, "")
        given = {a.name for a in base.graph.node[0].attribute}
        for name, attribute in schema.attributes.items():
            if name in given or not attribute.default_value.name:
                continue
            for value in values(attribute, None, inputs[0].ndim):
                other = changed(base, name, value)
                whole = "graph.opaque" in (imported(other) or "")
                before = run(base, inputs[0]) if whole else None
                after = run(other, inputs[0]) if whole else None
                if before is not None and after is not None and _equal(before, after):
                    found.append(f"{op_type}-{version} {name} = {value}")
    return found


NEEDED = {
    "ArgMax-13 select_last_index = 1",
    "ArgMin-13 select_last_index = 1",
}
"""What is modelled otherwise, and makes the same of the example by chance."""


@pytest.mark.parametrize("op_type", OPERATORS)
def test_attributes_that_change_nothing_send_nothing_to_the_host(op_type: str):
    assert set(needless(op_type, 2)) <= NEEDED


def test_the_axis_of_one_scale_changes_nothing():
    for op_type in ("QuantizeLinear", "DequantizeLinear"):
        model, inputs = next(
            (m, i) for m, i in examples()[op_type] if i[1].ndim == 0 and len(i) == 3
        )
        text = imported(changed(with_constants(model, inputs), "axis", 0))
        assert text is None or "graph.opaque" not in text
