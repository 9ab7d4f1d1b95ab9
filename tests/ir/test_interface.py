"""Modules whose attributes are left out, wrong or doubled: one sentence, or it works."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    UnitAttr,
    f64,
    i8,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.compiler import compile_source
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.constants import ConstantTable
from furiosa_ir.ir.interface import complete_interface
from furiosa_ir.ir.text import large_constants, parse_module, print_module, write_module
from furiosa_ir.runtime import Session
from tests.conftest import DIGITS
from tests.draws import draws

NETWORKS = ("digits_int8.tflite", "digits_qdq_int8.onnx")
WRONG: tuple[Attribute, ...] = (
    StringAttr(""),
    StringAttr("nonsense"),
    IntegerAttr(-7, i8),
    FloatAttr(float("nan"), f64),
    UnitAttr(),
    ArrayAttr[Attribute]([]),
    ArrayAttr[Attribute]([IntegerAttr(7, i8)]),
    DictionaryAttr({}),
)


@cache
def text_at(network: str, level: str) -> tuple[str, ConstantTable]:
    module = compile_source(DIGITS / network, target_ir=level).module
    table = ConstantTable()
    for constant in large_constants(module):
        table.add(constant)
    return print_module(module), table


def _changed(entries: dict[str, Attribute], data: st.DataObject) -> None:
    """One attribute left out or of another kind."""
    if not entries:
        return
    key = data.draw(st.sampled_from(sorted(entries)))
    if data.draw(st.booleans()):
        del entries[key]
        event(f"without {key}")
    else:
        entries[key] = data.draw(st.sampled_from(WRONG))
        event(f"another {key}")


def _changed_list(
    given: ArrayAttr[DictionaryAttr] | None, data: st.DataObject
) -> ArrayAttr[DictionaryAttr] | None:
    entries = list(given or ())
    match data.draw(st.sampled_from(["entry", "all", "one more"])):
        case "entry" if entries:
            i = data.draw(st.integers(0, len(entries) - 1))
            attributes = dict(entries[i].data)
            _changed(attributes, data)
            entries[i] = DictionaryAttr(attributes)
        case "one more":
            entries += entries[:1]
        case _:
            return None
    return ArrayAttr(entries)


@pytest.mark.parametrize("level", ["graph", "ftensor", "warboy"])
@pytest.mark.parametrize("network", NETWORKS)
@settings(
    max_examples=draws(8),
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_it_is_refused_in_one_sentence_or_compiles(
    network: str, level: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("text") / "m.mlir"
    module = parse_module(*text_at(network, level))
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    where = data.draw(st.sampled_from(["module", "function", "arguments", "results", "operation"]))
    function = data.draw(st.sampled_from(functions))
    match where:
        case "module":
            _changed(module.attributes, data)
        case "function":
            _changed(function.attributes, data)
        case "arguments":
            function.arg_attrs = _changed_list(function.arg_attrs, data)
        case "results":
            function.res_attrs = _changed_list(function.res_attrs, data)
        case _:
            ops = [op for op in function.walk() if op.attributes]
            if ops:
                _changed(data.draw(st.sampled_from(ops)).attributes, data)
    write_module(module, path)
    try:
        program = compile_source(path).enf
    except FuriosaError:
        event("refused")
        return
    assert program is not None
    with Session(read_program(program)) as session:
        session.run([np.zeros(d.shape, d.numpy_dtype) for d in session.inputs()])


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("level", ["graph", "ftensor", "warboy"])
def test_what_has_no_name_gets_one(network: str, level: str) -> None:
    """It was an internal error: `zip() argument 2 is shorter than argument 1`."""
    module = parse_module(*text_at(network, level))
    for op in module.ops:
        if isinstance(op, FuncOp) and op.sym_name.data == "main":
            op.arg_attrs = op.res_attrs = None
    del module.attributes["graph.source"]
    complete_interface(module)
    (main,) = (op for op in module.ops if isinstance(op, FuncOp) and op.sym_name.data == "main")
    assert main.arg_attrs is not None
    assert main.res_attrs is not None
    assert main.arg_attrs.data[0].data == {"graph.name": StringAttr("input_0")}
    assert main.res_attrs.data[0].data == {"graph.name": StringAttr("output_0")}


def test_an_attribute_given_twice() -> None:
    text = 'builtin.module attributes {graph.source = "onnx", graph.source = "tflite"} {}'
    with pytest.raises(FuriosaError, match=r"graph\.source"):
        parse_module(text)


@pytest.mark.parametrize(
    ("key", "value", "dtype"),
    [
        ("graph.zero_point", IntegerAttr(128, 64), "int8"),
        ("graph.zero_point", IntegerAttr(-129, 64), "int8"),
        ("graph.zero_point", IntegerAttr(-1, 64), "uint8"),
        ("graph.zero_point", IntegerAttr(256, 64), "uint8"),
        *(("graph.scale", FloatAttr(x, f64), "int8") for x in (0.0, -1.0, np.nan, np.inf)),
    ],
)
def test_a_quantisation_that_is_none(key: str, value: Attribute, dtype: str) -> None:
    """It was written into the program's header as it stood."""
    module = parse_module(*text_at("digits_int8.tflite", "ftensor"))
    function = next(op for op in module.ops if isinstance(op, FuncOp) and op.arg_attrs)
    assert function.arg_attrs is not None
    entry: dict[str, Attribute] = {"graph.scale": FloatAttr(0.5, f64)}
    entry |= {"graph.zero_point": IntegerAttr(3, 64), "graph.dtype": StringAttr(dtype)}
    function.arg_attrs = ArrayAttr([DictionaryAttr(entry)])
    complete_interface(module)
    function.arg_attrs = ArrayAttr([DictionaryAttr({**entry, key: value})])
    with pytest.raises(FuriosaError, match=f"{key} of input 0 of @"):
        complete_interface(module)
