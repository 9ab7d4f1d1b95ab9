"""Calling an operation's `evaluate`, which may be a plug-in's: what it raises, and what it returns.

Whoever wants to know what an operation means calls `evaluate` of this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import numpy as np

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.shaped_operation import DYNAMIC, shape_of, shape_text
from furiosa_ir.numerics.array import Array
from furiosa_ir.plugins import is_ours, plugin_failure, wrong_result
from furiosa_ir.read_only import read_only


def evaluate(op: GraphOp, operands: Sequence[Array]) -> list[Array]:
    """What an operation makes of its operands, by its own `evaluate`: an array for each result.

    A plug-in gets the operands read-only: they may be constants, or have other readers.

    Args:
        op: the operation.
        operands: real numbers as doubles, or plain integers.

    Raises:
        FuriosaError: a plug-in's `evaluate` raises an exception, or returns no such list; it names
            the file, the line and the layer.
        NotImplementedError: the operation has no semantics.
    """
    results = _called(op, operands)
    for value, result in zip(op.results, results, strict=True):
        shape = shape_of(value)
        if not is_ours(type(op)) and DYNAMIC not in shape and result.shape != shape:
            raise _wrong(op, f"shape {shape_text(result.shape)}, not {shape_text(shape)}")
    return results


def evaluate_table(op: GraphOp, operands: Sequence[Array], count: int) -> Array:
    """What a function of one element makes of vectors.

    Args:
        op: the operation; it has one result.
        operands: vectors of `count` elements, or of one.
        count: how many elements the result has.

    Raises:
        FuriosaError: as `evaluate`.
    """
    (made,) = _called(op, operands)
    if made.shape not in ((), (1,), (count,)):
        raise _wrong(op, f"shape {shape_text(made.shape)} for {count} elements")
    return np.broadcast_to(made, (count,))


def _called(op: GraphOp, operands: Sequence[Array]) -> list[Array]:
    if not is_ours(type(op)):
        operands = [read_only(operand) for operand in operands]
    try:
        made = op.evaluate(*operands)
    except Exception as error:
        failure = None if isinstance(error, NotImplementedError) else plugin_failure(error)
        if failure is None:
            raise
        raise failure.at(layer=layer_name(op) or None) from error
    results = _arrays(made)
    if results is None or len(results) != len(op.results):
        raise _wrong(op, f"{_described(made)}, not a list with an array for each result")
    return results


def _wrong(op: GraphOp, what: str) -> Exception:
    return wrong_result(op.evaluate, what, f"the meaning of {op.name}", layer_name(op) or None)


def _arrays(made: object) -> list[Array] | None:
    """A list's elements as arrays; None of what is no list of numbers."""
    if not isinstance(made, list | tuple):
        return None
    arrays: list[Array] = []
    for element in cast("Sequence[Any]", made):
        with suppress(ValueError, TypeError):  # lists of lists of different lengths
            array = np.asarray(element)
            if array.dtype.kind in "biufcV":
                arrays.append(array)
                continue
        return None
    return arrays


def _described(made: object) -> str:
    if isinstance(made, list | tuple):
        elements = cast("Sequence[object]", made)
        kinds = sorted({type(element).__name__ for element in elements})
        found = f"{len(elements)} of type {' and '.join(kinds)}" if kinds else "an empty list"
    elif isinstance(made, np.ndarray):
        found = f"an array of shape {list(cast('Array', made).shape)}"
    else:
        found = "None" if made is None else f"a value of type {type(made).__name__}"
    return found
