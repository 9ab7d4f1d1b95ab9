"""Builds the function of graph operations: values by name, constants, folding on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import ml_dtypes
import numpy as np
from onnx import helper
from xdsl.dialects.builtin import UNKNOWN_LOC, LocationAttr
from xdsl.ir import Attribute, Block, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of
from furiosa_ir.dialects.graph.evaluation import evaluate
from furiosa_ir.dialects.graph.quantization import StorageCastOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.errors import ImportFailure
from furiosa_ir.host_kernels import find_kernel
from furiosa_ir.importers.onnx import tensors
from furiosa_ir.importers.onnx.external import ExternalData
from furiosa_ir.importers.onnx.folding import Folding
from furiosa_ir.importers.onnx.kernel_types import kernel_types
from furiosa_ir.importers.onnx.node_order import used_names
from furiosa_ir.importers.onnx.opaque import Hidden, OpaqueNode, ResultType
from furiosa_ir.ir.attribute_values import as_attribute
from furiosa_ir.ir.constants import BlobAttr, Constant
from furiosa_ir.ir.shaped_operation import (
    DYNAMIC,
    AnyTensor,
    Shape,
    element_of,
    shape_of,
    tensor_type,
)
from furiosa_ir.ir.sizes import words
from furiosa_ir.ir.value_tracking import note_tensor
from furiosa_ir.numerics import elementary
from furiosa_ir.numerics.array import Array
from furiosa_ir.plugins import raise_plugin_failure

_NARROW = frozenset(np.dtype(t) for t in (np.float16, np.float32, ml_dtypes.bfloat16))


class Builder:
    """The block being built and the value of each ONNX name.

    Args:
        block: where operations go; its arguments are the network's inputs.
        folder: where external data may lie.
        opsets: operator set -> version.
        declared: types that the file declares, by value name.
        sparse: elements of sparse initialisers that were made dense.
    """

    def __init__(
        self,
        block: Block,
        folder: Path | None,
        opsets: Mapping[str, int],
        declared: Mapping[str, ResultType],
        sparse: int = 0,
    ) -> None:
        self.block = block
        self.opsets = opsets
        self.location: LocationAttr = UNKNOWN_LOC
        self._external = ExternalData(folder)
        self.declared = declared
        self._values: dict[str, SSAValue] = {}
        self._tensors: dict[str, Any] = {}
        self._hidden: dict[str, Hidden] = {}
        self.folding = Folding(sparse)

    def define(self, name: str, value: SSAValue) -> None:
        """Gives a value its ONNX name, unless the IR has no type for what has that name."""
        if name not in self._hidden:
            self._values[name] = value
            note_tensor(value, name)
            if isinstance(value.owner, StorageCastOp):
                # The cast goes where nothing wants the plain integers.
                note_tensor(value.owner.x, name)

    def declare_tensor(self, name: str, tensor: Any) -> None:
        """Makes an initialiser known; it becomes a constant when it is first used."""
        if not tensors.can_be_constant(tensor.data_type) and tensor.data_location == 0:
            self._hidden[name] = Hidden(tensors={name: tensor})
        else:
            self._tensors[name] = tensor

    def is_hidden(self, name: str) -> bool:
        """Whether the IR has no type for a value, so that only origins hold it."""
        return name in self._hidden

    def value(self, name: str) -> SSAValue:
        """The value of an ONNX name.

        Raises:
            ImportFailure: the IR has no type for it.
        """
        value = self._values.get(name)
        if value is None and self.is_hidden(name):
            raise ImportFailure(f"the value '{name}' is of a type that is not supported here")
        if value is None:
            tensor = self._tensors[name]
            constant = tensors.constant_of_tensor(tensor, self._external)
            count = constant.size
            if tensor.data_location:
                width = constant.dtype.itemsize
                count = self._external.count_once(count * width) // width
            value = self.constant(constant)
            self.folding.give(words(count, element_of(value)))
            self._values[name] = value
        return value

    def constant_elements(self, name: str) -> Array | None:
        """The elements of a plain constant; None for a value that the network computes."""
        if self.is_hidden(name):
            return None
        return constant_of(self.value(name))

    def constant(
        self, data: Array | Constant | BlobAttr, element: Attribute | None = None
    ) -> SSAValue:
        """A `graph.constant`; of plain elements, or the stored integers of a quantised type."""
        if isinstance(data, BlobAttr):
            blob = data
        else:
            blob = BlobAttr(data if isinstance(data, Constant) else Constant(data))
        element = element or tensors.element_of_dtype(blob.data.dtype)
        return self.insert(ConstantOp.make([], [element], value=blob)).results[0]

    def insert(self, op: GraphOp) -> GraphOp:
        """Appends an operation, with the location of the current node."""
        op.location = self.location
        self.block.add_op(op)
        return op

    def emit(
        self,
        op: type[GraphOp],
        operands: Sequence[Any],
        elements: Sequence[Attribute],
        **properties: Any,
    ) -> Sequence[SSAValue]:
        """Appends an operation, or the constants that it makes of constants."""
        made = op.make(operands, elements, **properties)
        folded = _fold(made, self.folding)
        if folded is None:
            return self.insert(made).results
        made.erase()
        return [self.constant(array) for array in folded]

    def plain(self, value: SSAValue) -> SSAValue:
        """The stored integers of a quantised value; any other value itself."""
        quantization = quantization_of(value)
        if quantization is None:
            return value
        element = tensors.element_of_dtype(quantization.dtype)
        return self.emit(StorageCastOp, [value], [element])[0]

    def opaque(self, node: Any) -> Sequence[SSAValue]:
        """The node carried whole, or its results where it makes constants of constants.

        Returns:
            A value for each output, any for one that the IR has no type for; none at all if it has
            a type for none of them.
        """
        hidden = Hidden()
        for name in used_names(node):
            if name in self._hidden:
                hidden.include(self._hidden[name])
        inside = self._hidden.keys() | hidden.made_names()
        known = [n for n in (*used_names(node), *hidden.free_names()) if n not in inside]
        names = list(dict.fromkeys(known))
        operands = {name: self.plain(self.value(name)) for name in names}
        if node.op_type == "Range":
            operands = {name: self._scalar(value) for name, value in operands.items()}
        constants = {
            name: array
            for name, value in operands.items()
            if (array := constant_of(value)) is not None
        }
        types = {name: cast("AnyTensor", value.type) for name, value in operands.items()}
        whole = OpaqueNode(node, hidden, self.opsets, types, constants)
        results = whole.infer(self._declared_of(node, operands, constants))
        untyped = [str(o) for o in node.output if o and o not in whole.outputs]
        if untyped:
            maker = Hidden([*hidden.nodes, node], hidden.tensors)
            self._hidden.update((name, maker) for name in untyped)
        if not results:
            return []
        folded = None
        sizes = [a.size for a in constants.values()]
        if (
            node.op_type != "DequantizeLinear"  # that weights were quantised is to be seen
            and whole.can_be_evaluated
            and self.folding.of_operator(
                node, sizes, [r.shape for r in results], [r.element for r in results]
            )
        ):
            folded = whole.evaluate(self.folding)
        if folded is not None and all(
            r.element in _plain_elements(a) and _fits(a, r.shape)
            for a, r in zip(folded, results, strict=True)
        ):
            return self._all_outputs(node, [self.constant(array) for array in folded])
        position = {name: i for i, name in enumerate(whole.inputs)}
        domain = f"{node.domain}::" if node.domain not in ("", "ai.onnx") else ""
        op = OpaqueOp.build(
            operands=[[operands[name] for name in whole.inputs]],
            result_types=[[tensor_type(r.element, tuple(r.shape)) for r in results]],
            properties={
                "operator": as_attribute(domain + str(node.op_type)),
                "slots": as_attribute([position.get(name, -1) for name in whole.slots]),
                "origin": whole.origin(),
            },
        )
        return self._all_outputs(node, self.insert(op).results)

    def _declared_of(
        self, node: Any, operands: Mapping[str, SSAValue], constants: Mapping[str, Array]
    ) -> Mapping[str, ResultType]:
        """The types that the file declares, or the Python kernel of a custom operator tells."""
        if not node.domain:
            return self.declared
        kernel = find_kernel(f"{node.domain}::{node.op_type}")
        if kernel is None:
            return self.declared
        names = [str(o) for o in node.output if o]
        known = [self.declared.get(name) for name in names]
        if kernel.results is None and all(k is not None and DYNAMIC not in k.shape for k in known):
            return self.declared
        return {**self.declared, **kernel_types(kernel, node, operands, constants)}

    def _scalar(self, value: SSAValue) -> SSAValue:
        """A constant vector of one element as a scalar.

        onnxruntime's Range takes either, onnx's shape inference, once it knows them, scalars alone.
        """
        array = constant_of(value)
        if array is None or array.shape != (1,):
            return value
        return self.constant(np.asarray(array).reshape(()))

    def _all_outputs(self, node: Any, results: Sequence[SSAValue]) -> Sequence[SSAValue]:
        """One value for each output of the node; any value where one is left out or hidden."""
        present = iter(results)
        return [
            next(present) if o and not self.is_hidden(str(o)) else results[0] for o in node.output
        ]

    def output(self, name: str) -> SSAValue:
        """The plain value of a network output.

        Raises:
            ImportFailure: the IR has no type for it, and the file declares none.
        """
        if self.is_hidden(name):
            node = helper.make_node("Identity", [name], [f"{name}/output"])
            declared = {k: v for k, v in self.declared.items() if k == name}
            self.declared = {**self.declared, **{f"{k}/output": v for k, v in declared.items()}}
            results = self.opaque(node)
            if not results:
                raise ImportFailure(
                    f"nothing tells the rank of the output '{name}', or it is no tensor",
                    hint="declare its shape in the model (graph.output)",
                )
            return results[0]
        return self.plain(self.value(name))

    def finish(self) -> None:
        """Removes the operations that nothing uses."""
        for op in reversed(list(self.block.ops)):
            if isinstance(op, GraphOp) and all(r.first_use is None for r in op.results):
                op.detach()
                op.erase()


def is_static(value: SSAValue) -> bool:
    """Whether all extents of a value are known."""
    return DYNAMIC not in shape_of(value)


def _fits(array: Array, shape: Shape) -> bool:
    """Whether an array has the inferred shape: onnx's own evaluation is not always right."""
    return len(array.shape) == len(shape) and all(
        n in (DYNAMIC, m) for n, m in zip(shape, array.shape, strict=True)
    )


