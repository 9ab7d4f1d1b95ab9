"""What notebooks show: well-formed HTML without scripts, whatever a file calls its layers."""

from __future__ import annotations

from html.parser import HTMLParser
from types import SimpleNamespace

import onnx
import pytest

import furiosa_ir as fi
from furiosa_ir.notebook.ir_text import difference_html, ir_html
from tests.conftest import DIGITS

ONNX = DIGITS / "digits_qdq_int8.onnx"
HOSTILE = """"><script>alert(1)</script><img src=x onerror='alert(2)'>&amp;</style>\u202e\x1b[31m"""
ELEMENTS = {
    *("style", "div", "span", "i", "b", "p", "small", "ul", "li", "label", "input"),
    *("table", "thead", "tbody", "tr", "th", "td", "details", "summary"),
}
ATTRIBUTES = {"class", "title", "open", "for", "id", "type", "name", "checked"}


class Page(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.titles: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.titles += [value or "" for name, value in attrs if name == "title"]
        if tag != "input":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


PAGES = ["module", "program", "report", "session", "exploration", "sensitivity"]


def layer_of(module: fi.Module) -> str:
    """A quantised layer's name."""
    return next(fi.layer_name(op) for op in module.walk() if isinstance(op, fi.graph.ConvOp))


@pytest.fixture(scope="module")
def hostile() -> SimpleNamespace:
    """A network whose names are markup, and what becomes of it."""
    model = onnx.load(ONNX)
    renamed = {v.name: HOSTILE + v.name for v in (*model.graph.input, *model.graph.output)}
    for value in (*model.graph.input, *model.graph.output):
        value.name = renamed[value.name]
    for node in model.graph.node:
        node.name = HOSTILE + node.name
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = renamed.get(name, name)
    module = fi.load(model)
    program = fi.compile(module)
    session = program.session()
    return SimpleNamespace(
        module=module,
        program=program,
        report=fi.report(program, title=HOSTILE, facts={HOSTILE: HOSTILE}),
        session=session,
        exploration=fi.explore(module),
        sensitivity=fi.sensitivity(module, layers=[layer_of(module)]),
    )


@pytest.mark.parametrize("what", PAGES)
def test_hostile_names_are_text(hostile: SimpleNamespace, what: str):
    shown = Page(getattr(hostile, what)._repr_html_())
    assert shown.open == []
    assert shown.found <= ELEMENTS
    assert shown.attributes <= ATTRIBUTES
    everything = shown.text + " ".join(shown.titles)
    assert "alert(1)" in everything
    assert "\x1b" not in everything
    assert "\u202e" not in everything


def test_a_module_is_its_text_without_large_constants(hostile: SimpleNamespace):
    module = fi.load(ONNX)
    shown = Page(module._repr_html_())
    plain = fi.print_module(module, locations=False, elide=True).partition("// furiosa.digest")[0]
    words = [w for w in plain.split() if w.startswith(("%", "graph."))]
    assert set(words) - set(shown.text.split()) == set()
    assert "sha256" not in shown.text
    assert any("graph.blob<i32 [16]" in title for title in shown.titles)


def test_exploring_shows_each_pass(hostile: SimpleNamespace):
    exploration = hostile.exploration
    shown = Page(exploration._repr_html_())
    assert len(exploration) == len(exploration.steps) > 10
    for step in exploration:
        assert step.name.partition("{")[0] in shown.text
    fused = exploration["fuse-kernels"]
    assert fused.changed
    assert "+" in fused.difference
    assert fused.before == exploration["ftensor-fuse-tables"].after
    assert exploration[-1].after
    with pytest.raises(KeyError):
        exploration["nothing"]
    # Two on one page do not choose for each other.
    first, second = exploration._repr_html_(), exploration._repr_html_()
    assert (
        first.partition('id="')[2].partition('"')[0]
        != second.partition('id="')[2].partition('"')[0]
    )


def test_long_texts_are_cut():
    text = "\n".join(f"%{n} = graph.relu %x : tensor<1xf32>" for n in range(3000))
    assert "1,000 lines more" in Page(ir_html(text)).text
    assert "lines more" not in Page(ir_html(text, None)).text
    assert "2,990 lines more" in Page(difference_html(text, 10)).text


def test_a_closed_session():
    session = fi.compile(ONNX).session()
    assert "image" in Page(session._repr_html_()).text
    session.close()
    assert "closed" in Page(session._repr_html_()).text
