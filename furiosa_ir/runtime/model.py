"""What a network takes and gives, as every kind of session tells it."""

from __future__ import annotations

import operator
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import Program
from furiosa_ir.program import Tensor as TensorRecord
from furiosa_ir.runtime.errors import InvalidInput, InvalidInputType
from furiosa_ir.runtime.tensor import DataType, TensorArray, TensorDesc, tensor_format

Inputs = Mapping[str, ArrayLike] | Sequence[ArrayLike] | ArrayLike
"""One array, several in order, or by name."""


class Described(ABC):
    """Tells the inputs and outputs of a network, which `model` holds."""

    @property
    @abstractmethod
    def model(self) -> Model:
        """The network's inputs and outputs."""

    @property
    def input_num(self) -> int:
        """The number of inputs."""
        return len(self.model.input_descs)

    @property
    def output_num(self) -> int:
        """The number of outputs."""
        return len(self.model.output_descs)

    def inputs(self) -> list[TensorDesc]:
        """The inputs, in order."""
        return list(self.model.input_descs)

    def outputs(self) -> list[TensorDesc]:
        """The outputs, in order."""
        return list(self.model.output_descs)

    def input(self, idx: int) -> TensorDesc:
        """Input `idx`."""
        return _chosen(self.model.input_descs, idx, "input")

    def output(self, idx: int) -> TensorDesc:
        """Output `idx`."""
        return _chosen(self.model.output_descs, idx, "output")

    def summary(self) -> str:
        """The inputs and outputs as text."""
        inputs, outputs = dict(enumerate(self.inputs())), dict(enumerate(self.outputs()))
        return f"Inputs:\n{inputs}\nOutputs:\n{outputs}"

    def print_summary(self) -> None:
        """Prints the inputs and outputs."""
        sys.stdout.write(self.summary() + "\n")


@dataclass(frozen=True)
class Model(Described):
    """The inputs and outputs of a network.

    Attributes:
        input_descs: the inputs, in order.
        output_descs: the outputs, in order.
    """

    input_descs: tuple[TensorDesc, ...]
    output_descs: tuple[TensorDesc, ...]

    @property
    def model(self) -> Model:
        """Itself."""
        return self

    @staticmethod
    def of(program: Program) -> Model:
        """The inputs and outputs of a program."""

        def describe(tensor: TensorRecord) -> TensorDesc:
            return TensorDesc(
                tensor.name,
                tensor.shape,
                DataType(tensor.dtype),
                tensor_format(tensor.shape, program.source_framework),
                tensor.scale,
                tensor.zero_point,
            )

        return Model(
            tuple(describe(program.tensors[i]) for i in program.inputs),
            tuple(map(describe, program.output_tensors)),
        )

    def arrays(self, inputs: Inputs) -> list[Array]:
        """What a caller gave, as a contiguous array for each input, in order.

        An array that is one already is taken as it is, not copied.

        Raises:
            InvalidInput: an input is missing or has another name, shape or dtype.
        """
        if isinstance(inputs, Mapping):
            given = self._by_name(inputs)
        elif isinstance(inputs, list | tuple | TensorArray):
            given = list(cast("Sequence[ArrayLike]", inputs))
        else:
            given = [cast("ArrayLike", inputs)]
        if len(given) != len(self.input_descs):
            raise InvalidInput(
                f"the network takes {len(self.input_descs)} inputs, {len(given)} were given"
            )
        return [_checked(desc, array) for desc, array in zip(self.input_descs, given, strict=True)]

    def _by_name(self, inputs: Mapping[str, ArrayLike]) -> list[ArrayLike]:
        names = [desc.name for desc in self.input_descs]
        for name in inputs:
            if name not in names:
                raise InvalidInput(
                    f"there is no input '{name}'; the inputs are {', '.join(map(repr, names))}"
                )
        for name in names:
            if name not in inputs:
                raise InvalidInput(f"the input '{name}' is missing")
        return [inputs[name] for name in names]

    def output_indices(self, names: Sequence[str]) -> list[int]:
        """Which outputs have these names.

        Raises:
            ExecutionFailure: none has.
        """
        known = [desc.name for desc in self.output_descs]
        if not isinstance(names, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ExecutionFailure(
                f"the outputs' names are of type {type(names).__name__}, not a list"
            )
        for name in names:
            if name not in known:
                raise ExecutionFailure(
                    f"there is no output '{name}'; the outputs are {', '.join(map(repr, known))}"
                )
        return [known.index(name) for name in names]


def _chosen(descs: Sequence[TensorDesc], idx: int, what: str) -> TensorDesc:
    try:
        number = operator.index(idx)
    except TypeError:
        raise ExecutionFailure(
            f"the number of an {what} is of type {type(idx).__name__}, not an integer"
        ) from None
    if not 0 <= number < len(descs):
        raise ExecutionFailure(f"there is no {what} {idx}; the network has {len(descs)}")
    return descs[number]


def _checked(desc: TensorDesc, given: ArrayLike) -> Array:
    """The input as a contiguous array of the network's dtype and shape."""
    try:
        array: Array = np.asarray(given)
    except (ValueError, TypeError):
        raise InvalidInputType(f"the input '{desc.name}' is not an array") from None
    if desc.dtype is DataType.STRING and array.dtype.kind in "UT":
        array = array.astype(object)
    if array.dtype != desc.numpy_dtype:
        raise InvalidInputType(
            f"the input '{desc.name}' is of dtype {array.dtype}, the network takes "
            f"{desc.numpy_dtype}"
        )
    fits = len(array.shape) == len(desc.shape) and all(
        n in (-1, m) for n, m in zip(desc.shape, array.shape, strict=True)
    )
    if not fits:
        raise InvalidInput(
            f"the input '{desc.name}' has shape {list(array.shape)}, the network takes "
            f"{list(desc.shape)}"
        )
    return np.ascontiguousarray(array).reshape(array.shape)
