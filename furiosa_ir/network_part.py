"""Which part of a network is meant, and of which extents.

A network file may leave extents of its inputs open, and end in operators that nobody has. Both are
settled before anything else reads it: `Part` says how, `importers.onnx.part` and
`importers.tflite.part` do it. It is read by everybody who reads a network (the importers, the
quantiser, `--verify`), and is part of the key in the compiler cache.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast

from furiosa_ir.arguments import positive_integer
from furiosa_ir.errors import ImportFailure

Shape = tuple[int, ...]


class PartArguments(TypedDict, total=False):
    """Keyword arguments of all that takes a network file: which part of it, of which extents.

    Attributes:
        input_shapes: name of an input -> its shape, for inputs whose file leaves extents open.
        dims: name of a symbolic dimension (ONNX) -> its extent, in every input that has it.
        inputs: names of values: they are the inputs, and what computes them is left out.
        outputs: names of values: they are the outputs, and what is behind them is left out.
    """

    input_shapes: Mapping[str, Sequence[int]] | None
    dims: Mapping[str, int] | None
    inputs: Sequence[str] | None
    outputs: Sequence[str] | None


@dataclass(frozen=True)
class Part:
    """A part of a network, with extents for its inputs.

    Attributes:
        input_shapes: (input, shape), by name.
        dims: (symbolic dimension, extent), by name.
        inputs: the values that are its inputs; None: those of the file that the outputs need.
        outputs: the values that are its outputs; None: those of the file.
    """

    input_shapes: tuple[tuple[str, Shape], ...] = ()
    dims: tuple[tuple[str, int], ...] = ()
    inputs: tuple[str, ...] | None = None
    outputs: tuple[str, ...] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is the network as its file has it."""
        return self == WHOLE

    @property
    def is_cut(self) -> bool:
        """Whether it begins or ends elsewhere than its file."""
        return self.inputs is not None or self.outputs is not None

    def as_options(self) -> dict[str, str]:
        """What differs from the whole network, as options of the command line have it."""
        shapes = [f"{name}={','.join(map(str, shape))}" for name, shape in self.input_shapes]
        dims = [f"{name}={extent}" for name, extent in self.dims]
        found = {
            "input_shape": " ".join(shapes),
            "dim": " ".join(dims),
            "inputs": ",".join(self.inputs or ()),
            "outputs": ",".join(self.outputs or ()),
        }
        return {name: text for name, text in found.items() if text}

    def require_whole(self, what: str, file: str | None) -> None:
        """Refuses to take a part of what is no network file.

        Args:
            what: it is, with what cannot be changed: "the shapes of IR text".
            file: its name.

        Raises:
            ImportFailure: a part is asked for.
        """
        if not self.is_whole:
            raise ImportFailure(
                f"{what} cannot be changed, and no part of it be taken",
                file=file,
                hint="give shapes, inputs and outputs where the ONNX or TFLite network is read",
            )


WHOLE = Part()
"""The network as its file has it."""


def part_of(
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    dims: Mapping[str, int] | None = None,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    **unknown: object,
) -> Part:
    """The part that the arguments of a caller mean (`PartArguments`).

    Args:
        input_shapes, dims, inputs, outputs: as there.
        unknown: what the caller has been given besides, and does not know either.

    Raises:
        ImportFailure: an argument is unknown or of a wrong type, or an extent is not a positive
            integer.
    """
    for name in unknown:
        hint = f"a part is chosen by {', '.join(PartArguments.__annotations__)}"
        raise ImportFailure(f"there is no argument '{name}'", hint=hint)
    shapes = {
        name: tuple(_extent(n, f"extent of the input '{name}'") for n in _sequence(shape, name))
        for name, shape in _mapping(input_shapes, "input_shapes").items()
    }
    extents = {
        name: _extent(n, f"extent of the dimension '{name}'")
        for name, n in _mapping(dims, "dims").items()
    }
    return Part(
        tuple(sorted(shapes.items())),
        tuple(sorted(extents.items())),
        _names(inputs, "inputs"),
        _names(outputs, "outputs"),
    )


def _extent(value: object, what: str) -> int:
    return positive_integer(value, what, ImportFailure)


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) for name in cast("Mapping[object, object]", value)
    ):
        raise ImportFailure(f"{what} is no dict by name", hint=f'as {what}={{"x": ...}}')
    return cast("Mapping[str, Any]", value)


def _sequence(value: object, name: str) -> Iterable[object]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ImportFailure(
            f"the shape of the input '{name}' is of type {type(value).__name__}, no list"
        )
    return cast("Iterable[object]", value)


def _names(value: object, what: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, Iterable):
        raise ImportFailure(f"{what} is of type {type(value).__name__}, no list of names")
    names = tuple(cast("Iterable[object]", given))
    if not names or not all(isinstance(name, str) for name in names):
        raise ImportFailure(f"{what} holds no names of values")
    for name in names:
        if names.count(name) > 1:
            raise ImportFailure(f"{what} names '{name}' twice")
    return cast("tuple[str, ...]", names)


