"""How IR is shown between passes: whole, by function, or the operations of some layers."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir.errors import readable
from furiosa_ir.instrumentation.layers import LayerFilter, layer_texts
from furiosa_ir.ir.history import HISTORY
from furiosa_ir.ir.text import print_module
from furiosa_ir.ir.text_printer import Style, module_text

PLAIN = Style(locations=False)
"""As people read IR that says by the names of its values which layer is which."""


@dataclass(frozen=True)
class View:
    """What of a module is shown, and how.

    Attributes:
        style: how it is printed.
        by_function: whether each function is shown by itself.
        layers: the layers whose operations are shown; None: everything is.
    """

    style: Style = PLAIN
    by_function: bool = False
    layers: LayerFilter | None = None

    def texts(self, module: ModuleOp) -> dict[str, str]:
        """What is shown, by function; all of it under "" where that is not asked for."""
        if self.by_function or self.layers is not None:
            return self._parts(module, self.style)
        style = self.style
        text = print_module(
            module, locations=style.locations, generic=style.generic, elide=style.elide
        )
        return {"": text}

    def comparable(self, module: ModuleOp, *, elide: bool) -> dict[str, str]:
        """What is shown, without the history, which each pass changes.

        Args:
            module: what is shown.
            elide: whether large constants are left out; else they are there by their digests.
        """
        style = replace(self.style, elide=elide)
        if self.by_function or self.layers is not None:
            return self._parts(module, style)
        with _without_history(module):
            return {"": module_text(module, style)}

    def _parts(self, module: ModuleOp, style: Style) -> dict[str, str]:
        if self.layers is not None:
            parts = layer_texts(module, self.layers, style)
            if self.by_function:
                return parts
            return {
                "": "\n".join(parts.values()) or readable(f"// no operation of layer {self.layers}")
            }
        return {
            function.sym_name.data: module_text(function, style)
            for function in module.ops
            if isinstance(function, FuncOp)
        }


@contextmanager
def _without_history(module: ModuleOp) -> Generator[None]:
    """Within it the module has no history, which is in its old place among the attributes later."""
    attributes = dict(module.attributes)
    module.attributes.pop(HISTORY, None)
    try:
        yield
    finally:
        module.attributes.clear()
        module.attributes.update(attributes)