def _plain_elements(array: Array) -> list[Attribute]:
    try:
        return [tensors.element_of_dtype(array.dtype)]
    except KeyError:
        return []


def _fold(op: GraphOp, folding: Folding) -> list[Array] | None:
    """The results of an operation on plain constants; None if it has other operands."""
    if not op.operands or type(op).evaluate is GraphOp.evaluate:
        return None
    arrays = [constant_of(v) for v in op.operands]
    types = [cast("AnyTensor", r.type) for r in op.results]
    if any(quantization_of(v) is not None for v in (*op.operands, *op.results)):
        return None
    operands = [a for a in arrays if a is not None]
    if len(operands) != len(arrays) or not folding.of_operation(op):
        return None
    # Floats in double precision, rounded once: as every later stage computes them.
    with np.errstate(all="ignore"):
        wide = [a.astype(np.float64) if a.dtype in _NARROW else a for a in operands]
        try:
            with elementary.portable_products():
                results = evaluate(op, wide)
        except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
            raise_plugin_failure(error)
            return None  # what numpy makes no sense of is left to the host
        return [
            np.ascontiguousarray(r).reshape(np.shape(r)).astype(_dtype(t), copy=False)
            for r, t in zip(results, types, strict=True)
        ]


def _dtype(type_: AnyTensor) -> np.dtype[Any]:
    return tensors.dtype_of_element(type_.element_type)
