"""How large a tensor may be: checked wherever a file names a shape, before memory is taken."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Attribute

from furiosa_ir.errors import ImportFailure
from furiosa_ir.limits import limit, way_out


def words(count: int, element: Attribute | None) -> int:
    """How many elements of at most 32 bits so many of a type stand for.

    Limits of elements mean memory: numbers of 64 bits take it twice.
    """
    return count * max(1, getattr(element, "bitwidth", 0) // 32)


def check_shape(shape: Sequence[int], what: str) -> None:
    """Refuses a shape of too many dimensions or elements.

    Args:
        shape: extents; those that are not positive (unknown, empty) count as 1.
        what: has the shape, for the message.

    Raises:
        ImportFailure: it is beyond `RANK` or `TENSOR_ELEMENTS` of `furiosa_ir.limits`.
    """
    if len(shape) > limit("RANK"):
        raise ImportFailure(f"{what} has {len(shape)} dimensions", hint=way_out("RANK"))
    elements, most = 1, limit("TENSOR_ELEMENTS")
    for extent in shape:
        if extent > 1:
            elements *= extent
            if elements > most:
                raise ImportFailure(
                    f"{what} is too large to be real, with extents {list(shape)}",
                    hint=way_out("TENSOR_ELEMENTS"),
                )
