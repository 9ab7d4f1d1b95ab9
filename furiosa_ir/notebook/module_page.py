"""A module in a notebook: its text."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.ir.text_printer import Style, module_text
from furiosa_ir.notebook.ir_text import ir_html
from furiosa_ir.notebook.markup import page

_STYLE = Style(locations=False, elide=True)


def module_page(module: ModuleOp) -> str:
    """The module as HTML: coloured, without large constants, what is long folded away."""
    return page(ir_html(module_text(module, _STYLE)))


def show_modules() -> None:
    """From now on notebooks show modules so, which are xDSL's own; unless xDSL says how itself."""
    if not hasattr(ModuleOp, "_repr_html_"):
        ModuleOp._repr_html_ = module_page  # pyright: ignore[reportAttributeAccessIssue]
