"""The xDSL context: which dialects text may use."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from xdsl.context import Context
from xdsl.ir import Dialect

DIALECTS: dict[str, str] = {
    "builtin": "xdsl.dialects.builtin:Builtin",
    "func": "xdsl.dialects.func:Func",
    "quant": "furiosa_ir.dialects.quant:Quant",
    "graph": "furiosa_ir.dialects.graph:Graph",
    "ftensor": "furiosa_ir.dialects.ftensor:FTensor",
    "warboy": "furiosa_ir.backends.warboy.dialect:Warboy",
}
"""Dialect -> "module:object". Names, so that this layer imports no dialect; a plug-in adds here."""


def make_context(*, lazily: bool = True) -> Context:
    """A context with every dialect of the project; unregistered operations are errors.

    Args:
        lazily: import a dialect when text first names it, rather than now.
    """
    context = Context(allow_unregistered=False)
    for name, target in DIALECTS.items():
        context.register_dialect(name, _loader(target))
        # The parser needs builtin's attributes from the first token on.
        if name == "builtin" or not lazily:
            context.load_registered_dialect(name)
    return context


def _loader(target: str) -> Callable[[], Dialect]:
    def load() -> Dialect:
        module, _, name = target.partition(":")
        dialect = getattr(importlib.import_module(module), name)
        assert isinstance(dialect, Dialect)
        return dialect

    return load
