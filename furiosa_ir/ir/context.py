"""The xDSL context: which dialects text may use."""

from __future__ import annotations

import importlib
from functools import partial

from xdsl.context import Context
from xdsl.ir import Dialect

from furiosa_ir.ir.extensions import dialects


def make_context(*, lazily: bool = True) -> Context:
    """A context with every dialect of the project; unregistered operations are errors.

    Args:
        lazily: import a dialect when text first names it, rather than now.
    """
    context = Context(allow_unregistered=False)
    for name, target in dialects().items():
        context.register_dialect(name, partial(load_dialect, target))
        # The parser needs builtin's attributes from the first token on.
        if name == "builtin" or not lazily:
            context.load_registered_dialect(name)
    return context


def load_dialect(target: str) -> Dialect:
    """The dialect that "module:object" names."""
    module, _, name = target.partition(":")
    dialect = getattr(importlib.import_module(module), name)
    assert isinstance(dialect, Dialect)
    return dialect
