"""A host segment's model as a list of custom operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from furiosa_ir.host_kernels import HostOperator
from furiosa_ir.numerics.array import Array


@dataclass(frozen=True)
class Step:
    """An operator of a sub-model.

    Attributes:
        operator: the operator; None for a copy.
        inputs: the values that it reads, by whatever the format calls them; None for one left out.
        outputs: the values that it makes.
    """

    operator: HostOperator | None
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


@dataclass(frozen=True)
class SubModel:
    """A sub-model of custom operators.

    Attributes:
        inputs, outputs: values.
        constants: value -> its elements.
        steps: the operators, in order.
    """

    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    constants: Mapping[Any, Array]
    steps: tuple[Step, ...]
