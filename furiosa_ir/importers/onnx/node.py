"""An ONNX node as the operators' `from_onnx` see it."""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper
from typing_extensions import override
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of
from furiosa_ir.importers.onnx.builder import Builder
from furiosa_ir.importers.onnx.tensors import attribute_value
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.shaped_operation import Shape, element_of, shape_of
from furiosa_ir.numerics.array import Array


def node_domain(proto: Any) -> str:
    """A node's operator set; that of ONNX has two names."""
    return "" if proto.domain == "ai.onnx" else str(proto.domain)


def node_key(proto: Any) -> str:
    """A node's operator as `GraphOp.ONNX` names it."""
    domain = node_domain(proto)
    return f"{domain}::{proto.op_type}" if domain else str(proto.op_type)


class ReadAttributes(Mapping[str, Any]):
    """The attributes of a node, remembering which were looked up.

    Args:
        values: the attributes.

    Attributes:
        read: the names that were asked for.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @override
    def __contains__(self, name: object) -> bool:
        return name in self._values

    @override
    def items(self) -> ItemsView[str, Any]:
        return self._values.items()


class Node:
    """Implements `furiosa_ir.dialects.graph.base.OnnxNode`.

    Args:
        builder: builds what it becomes.
        proto: the node.
        opset: the version of its operator set.
        operation: what its operator is declared to become, if anything.

    Attributes:
        is_whole: whether it was carried whole (`unsupported`).
    """

    def __init__(
        self, builder: Builder, proto: Any, opset: int, operation: type[GraphOp] | None = None
    ) -> None:
        self._builder = builder
        self._operation = operation
        self._by_name: set[str] = set()
        self.is_whole = False
        self.proto = proto
        self.op_type = str(proto.op_type)
        self.domain = node_domain(proto)
        self.opset = opset
        self.operands: Sequence[SSAValue | None] = [
            builder.value(str(i)) if i and not builder.is_hidden(i) else None for i in proto.input
        ]

    @property
    def key(self) -> str:
        """The operator as `GraphOp.ONNX` names it."""
        return node_key(self.proto)

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes, with the defaults of the operator's schema where left out."""
        return self._attributes

    @cached_property
    def _attributes(self) -> ReadAttributes:
        return ReadAttributes({**self._default_attributes, **self._given_attributes})

    @property
    def _default_attributes(self) -> dict[str, Any]:
        return dict(_defaults(self.op_type, self.opset, self.domain))

    @cached_property
    def _given_attributes(self) -> dict[str, Any]:
        return {str(a.name): attribute_value(a) for a in self.proto.attribute}

    def unread_attributes(self, ignored: Collection[str]) -> list[str]:
        """The attributes that the node has and no operation got, which change what it means.

        Args:
            ignored: those that change nothing.
        """
        if not self.proto.attribute:
            return []
        defaults = self._default_attributes
        return [
            name
            for name, value in self._given_attributes.items()
            if name not in ignored
            and name not in self._attributes.read
            and name not in self._by_name
            and not (name in defaults and np.array_equal(defaults[name], value))
        ]

    @property
    def has_schema(self) -> bool:
        """Whether ONNX knows the operator, and so what its attributes mean."""
        return onnx.defs.has(self.op_type, self.domain)

    @property
    def output_count(self) -> int:
        """How many outputs the node has, trailing ones left out not counted."""
        outputs: list[str] = list(self.proto.output)
        while outputs and not outputs[-1]:
            outputs.pop()
        return len(outputs)

    def constant(self, index: int) -> Array | None:
        """The elements of input `index` where it is constant; None where it is not or left out."""
        operand = self.operands[index] if index < len(self.operands) else None
        if operand is None or quantization_of(operand) is not None:
            return None
        return constant_of(operand)

    def shape(self, index: int = 0) -> Shape:
        """The static shape of input `index`."""
        operand = self.operands[index]
        assert operand is not None
        return shape_of(operand)

    def has(self, index: int) -> bool:
        """Whether input `index` is given."""
        return index < len(self.operands) and self.operands[index] is not None

    def value(self, array: Array | BlobAttr, element: Attribute | None = None) -> SSAValue:
        """A `graph.constant` of these elements (stored integers, if `element` is quantised)."""
        if not isinstance(array, BlobAttr):
            self._builder.folding.give(array.size)
        return self._builder.constant(array, element)

    def may_make(self, count: int) -> bool:
        """Whether a constant of so many elements may be made of less (`Folding`)."""
        return self._builder.folding.of_sparse(count)

    def emit(
        self,
        op: type[GraphOp],
        operands: Sequence[Any],
        *,
        elements: Sequence[Attribute] | None = None,
        **properties: object,
    ) -> Sequence[SSAValue]:
        """Adds an operation; without `elements` all results get operand 0's element type."""
        if op is self._operation:
            properties = {**self._properties_by_name(op, properties), **properties}
        if elements is None:
            first = cast(
                "SSAValue", operands[0] if isinstance(operands[0], SSAValue) else operands[0][0]
            )
            results = op.get_irdl_definition().results
            variadic = type(results[0][1]).__name__ == "VarResultDef"
            elements = [element_of(first)] * (self.output_count if variadic else len(results))
        return self._builder.emit(op, operands, elements, **properties)

    def _properties_by_name(self, op: type[GraphOp], given: Collection[str]) -> dict[str, object]:
        """The attributes that are called like properties which are not given."""
        names = [
            name
            for name in op.get_irdl_definition().properties
            if name in self._attributes and name not in (*given, *self._attributes.read)
        ]
        self._by_name.update(names)
        return {name: value for name, value in self._attributes.items() if name in names}

    def unsupported(self) -> Sequence[SSAValue]:
        """The node as `graph.opaque`: for forms of the operator that are not modelled."""
        self.is_whole = True
        return self._builder.opaque(self.proto)


def _defaults(op_type: str, opset: int, domain: str) -> tuple[tuple[str, Any], ...]:
    try:
        return _defaults_of_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:  # not remembered: a plug-in may register one
        return ()


@lru_cache(maxsize=4096)
def _defaults_of_schema(op_type: str, opset: int, domain: str) -> tuple[tuple[str, Any], ...]:
    schema = onnx.defs.get_schema(op_type, opset, domain)
    defaults: list[tuple[str, Any]] = []
    for name, attribute in schema.attributes.items():
        if attribute.default_value.name:
            value = helper.get_attribute_value(attribute.default_value)
            defaults.append((name, value.decode() if isinstance(value, bytes) else value))
    return tuple(defaults)
