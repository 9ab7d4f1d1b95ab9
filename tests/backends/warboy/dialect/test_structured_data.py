"""The text of structured data: whatever a layer is called, what is printed is read again."""

from __future__ import annotations

from io import StringIO

from hypothesis import example, given
from hypothesis import strategies as st
from xdsl.printer import Printer

from furiosa_ir.backends.warboy.dialect.attributes import LayersAttr
from furiosa_ir.backends.warboy.dialect.plan import LayerRow, LayerTable
from furiosa_ir.backends.warboy.dialect.structured_data import print_value
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
