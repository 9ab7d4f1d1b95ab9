"""The algebra of views: how a tensor's axes become (N, H, W, C).

A view is a string of the letters N, H, W, C, one for each axis ("NCHW"; "HC" for a matrix). Axes
that share a letter are folded, the last one fastest; they must be neighbours. Axes of extent 1 mean
nothing, whatever their letter. See `dialects.warboy.plan`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from furiosa_ir.backends.warboy.dialect.plan import Shape4

AxisRuns = tuple[tuple[int, int], ...]
"""(extent, stride in bytes) of the runs along an axis, the outermost first.

One entry where one stride says where the elements lie, none where there is but one element.
"""

LETTERS = "NHWC"
"""The four dimensions, in the order of `Shape4`."""

_DEFAULT = ("", "C", "HC", "HWC", "NHWC")


def default_view(shape: Sequence[int]) -> str:
    """The view of a tensor that no contraction touches: the last axes are H, W, C.

    H and C are spread over slices, W never is, so of the two in front of C the longer one is H.
    """
    rank = len(shape)
    view = _DEFAULT[rank] if rank <= 4 else "N" * (rank - 3) + "HWC"
    if rank > 2 and shape[-3] < shape[-2]:
        return view[:-3] + "WHC"
    return view


def shape4(shape: Sequence[int], view: str) -> Shape4:
    """The extents along (N, H, W, C)."""
    n, h, w, c = (
        math.prod(extent for extent, d in zip(shape, view, strict=True) if d == letter)
        for letter in LETTERS
    )
    return n, h, w, c


def layout_key(shape: Sequence[int], view: str) -> tuple[tuple[str, int], ...]:
    """What two (shape, view) pairs share if one is but a renaming of the other's axes.

    The (letter, extent) of the dimensions in row-major order, unit axes left out, folded axes
    multiplied.
    """
    key: list[tuple[str, int]] = []
    for extent, letter in zip(shape, view, strict=True):
        if extent == 1:
            continue
        if key and key[-1][0] == letter:
            key[-1] = (letter, key[-1][1] * extent)
        else:
            key.append((letter, extent))
    return tuple(key)


def is_valid(shape: Sequence[int], view: str) -> bool:
    """Whether every letter stands for neighbouring axes."""
    letters = [letter for letter, _ in layout_key(shape, view)]
    return len(letters) == len(set(letters))


def through_reshape(shape: Sequence[int], view: str, target: Sequence[int]) -> str | None:
    """The view under which the reshaped tensor has the same four dimensions; None if none has."""
    key = list(layout_key(shape, view))
    letters: list[str] = []
    index, left = 0, key[0][1] if key else 1
    for extent in target:
        if extent == 1:
            letters.append("")
            continue
        if index < len(key) and left == 1:
            index += 1
            left = key[index][1] if index < len(key) else 1
        if index >= len(key) or left % extent:
            return None
        left //= extent
        letters.append(key[index][0])
    return name_unit_axes(letters)


def name_unit_axes(letters: list[str]) -> str:
    """Unit axes ("") get letters that are still free, so that broadcasting partners fit."""
    used = {letter for letter in letters if letter}
    free = [letter for letter in "CWHN" if letter not in used]
    named = list(letters)
    for i in reversed(range(len(named))):
        if not named[i]:
            named[i] = free.pop(0) if free else "N"
    return "".join(named)


def through_transpose(shape: Sequence[int], view: str, perm: Sequence[int]) -> str | None:
    """The view of the transposed tensor; None if the permutation tears folded axes apart."""
    moved = "".join(view[p] for p in perm)
    last: dict[str, int] = {}
    for p in perm:
        if shape[p] != 1:
            if last.get(view[p], -1) > p:
                return None
            last[view[p]] = p
    return moved if is_valid([shape[p] for p in perm], moved) else None


def before_transpose(view: str, perm: Sequence[int]) -> str:
    """The view of x under which transposing x by `perm` gives `view`."""
    source = [""] * len(perm)
    for i, p in enumerate(perm):
        source[p] = view[i]
    return "".join(source)


def position4(shape: Sequence[int], view: str, index: Sequence[int]) -> Shape4:
    """Where the element `index` of a tensor lies along (N, H, W, C)."""
    position = dict.fromkeys(LETTERS, 0)
    inner = dict.fromkeys(LETTERS, 1)
    for i in reversed(range(len(shape))):
        letter = view[i]
        position[letter] += index[i] * inner[letter]
        inner[letter] *= shape[i]
    n, h, w, c = (position[letter] for letter in LETTERS)
    return n, h, w, c


def shifted(position: Shape4, offset: Shape4) -> Shape4:
    """A position counted from somewhere else: the sum."""
    (n, h, w, c), (dn, dh, dw, dc) = position, offset
    return n + dn, h + dh, w + dw, c + dc


def is_window(whole: Sequence[int], part: Sequence[int], view: str) -> bool:
    """Whether a part of a tensor is a window of its four dimensions.

    Along a letter only the outermost axis may be cut; axes of extent 1 outside of it do not count.
    """
    for letter in LETTERS:
        axes = [i for i, d in enumerate(view) if d == letter and whole[i] != 1]
        if any(part[i] != whole[i] for i in axes[1:]):
            return False
    return True


def strides4(shape: Sequence[int], view: str, strides: Sequence[int]) -> Shape4 | None:
    """Strides along (N, H, W, C) of a tensor with these axis strides (both in bytes).

    None if the strides of folded axes do not combine into one.
    """
    axes = [((extent, stride),) for extent, stride in zip(shape, strides, strict=True)]
    folded = folded_runs(view, axes)
    if max(map(len, folded)) > 1:
        return None
    n, h, w, c = (runs[0][1] if runs else 0 for runs in folded)
    return n, h, w, c


def folded_runs(view: str, axes: Sequence[AxisRuns]) -> tuple[AxisRuns, ...]:
    """Where the elements along each of (N, H, W, C) lie, of those along a tensor's axes."""
    folded: dict[str, AxisRuns] = dict.fromkeys(LETTERS, ())
    for letter, runs in zip(view, axes, strict=True):
        folded[letter] = _combined((*folded[letter], *runs))
    return tuple(folded[letter] for letter in LETTERS)


