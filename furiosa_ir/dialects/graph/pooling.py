"""Pooling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, StringAttr, TensorType, i64
from xdsl.ir import SSAValue
from xdsl.irdl import operand_def, prop_def, result_def

from furiosa_ir.dialects.graph.base import GraphOp, OnnxNode, TFLiteNode
from furiosa_ir.dialects.graph.onnx_arguments import flag
from furiosa_ir.dialects.graph.sliding import (
    channels_first,
    pool_average,
    pool_maximum,
    to_layout,
)
from furiosa_ir.dialects.graph.window import onnx_window, pads_same, same_pads
from furiosa_ir.dialects.window_geometry import WINDOW_DEFAULTS, window_extents
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.ir.shaped_operation import Shape, ints, shape_of
from furiosa_ir.numerics.array import Array


class WindowPoolOp(GraphOp):
    """A reduction over sliding windows; `layout` and `pads` as in `graph.conv`."""

    IGNORED: ClassVar[Mapping[str, str]] = {
        "storage_order": "of the indices, with which it stays whole"
    }

    DEFAULTS: ClassVar = {**WINDOW_DEFAULTS, "ceil_mode": 0}

    x = operand_def(TensorType)
    result = result_def(TensorType)
    layout = prop_def(StringAttr)
    kernel_shape = prop_def(DenseArrayBase.constr(i64))
    strides = prop_def(DenseArrayBase.constr(i64))
    pads = prop_def(DenseArrayBase.constr(i64))
    dilations = prop_def(DenseArrayBase.constr(i64))
    ceil_mode = prop_def(IntegerAttr.constr(i64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        options = node.options
        kernel = [options.FilterHeight(), options.FilterWidth()]
        strides = [options.StrideH(), options.StrideW()]
        same = pads_same(node)
        extra: dict[str, Any] = {}
        if "count_include_pad" in cls.get_irdl_definition().properties:
            extra["count_include_pad"] = 0
        (result,) = node.emit(
            cls,
            node.operands,
            layout="NHWC",
            kernel_shape=kernel,
            strides=strides,
            pads=same_pads(node.shape(0)[1:3], kernel, strides, [1, 1]) if same else [0] * 4,
            dilations=[1, 1],
            ceil_mode=0,
            **extra,
        )
        return [node.activation(result, options.FusedActivationFunction())]

    def result_shapes(self) -> Sequence[Shape]:
        layout = self.layout.data
        x_at = dict(zip(layout, shape_of(self.x), strict=True))
        spatial = [d for d in layout if d not in "NC"]
        extents = window_extents(
            self,
            [x_at[d] for d in spatial],
            ints(self.kernel_shape),
            ints(self.strides),
            ints(self.pads),
            ints(self.dilations),
            bool(self.ceil_mode.value.data),
        )
        out = dict(zip(spatial, extents, strict=True)) | {"N": x_at["N"], "C": x_at["C"]}
        return [tuple(out[d] for d in layout)]

    def geometry(self) -> tuple[Shape, Shape, Shape, Shape, Shape]:
        """kernel, strides, pads, dilations, and the result's spatial extents."""
        at = zip(self.layout.data, self.result_shapes()[0], strict=True)
        return (
            ints(self.kernel_shape),
            ints(self.strides),
            ints(self.pads),
            ints(self.dilations),
            tuple(n for d, n in at if d not in "NC"),
        )

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        kernel = node.attributes["kernel_shape"]
        if len(kernel) > 3:
            return node.unsupported()
        letters = {1: "W", 2: "HW", 3: "DHW"}[len(kernel)]
        extra: dict[str, Any] = {}
        if "count_include_pad" in cls.get_irdl_definition().properties:
            extra["count_include_pad"] = node.attributes.get("count_include_pad", 0)
        return node.emit(
            cls,
            node.operands,
            layout="NC" + letters,
            kernel_shape=kernel,
            ceil_mode=flag(node, "ceil_mode"),
            **onnx_window(node, kernel),
            **extra,
        )


@irdl_op_definition
class MaxPoolOp(WindowPoolOp):
    """The greatest element of each window; padding never wins. One result (no indices)."""

    name = "graph.max_pool"
    ONNX: ClassVar = ("MaxPool",)
    TFLITE: ClassVar = ("MAX_POOL_2D",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        first = channels_first(self.layout.data)
        x = to_layout(operands[0], self.layout.data, first)
        result = pool_maximum(x, *self.geometry())
        return [to_layout(result, first, self.layout.data)]


@irdl_op_definition
class AveragePoolOp(WindowPoolOp):
    """The mean of each window, over its elements inside x or, with `count_include_pad`, all."""

    name = "graph.average_pool"
    ONNX: ClassVar = ("AveragePool",)
    TFLITE: ClassVar = ("AVERAGE_POOL_2D",)

    DEFAULTS: ClassVar = {**WindowPoolOp.DEFAULTS, "count_include_pad": 0}

    count_include_pad = prop_def(IntegerAttr.constr(i64))

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        first = channels_first(self.layout.data)
        x = to_layout(operands[0], self.layout.data, first)
        include_pad = bool(self.count_include_pad.value.data)
        result = pool_average(x, *self.geometry(), include_pad=include_pad)
        return [to_layout(result, first, self.layout.data)]
