"""An ONNX node as the operators' `from_onnx` see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, cast

import onnx
from onnx import helper
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of
from furiosa_ir.importers.onnx.builder import Builder
from furiosa_ir.importers.onnx.tensors import attribute_value
from furiosa_ir.ir.constants import Array, BlobAttr
from furiosa_ir.ir.shaped_operation import Shape, element_of, shape_of


def node_domain(proto: Any) -> str:
    """A node's operator set; that of ONNX has two names."""
    return "" if proto.domain == "ai.onnx" else str(proto.domain)


class Node:
    """Implements `furiosa_ir.dialects.graph.base.OnnxNode`."""

    def __init__(self, builder: Builder, proto: Any, opset: int) -> None:
        self._builder = builder
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
        return f"{self.domain}::{self.op_type}" if self.domain else self.op_type

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes, with the defaults of the operator's schema where left out."""
        return self._attributes

    @cached_property
    def _attributes(self) -> dict[str, Any]:
        values = dict(_defaults(self.op_type, self.opset, self.domain))
        values.update((str(a.name), attribute_value(a)) for a in self.proto.attribute)
        return values

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
        return self._builder.constant(array, element)

    def emit(
        self,
        op: type[GraphOp],
        operands: Sequence[Any],
        *,
        elements: Sequence[Attribute] | None = None,
        **properties: object,
    ) -> Sequence[SSAValue]:
        """Adds an operation; without `elements` all results get operand 0's element type."""
        if elements is None:
            first = cast(
                "SSAValue", operands[0] if isinstance(operands[0], SSAValue) else operands[0][0]
            )
            results = op.get_irdl_definition().results
            variadic = type(results[0][1]).__name__ == "VarResultDef"
            elements = [element_of(first)] * (self.output_count if variadic else len(results))
        return self._builder.emit(op, operands, elements, **properties)

    def unsupported(self) -> Sequence[SSAValue]:
        """The node as `graph.opaque`: for forms of the operator that are not modelled."""
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
