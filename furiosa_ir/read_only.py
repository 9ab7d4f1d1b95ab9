"""Arrays that are given to code of the user's: it may read them, others need them as they are."""

from __future__ import annotations

from furiosa_ir.numerics.array import Array


def read_only(array: Array) -> Array:
    """A view that nobody can write through."""
    view = array.view()
    view.flags.writeable = False
    return view
