"""Where the label stands among the scores of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from furiosa_ir.errors import FuriosaError
from furiosa_ir.numerics.array import Array
from furiosa_ir.runtime.tensor import TensorDesc


def rank_of(scores: Array, label: int, what: str) -> int:
    """How many classes come before the label's: 0 where it has the greatest score.

    Of equal scores, which quantised networks often have, the class with the lower number comes
    first, as of `numpy.argmax`.

    Args:
        scores: of a sample, [classes].
        label: the number of its class.
        what: the output, for the message.

    Raises:
        FuriosaError: a score is NaN.
    """
    if scores.dtype.kind not in "biu" and np.isnan(scores).any():
        raise FuriosaError(f"the output '{what}' has a NaN")
    own = scores[label]
    return int(np.count_nonzero(scores > own) + np.count_nonzero(scores[:label] == own))


def output_of_scores(outputs: Sequence[TensorDesc], name: str | None) -> int:
    """The number of the output that has the scores of the classes.

    Args:
        outputs: the network's.
        name: which of them; None: the only one.

    Raises:
        FuriosaError: there is none of that name, or more than one to choose from.
    """
    names = [desc.name for desc in outputs]
    listed = f"the outputs are {', '.join(map(repr, names))}"
    if name is None:
        if len(names) > 1:
            raise FuriosaError(
                "which output has the scores of the classes is unknown",
                hint=f"name it (--scores); {listed}",
            )
        return 0
    if name not in names:
        raise FuriosaError(f"there is no output '{name}'", hint=listed)
    return names.index(name)


def classes_of(output: TensorDesc, per_run: int) -> int:
    """How many scores an output has for each sample.

    Raises:
        FuriosaError: they cannot be scores: none, one, text, or as many as only running tells.
    """
    elements = prod(output.shape)
    count = elements // per_run
    numbers = output.numpy_dtype.kind in "biuf"
    if any(n < 0 for n in output.shape) or not numbers or count < 2 or elements % per_run:
        raise FuriosaError(
            f"the output '{output.name}', {output.dtype.value}{list(output.shape)}, has no scores "
            f"of classes for {'a sample' if per_run == 1 else f'{per_run} samples'}",
            hint="a metric of your own can look at all outputs (--metric)",
        )
    return count


def checked_classes(labels: Sequence[int], offset: int, classes: int) -> list[int]:
    """Labels as indices of scores.

    Args:
        labels: of all samples.
        offset: what is added to each.
        classes: how many scores there are.

    Raises:
        FuriosaError: one is beyond.
    """
    shifted = [label + offset for label in labels]
    for index, label in enumerate(shifted):
        if not 0 <= label < classes:
            added = f" with the offset {offset}" * (offset != 0)
            hint = f"there are {classes}"
            if classes - max(shifted) == 0 and min(shifted) == 1:
                hint += ", numbered from 0: --label-offset -1 counts labels from 1"
            raise FuriosaError(
                f"the label {labels[index]} of sample {index}{added} is no class", hint=hint
            )
    return shifted
