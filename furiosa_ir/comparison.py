"""Two arrays that should hold one value, and the first element where they do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from furiosa_ir.errors import FuriosaError
from furiosa_ir.numerics.array import Array

FLOAT_TOLERANCE = 1e-5
"""Of the greatest value: what float32 arithmetic in another order may differ by."""


@dataclass(frozen=True)
class Element:
    """An element that is another than it should be.

    Attributes:
        index: where.
        got, want: what it is and should be.
        share: of the elements of its tensor that differ.
    """

    index: tuple[int, ...]
    got: object
    want: object
    share: float


class Disagreement(FuriosaError):
    """A compiled network computes something else than its source.

    Attributes:
        element: the first that differs, where two tensors of one shape do.
    """

    element: Element | None = None


@dataclass(frozen=True)
class Where:
    """What is compared.

    Attributes:
        layer: the layer(s) that make it; "" if they have no name.
        level: the level of IR whose value is judged, or the name of the program's format.
        what: more about it, for the message: "" or "the load of operand 1".
    """

    layer: str
    level: str
    what: str = ""


@dataclass
class Coverage:
    """What has been compared so far.

    Attributes:
        values: tensors of the last level of IR beside those of the source, over all inputs.
        commands: commands of the program beside the kernels that they carry out.
        elements: elements of all of these.
    """

    values: int = 0
    commands: int = 0
    elements: int = 0

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(
            self.values + other.values,
            self.commands + other.commands,
            self.elements + other.elements,
        )


def as_stored(array: Array) -> Array:
    """Elements as the NPU stores them: uint8 with its top bit flipped, bool as 1 and 0, int8."""
    if array.dtype == np.uint8:
        return (array ^ np.uint8(0x80)).view(np.int8)
    return array.astype(np.int8) if array.dtype == np.bool_ else array


def differences(got: Array, want: Array) -> Array | None:
    """Where two arrays of one shape differ, as a mask; None if nowhere.

    Integers must be equal, whether they are held as uint8 or as int8 with the top bit flipped;
    floats to `FLOAT_TOLERANCE` of the greatest.
    """
    if got.dtype.kind not in "biuf" or want.dtype.kind not in "biuf":
        wrong = np.asarray(got != want)
    elif "f" in got.dtype.kind + want.dtype.kind:
        wrong = ~close(got, want)
    else:
        if got.dtype != want.dtype:
            got, want = as_stored(got), as_stored(want)
        if got.dtype == want.dtype and np.array_equal(got, want):
            return None
        wrong = got != want
    return wrong if wrong.any() else None


def close(got: Array, want: Array) -> Array:
    """Which floats are equal to rounding: relatively, or beside the greatest."""
    x, y = got.astype(np.float64), want.astype(np.float64)
    finite = np.abs(y[np.isfinite(y)])
    greatest = float(finite.max()) if finite.size else 0.0
    return np.isclose(
        x, y, rtol=FLOAT_TOLERANCE, atol=FLOAT_TOLERANCE * greatest + 1e-6, equal_nan=True
    )


def check_equal(got: Array, want: Array, where: Where) -> None:
    """Compares a value with what it should be.

    Raises:
        Disagreement: they differ; it names the first element and both values.
    """
    if got.shape != want.shape:
        raise Disagreement(
            f"the result does not agree: shape {list(got.shape)} instead of {list(want.shape)}",
            layer=where.layer or None,
            hint=_context(where),
        )
    wrong = differences(got, want)
    if wrong is not None:
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise disagreement(index, got[index], want[index], float(wrong.mean()), where)


def disagreement(
    index: tuple[int, ...], got: object, want: object, share: float, where: Where
) -> Disagreement:
    """The error of an element that differs; `share` of all elements do."""
    context = f"{_context(where)}; {share * 100:.3g} % of the elements differ"
    error = Disagreement(
        f"the result does not agree: element {list(index)}: {got} instead of {want}",
        layer=where.layer or None,
        hint=context,
    )
    error.element = Element(index, got, want, share)
    return error


def _context(where: Where) -> str:
    return f"level {where.level}" + (f", {where.what}" if where.what else "")