# The command line.

_SHAPE = r"(?s)(.+)[=:]\s*\[?\s*(\d+(?:\s*,\s*\d+)*|\d+(?:\s*x\s*\d+)*)\s*\]?\s*"
"""A name may hold either separator itself (input:0): the last one counts."""
_DIM = r"(?s)(.+)[=:]\s*(\d+)\s*"
_MOST_DIGITS = 18


def part_of_options(
    input_shape: Sequence[str] = (),
    dim: Sequence[str] = (),
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> Part:
    """The part that options of the command line mean.

    Args:
        input_shape: each `NAME=1,3,320,320`, `NAME:1,3,320,320` or `NAME=1x3x320x320`.
        dim: each `NAME=320` or `NAME:320`.
        inputs: each a name, or several with commas between.
        outputs: as inputs.

    Raises:
        ImportFailure: one is none of these, or two contradict each other.
    """
    shapes: dict[str, Sequence[int]] = {}
    for text in input_shape:
        name, numbers = _parsed(_SHAPE, text, "--input-shape", "NAME=1,3,320,320")
        shape = [_number(n, text) for n in re.split("[,x]", numbers)]
        _add(shapes, name, shape, "--input-shape")
    dims: dict[str, int] = {}
    for text in dim:
        name, number = _parsed(_DIM, text, "--dim", "NAME=320")
        _add(dims, name, _number(number, text), "--dim")
    return part_of(input_shapes=shapes, dims=dims, inputs=_listed(inputs), outputs=_listed(outputs))


def _parsed(pattern: str, text: str, option: str, as_in: str) -> tuple[str, str]:
    found = re.fullmatch(pattern, text)
    if found is None:
        raise ImportFailure(f"{option} '{text}' makes no sense", hint=f"{option} {as_in}")
    return found[1], found[2]


def _number(digits: str, text: str) -> int:
    if len(digits.strip()) > _MOST_DIGITS:
        raise ImportFailure(f"the extents of '{text}' are too large")
    return int(digits)


def _add(found: dict[str, Any], name: str, value: Any, option: str) -> None:
    if found.setdefault(name, value) != value:
        raise ImportFailure(f"{option} gives '{name}' twice, and not the same")


def _listed(texts: Sequence[str]) -> list[str] | None:
    names = [name.strip() for text in texts for name in text.split(",")]
    return [name for name in names if name] if texts else None


# What both formats do with it.


def missing_value(name: str, known: Collection[str], what: str = "value") -> ImportFailure:
    """That a network has nothing of a name.

    Args:
        name: the name.
        known: those that there are.
        what: they are.
    """
    import difflib  # noqa: PLC0415  # who has no wrong name need not wait for it

    # It takes time that grows with the square of a name's length.
    comparable = [n for n in known if len(n) <= _LONGEST][:_MOST_COMPARED]
    near = difflib.get_close_matches(name[:_LONGEST], comparable, 3)
    if near:
        hint = f"did you mean {' or '.join(map(repr, near))}?"
    elif len(known) <= _FEW:
        hint = f"the network has {', '.join(map(repr, known)) or 'none'}"
    else:
        hint = "furiosa-opt prints the network with the names of its values"
    return ImportFailure(f"there is no {what} '{name}'", hint=hint)


_FEW = 8
_LONGEST = 200
_MOST_COMPARED = 5000


def checked_shape(name: str, shape: Shape, declared: Sequence[int | None] | None) -> Shape:
    """A shape that a caller gives to an input, compared with what the file says of it.

    Args:
        name: the input's.
        shape: what was given.
        declared: the file's extents, None for open ones; None if not even the rank is known.

    Raises:
        ImportFailure: they contradict each other.
    """
    if declared is None:
        return shape
    if len(shape) != len(declared):
        raise ImportFailure(
            f"the input '{name}' has {len(declared)} dimensions, the shape {list(shape)} given to "
            f"it {len(shape)}"
        )
    for index, (given, fixed) in enumerate(zip(shape, declared, strict=True)):
        if fixed not in (None, given):
            raise ImportFailure(
                f"dimension {index} of the input '{name}' is {fixed} in the file, not {given}",
                hint="--batch-size changes a batch of 1"
                if index == 0 and fixed == 1
                else "only open dimensions can be given",
            )
    return shape


def way_out_of_open(name: str, extents: Sequence[int | None]) -> str:
    """The option that fixes the open extents of an input.

    Args:
        name: the input's.
        extents: the file's, None for open ones.
    """
    letters = iter(("H", "W", "D", *(f"N{i}" for i in range(len(extents)))))
    shown = [
        str(n) if n is not None else "1" if i == 0 else next(letters) for i, n in enumerate(extents)
    ]
    return f"--input-shape {name}={','.join(shown)} fixes it"
