"""Result types of ONNX operators that onnx's own shape inference has no rule for, or a wrong one.

To add one, copy a neighbour. `tests/importers/onnx/test_shape_rules.py` compares every rule with
what onnxruntime makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx import TensorProto, helper
from xdsl.ir import Attribute

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx import tensors
from furiosa_ir.ir.shaped_operation import DYNAMIC, AnyTensor, Shape, shape_text
from furiosa_ir.ir.sizes import check_shape
from furiosa_ir.numerics.array import Array


@dataclass(frozen=True)
class ResultType:
    """The inferred type of a result."""

    element: Attribute
    shape: Shape


@dataclass(frozen=True)
class TypedNode:
    """A node with the types of its inputs, and the elements of those that are constant.

    Attributes:
        node: the `NodeProto`.
        types: of every input that the IR has a type for, by name.
        constants: the elements, by name.
    """

    node: Any
    types: Mapping[str, AnyTensor]
    constants: Mapping[str, Array]

    def has(self, index: int) -> bool:
        """Whether an input is given."""
        return index < len(self.node.input) and bool(self.node.input[index])

    def type(self, index: int) -> AnyTensor:
        """The type of an input.

        Raises:
            LookupError: it is left out, or the IR has none for it.
        """
        return self.types[str(self.node.input[index])]

    def shape(self, index: int, rank: int | None = None) -> Shape:
        """The shape of an input.

        Raises:
            ImportFailure: it has not the rank that the operator asks for.
        """
        shape = self.type(index).get_shape()
        if rank is not None and len(shape) != rank:
            raise ImportFailure(
                f"the operator '{self.node.op_type}' takes an input of {rank} dimensions where "
                f"'{self.node.input[index]}' has shape {shape_text(shape)}"
            )
        return shape

    def number(self, index: int) -> int | None:
        """The number that an input of one element is; None if the network computes it."""
        array = self.constants.get(str(self.node.input[index])) if self.has(index) else None
        return None if array is None or array.size != 1 else int(array.reshape(-1)[0])

    def numbers(self, index: int) -> list[int] | None:
        """The integers that an input holds; None if the network computes them."""
        array = self.constants.get(str(self.node.input[index])) if self.has(index) else None
        return None if array is None else [int(n) for n in array.reshape(-1)]

    def attribute(self, name: str, default: int) -> int:
        """An integer attribute."""
        found = [a for a in self.node.attribute if a.name == name]
        return int(helper.get_attribute_value(found[0])) if found else default


Rule = Callable[[TypedNode], Sequence[ResultType] | None]

SHAPE_RULES: dict[str, Rule] = {}
"""Operator of ONNX's own set -> the types of its results; a rule returns None where onnx is right.
"""


def shape_rule(*operators: str) -> Callable[[Rule], Rule]:
    """Declares a function as the rule of these operators."""

    def declare(rule: Rule) -> Rule:
        SHAPE_RULES.update(dict.fromkeys(operators, rule))
        return rule

    return declare


def ruled_types(typed: TypedNode) -> Sequence[ResultType] | None:
    """The result types of a node by a rule of ours; None if onnx's inference is to tell them.

    Raises:
        ImportFailure: the inputs do not fit the operator.
    """
    node = typed.node
    rule = SHAPE_RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if rule is None:
        return None
    try:
        results = rule(typed)
    except LookupError:  # of an input that has no type here
        return None
    for result in results or ():
        check_shape(result.shape, f"the result of the operator '{node.op_type}'")
    return results


@shape_rule("GroupNormalization", "MeanVarianceNormalization")
def like_its_operand(typed: TypedNode) -> Sequence[ResultType]:
    """Functions whose bodies onnx cannot follow."""
    x = typed.type(0)
    return [ResultType(x.element_type, x.get_shape())]


@shape_rule("HannWindow", "HammingWindow", "BlackmanWindow")
def window(typed: TypedNode) -> Sequence[ResultType] | None:
    """A vector of the length that the operand says."""
    return _of_datatype(typed, [typed.number(0)])


@shape_rule("MelWeightMatrix")
def mel_weight_matrix(typed: TypedNode) -> Sequence[ResultType] | None:
    """A row for each bin of a spectrum with one side, a column for each mel bin."""
    columns, length = typed.number(0), typed.number(1)
    return _of_datatype(typed, [None if length is None else length // 2 + 1, columns])


def _of_datatype(typed: TypedNode, extents: Sequence[int | None]) -> Sequence[ResultType] | None:
    """A result of the element type that the attribute `output_datatype` says."""
    element = tensors.element_type(typed.attribute("output_datatype", TensorProto.FLOAT))
    if element is None:
        return None
    if any(n is not None and n < 0 for n in extents):
        raise ImportFailure(f"the operator '{typed.node.op_type}' makes a negative extent")
    return [ResultType(element, tuple(DYNAMIC if n is None else n for n in extents))]


@shape_rule("MaxUnpool")
def max_unpool(typed: TypedNode) -> Sequence[ResultType] | None:
    """Of the shape that the third operand says."""
    if not typed.has(2):
        return None
    x = typed.type(0)
    extents = typed.numbers(2)
    if extents is None:
        return [ResultType(x.element_type, (DYNAMIC,) * len(x.get_shape()))]
    if len(extents) != len(x.get_shape()) or any(n < 0 for n in extents):
        raise ImportFailure(f"MaxUnpool of {len(x.get_shape())} dimensions makes none of {extents}")
    return [ResultType(x.element_type, tuple(extents))]


@shape_rule("STFT")
def stft(typed: TypedNode) -> Sequence[ResultType]:
    """[batch, frames, bins, 2]; of a real signal half of the bins, and one, unless told otherwise.

    onnx counts all of them where the frame's length is not an input but that of the window.
    """
    batch, samples, _ = typed.shape(0, rank=3)
    step = typed.number(1)
    length = typed.number(3)
    if length is None and not typed.has(3) and typed.has(2):
        (length,) = typed.shape(2, rank=1)
    frames, bins = DYNAMIC, DYNAMIC
    if length is not None and length > 0:
        bins = length // 2 + 1 if typed.attribute("onesided", 1) else length
        if step is not None and step > 0 and samples >= length:
            frames = (samples - length) // step + 1
    return [ResultType(typed.type(0).element_type, (batch, frames, bins, 2))]
