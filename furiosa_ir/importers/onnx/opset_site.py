"""A node on its way to the next version of ONNX's operator set: what rules read and change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from onnx import AttributeProto, helper, numpy_helper

from furiosa_ir.errors import ImportFailure
from furiosa_ir.numerics.array import Array


class Inexpressible(ImportFailure):
    """A node that has no form in a newer operator set."""


class Types(Protocol):
    """What is known of values."""

    def elements(self, name: str) -> Array | None:
        """The elements of a small constant."""
        ...

    def info(self, name: str) -> Any:
        """The tensor type of a value; None where nothing tells it."""
        ...

    def define(self, name: str, elements: Array) -> None:
        """Says what elements a new constant has."""
        ...


class Site:
    """A node on its way into the operator set `opset`.

    Args:
        node: it may be changed.
        opset: of the nodes that a rule makes.
        types: what is known of values.
        taken: the names in use; those of new values are added.

    Attributes:
        made: what the node has become.
    """

    def __init__(self, node: Any, opset: int, types: Types, taken: set[str]) -> None:
        self.node = node
        self.opset = opset
        self.made: list[Any] = []
        self._types = types
        self._taken = taken

    def take(self, name: str, default: Any = None) -> Any:
        """Removes an attribute; returns its value."""
        for index, attribute in enumerate(self.node.attribute):
            if attribute.name == name:
                value: Any = helper.get_attribute_value(attribute)
                if attribute.type in (AttributeProto.FLOATS, AttributeProto.INTS):
                    value = list(value)
                del self.node.attribute[index]
                return value
        return default

    def set(self, name: str, value: Any) -> None:
        """Gives the node an attribute in place of what it has of that name."""
        self.take(name)
        self.node.attribute.append(helper.make_attribute(name, value))

    def input(self, index: int) -> str:
        """The name of an input; "" where it is left out."""
        return str(self.node.input[index]) if index < len(self.node.input) else ""

    def set_input(self, index: int, name: str) -> None:
        """Gives the node an input, those before it left out."""
        while len(self.node.input) <= index:
            self.node.input.append("")
        self.node.input[index] = name

    def shape(self, name: str) -> list[int | None]:
        """The shape of a value; None for an extent that is open.

        Raises:
            Inexpressible: its rank is not known.
        """
        info = self._types.info(name)
        if info is None:
            raise Inexpressible(
                f"'{self.node.op_type}' of operator set {self.opset - 1} or older needs the rank "
                f"of '{name}', which nothing tells"
            )
        # Some exporters write -1 for an extent that they leave open.
        dims = info.shape.dim
        return [
            int(d.dim_value) if d.HasField("dim_value") and d.dim_value >= 0 else None for d in dims
        ]

    def rank(self, name: str) -> int | None:
        """The rank of a value, where it is known."""
        info = self._types.info(name)
        return None if info is None else len(info.shape.dim)

    def element(self, name: str) -> int | None:
        """The code of a value's element type, where it is known."""
        info = self._types.info(name)
        return None if info is None else int(info.elem_type)

    def elements(self, index: int) -> Array:
        """The elements of an input.

        Raises:
            Inexpressible: it is not constant.
        """
        array = self._types.elements(self.input(index))
        if array is None:
            raise Inexpressible(
                f"input {index} of '{self.node.op_type}' of operator set {self.opset - 1} or older "
                "is not constant"
            )
        return array

    def fresh(self) -> str:
        """A name for a new value."""
        base = next((str(o) for o in self.node.output if o), str(self.node.op_type))
        count = 0
        while f"{base}/raised/{count}" in self._taken:
            count += 1
        self._taken.add(f"{base}/raised/{count}")
        return f"{base}/raised/{count}"

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        """Adds a constant; returns its name."""
        elements = np.asarray(values, dtype)
        name = self.add("Constant", [], value=numpy_helper.from_array(elements))
        self._types.define(name, elements)
        return name

    def add(
        self, op_type: str, inputs: Sequence[str], output: str | None = None, **attributes: Any
    ) -> str:
        """Adds a node of one output; returns the output's name."""
        output = output or self.fresh()
        # The layer is the old node's; no two nodes have one name.
        name = output if self.node.name else ""
        given = {k: v for k, v in attributes.items() if v is not None}
        self.made.append(helper.make_node(op_type, inputs, [output], name, **given))
        return output

    def keep(self) -> None:
        """Adds the node itself."""
        self.made.append(self.node)

    def replace(self, op_type: str, inputs: Sequence[str], **attributes: Any) -> None:
        """Adds a node in place of the old one: of its name and outputs."""
        given = {k: v for k, v in attributes.items() if v is not None}
        outputs = list(self.node.output)
        self.made.append(helper.make_node(op_type, inputs, outputs, self.node.name, **given))
