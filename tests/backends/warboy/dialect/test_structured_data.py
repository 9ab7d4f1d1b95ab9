"""The text of structured data: whatever a layer is called, what is printed is read again."""

from __future__ import annotations

from io import StringIO

from hypothesis import example, given
from hypothesis import strategies as st
from xdsl.printer import Printer

from furiosa_ir.backends.warboy.dialect.attributes import CommandAttr, LayersAttr
from furiosa_ir.backends.warboy.dialect.plan import LayerRow, LayerTable
from furiosa_ir.backends.warboy.dialect.structured_data import Structure, print_value
from furiosa_ir.backends.warboy.enf.records import DramFlat, Load, SramFlat
from furiosa_ir.ir.text import parse_module


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("a\x0bb")
@example("\r\0\x7f\x85\u2028")
@example('"\\"\\n\n')
def test_any_name_is_read_again(name: str):
    table = LayerTable((LayerRow(name, "conv", 1, 2),))
    stream = StringIO()
    print_value(table, Printer(stream))
    assert stream.getvalue().isprintable()
    text = f"builtin.module attributes {{a.layers = #warboy.layers<{stream.getvalue()}>}} {{}}"
    (parsed,) = parse_module(text).attributes.values()
    assert isinstance(parsed, LayersAttr)
    assert parsed.data == table


def test_a_records_structure_is_that_of_its_text():
    """Its fields are listed when they are asked for, and are as if they had been written."""
    load = Load(DramFlat("constant", 64, 99), SramFlat(0, 99, 32), 3, waits=(1, 2))
    made = Structure.of(load, without="waits")
    assert made.record is load
    assert [name for name, _ in made.fields] == ["source", "target", "layer"]
    stream = StringIO()
    print_value(made, Printer(stream))
    text = f"builtin.module attributes {{a.load = #warboy.command<{stream.getvalue()}>}} {{}}"
    (parsed,) = parse_module(text).attributes.values()
    assert isinstance(parsed, CommandAttr)
    assert parsed.data.record is None
    assert (parsed.data, hash(parsed.data)) == (made, hash(made))
    assert Structure("load", made.fields[1:]) != made