def _combined(runs: AxisRuns) -> AxisRuns:
    """Runs with as few entries as say the same; entries of extent 1 say nothing."""
    combined: list[tuple[int, int]] = []
    for extent, stride in runs:
        if extent == 1:
            continue
        if combined and combined[-1][1] == stride * extent:
            combined[-1] = (combined[-1][0] * extent, stride)
        else:
            combined.append((extent, stride))
    return tuple(combined)


def axis_strides(shape: Sequence[int], view: str, strides: Shape4) -> tuple[int, ...]:
    """Strides of the axes from those of (N, H, W, C): the reverse of `strides4`."""
    inner = dict(zip(LETTERS, strides, strict=True))
    result = [0] * len(shape)
    for i in reversed(range(len(shape))):
        result[i] = inner[view[i]]
        inner[view[i]] *= shape[i]
    return tuple(result)


def row_major(shape: Sequence[int], element: int) -> tuple[int, ...]:
    """Strides in bytes of a dense tensor."""
    strides = [element] * len(shape)
    for i in reversed(range(len(shape) - 1)):
        strides[i] = strides[i + 1] * shape[i + 1]
    return tuple(strides)


def reshape_strides(
    shape: Sequence[int], strides: Sequence[int], target: Sequence[int]
) -> tuple[int, ...] | None:
    """Strides of a reshaped tensor over the same bytes; None if the elements do not lie so."""
    axes = reshape_runs(shape, strides, target)
    if axes is None or max(map(len, axes), default=0) > 1:
        return None
    return tuple(runs[0][1] if runs else 0 for runs in axes)


def reshape_runs(
    shape: Sequence[int], strides: Sequence[int], target: Sequence[int]
) -> tuple[AxisRuns, ...] | None:
    """Where the elements along each axis of a reshaped tensor lie, over the same bytes.

    None if some axis has elements that runs of equal length do not reach.
    """
    left = list(_combined(tuple(zip(shape, strides, strict=True))))
    axes: list[AxisRuns] = []
    for extent in reversed(target):
        axis: list[tuple[int, int]] = []
        rest = extent
        while rest > 1 and left:
            there, stride = left.pop()
            taken = min(there, rest)
            if there % taken or rest % taken:
                return None
            axis.insert(0, (taken, stride))
            rest //= taken
            if there > taken:
                left.append((there // taken, stride * taken))
        if rest > 1:
            return None
        axes.insert(0, _combined(tuple(axis)))
    return tuple(axes)
