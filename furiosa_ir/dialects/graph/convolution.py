"""Convolutions and matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import ClassVar

from typing_extensions import override
from xdsl.dialects.builtin import (
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    TensorType,
    f64,
    i1,
    i64,
)
from xdsl.ir import SSAValue
from xdsl.irdl import operand_def, opt_operand_def, prop_def, result_def

from furiosa_ir.dialects.graph.base import (
    OnnxNode,
    TFLiteNode,
)
from furiosa_ir.dialects.graph.contraction import BiasedOp, ContractionOp
from furiosa_ir.dialects.graph.movement import ReshapeOp, TransposeOp
from furiosa_ir.dialects.graph.sliding import (
    channels_first,
    convolve,
    convolve_transposed,
    to_layout,
)
from furiosa_ir.dialects.graph.window import (
    onnx_transposed_window,
    onnx_window,
    pads_same,
    tflite_window,
)
from furiosa_ir.dialects.window_geometry import WINDOW_DEFAULTS, check_window, window_extents
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.assembly_format import repeated
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.ir.shaped_operation import Shape, broadcast_shapes, element_of, ints, shape_of
from furiosa_ir.numerics import elementary
from furiosa_ir.numerics.array import Array


def _check_numbers(node: TFLiteNode) -> None:
    """Checks that no operand is boolean: kernels of LiteRT would read one as bytes.

    Raises:
        VerificationFailure: one is.
    """
    if any(v is not None and element_of(v) == i1 for v in node.operands):
        raise VerificationFailure(f"{node.op_type} of a boolean tensor")


class ConvolutionOp(BiasedOp):
    """A convolution of any rank, either way.

    `layout` names the dimensions of x and of the result ("NCHW", "NHWC", "NCW", "NCDHW", ...),
    `kernel_layout` those of the weight; `pads` is begin then end of each spatial dimension; the
    bias has an element for each output channel.
    """

    x = operand_def(TensorType)
    weight = operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    result = result_def(TensorType)
    layout = prop_def(StringAttr)
    kernel_layout = prop_def(StringAttr)
    strides = prop_def(DenseArrayBase.constr(i64))
    pads = prop_def(DenseArrayBase.constr(i64))
    dilations = prop_def(DenseArrayBase.constr(i64))
    group = prop_def(IntegerAttr.constr(i64))

    @property
    @override
    def weight_channel_axis(self) -> int:
        return self.kernel_layout.data.index("O")

    @property
    @override
    def channel_axis(self) -> int:
        return self.layout.data.index("C")

    def extents(self) -> tuple[dict[str, int], dict[str, int]]:
        """The extents of x and of the weight by the letters of their layouts.

        Raises:
            VerificationFailure: a rank does not fit its layout.
        """
        layout, kernel_layout = self.layout.data, self.kernel_layout.data
        x, weight = shape_of(self.x), shape_of(self.weight)
        if len(x) != len(layout) or len(weight) != len(kernel_layout):
            raise VerificationFailure(
                f"{self.name}: ranks {len(x)} and {len(weight)} do not fit the layouts "
                f"{layout} and {kernel_layout}"
            )
        at = zip(layout, x, strict=True), zip(kernel_layout, weight, strict=True)
        return dict(at[0]), dict(at[1])

    def check_bias(self, channels: int) -> None:
        """Checks that the bias, if there is one, has an element for each output channel.

        Raises:
            VerificationFailure: it has not.
        """
        if self.bias is not None and shape_of(self.bias) != (channels,):
            raise VerificationFailure(
                f"{self.name}: bias has shape {list(shape_of(self.bias))}, not [{channels}]"
            )


@irdl_op_definition
class ConvOp(ConvolutionOp):
    """Convolution of any rank: cross-correlation with stride, padding, dilation and groups.

    `layout` names the dimensions of x and of the result ("NCHW", "NHWC", "NCW", "NCDHW", ...),
    `kernel_layout` those of the weight: "OIHW" (ONNX), "OHWI" (TFLite), "IHWO" (TFLite depthwise,
    I = 1); I counts the input channels of one group. `pads` is begin then end of each spatial
    dimension; the bias is [O].
    """

    name = "graph.conv"
    ONNX: ClassVar = ("Conv",)
    TFLITE: ClassVar = ("CONV_2D", "DEPTHWISE_CONV_2D")
    IGNORED: ClassVar = {"DepthMultiplier": "LiteRT takes it from the shapes"}

    DEFAULTS: ClassVar = {**WINDOW_DEFAULTS, "group": 1}

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        kernel = node.shape(1)[2:]
        letters = "DHW"[3 - len(kernel) :] if len(kernel) <= 3 else None
        if letters is None:
            return node.unsupported()
        letters = "W" if len(kernel) == 1 else letters
        window = onnx_window(node, kernel)
        return node.emit(
            cls,
            [*node.operands, None][:3],
            layout="NC" + letters,
            kernel_layout="OI" + letters,
            group=node.attributes.get("group", 1),
            **window,
        )

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        _check_numbers(node)
        depthwise = node.op_type == "DEPTHWISE_CONV_2D"
        channels = node.shape(0)[3]
        kernel = node.shape(1)[1:3]
        group = channels if depthwise else channels // node.shape(1)[3]
        (result,) = node.emit(
            cls,
            [*node.operands, None][:3],
            layout="NHWC",
            kernel_layout="IHWO" if depthwise else "OHWI",
            group=group,
            **tflite_window(node, kernel),
        )
        return [node.activation(result, node.options.FusedActivationFunction())]

    def result_shapes(self) -> Sequence[Shape]:
        layout = self.layout.data
        x_at, w_at = self.extents()
        group = self.group.value.data
        if group < 1 or x_at["C"] != w_at["I"] * group or w_at["O"] % group:
            raise VerificationFailure(
                f"graph.conv: {x_at['C']} input channels and {w_at['O']} output channels do not "
                f"fit a weight of shape {list(shape_of(self.weight))} in {group} groups"
            )
        self.check_bias(w_at["O"])
        spatial = [d for d in layout if d not in "NC"]
        extents = window_extents(
            self,
            [x_at[d] for d in spatial],
            [w_at[d] for d in spatial],
            ints(self.strides),
            ints(self.pads),
            ints(self.dilations),
        )
        out = dict(zip(spatial, extents, strict=True)) | {"N": x_at["N"], "C": w_at["O"]}
        return [tuple(out[d] for d in layout)]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x, weight, *bias = operands
        layout, kernel_layout = self.layout.data, self.kernel_layout.data
        first = channels_first(layout)
        result = convolve(
            to_layout(x, layout, first),
            to_layout(weight, kernel_layout, "OI" + first[2:]),
            ints(self.strides),
            ints(self.pads),
            ints(self.dilations),
            self.group.value.data,
        )
        if bias:
            result = result + bias[0].reshape(-1, *[1] * (len(first) - 2))
        return [to_layout(result, first, layout)]


@irdl_op_definition
class ConvTransposeOp(ConvolutionOp):
    """Transposed convolution. Layouts as in `graph.conv`; for the weight, I is x's channel.

    "IOHW" (ONNX; O counts the output channels of one group) or "OHWI" (TFLite). Output extent:
    (in - 1) * stride + (kernel - 1) * dilation + 1 + output_padding - pad_begin - pad_end.
    """

    name = "graph.conv_transpose"
    ONNX: ClassVar = ("ConvTranspose",)
    TFLITE: ClassVar = ("TRANSPOSE_CONV",)

    DEFAULTS: ClassVar = {**WINDOW_DEFAULTS, "output_padding": repeated(0, less=2), "group": 1}

    output_padding = prop_def(DenseArrayBase.constr(i64))

    @override
    def _products(self) -> int:
        # Each element of x is multiplied by a kernel for each channel of its group.
        inputs = shape_of(self.weight)[self.kernel_layout.data.index("I")]
        return prod(shape_of(self.x)) * (prod(shape_of(self.weight)) // max(inputs, 1))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        # Inputs: the result's shape, weight, x, bias. Padding is that of the convolution that
        # would make x's extents from the result's.
        _, weight, x, bias = [*node.operands, None][:4]
        options = node.options
        _check_numbers(node)
        kernel, extents = node.shape(1)[1:3], node.shape(2)[1:3]
        strides = [options.StrideH(), options.StrideW()]
        shape = node.constant(0)
        if shape is None:
            return node.unsupported()
        sizes = [int(n) for n in shape.reshape(-1)[1:3]]
        begins: list[int] = []
        ends: list[int] = []
        output_padding: list[int] = []
        for n, k, s, size in zip(extents, kernel, strides, sizes, strict=True):
            same = pads_same(node)
            if n != (-(-size // s) if same else (size - k + s) // s):
                return node.unsupported()
            surplus = (n - 1) * s + k - size
            begins.append(max(surplus, 0) // 2)
            ends.append(max(surplus, 0) - begins[-1])
            output_padding.append(max(-surplus, 0))
        (result,) = node.emit(
            cls,
            [x, weight, bias],
            layout="NHWC",
            kernel_layout="OHWI",
            strides=strides,
            pads=begins + ends,
            output_padding=output_padding,
            dilations=[1, 1],
            group=1,
        )
        return [node.activation(result, options.FusedActivationFunction())]

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        kernel = node.shape(1)[2:]
        if not 1 <= len(kernel) <= 3:
            return node.unsupported()
        letters = {1: "W", 2: "HW", 3: "DHW"}[len(kernel)]
        return node.emit(
            cls,
            [*node.operands, None][:3],
            layout="NC" + letters,
            kernel_layout="IO" + letters,
            group=node.attributes.get("group", 1),
            **onnx_transposed_window(node, kernel),
        )

    def result_shapes(self) -> Sequence[Shape]:
        layout = self.layout.data
        x_at, w_at = self.extents()
        group = self.group.value.data
        if x_at["C"] != w_at["I"] or group < 1 or w_at["I"] % group:
            raise VerificationFailure(
                f"graph.conv_transpose: {x_at['C']} input channels, the weight has {w_at['I']} "
                f"in {group} groups"
            )
        out = {"N": x_at["N"], "C": w_at["O"] * group}
        self.check_bias(out["C"])
        spatial = [d for d in layout if d not in "NC"]
        n, pads = len(spatial), ints(self.pads)
        kernel = [w_at[d] for d in spatial]
        check_window(self, n, kernel, ints(self.strides), pads, ints(self.dilations))
        for i, d in enumerate(spatial):
            out[d] = (
                (x_at[d] - 1) * ints(self.strides)[i]
                + (w_at[d] - 1) * ints(self.dilations)[i]
                + 1
                + ints(self.output_padding)[i]
                - pads[i]
                - pads[i + n]
            )
        return [tuple(out[d] for d in layout)]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x, weight, *bias = operands
        layout, kernel_layout = self.layout.data, self.kernel_layout.data
        first = channels_first(layout)
        result = convolve_transposed(
            to_layout(x, layout, first),
            to_layout(weight, kernel_layout, "IO" + first[2:]),
            ints(self.strides),
            ints(self.pads),
            ints(self.output_padding),
            ints(self.dilations),
            self.group.value.data,
        )
        if bias:
            result = result + bias[0].reshape(-1, *[1] * (len(first) - 2))
        return [to_layout(result, first, layout)]


@irdl_op_definition
class GemmOp(BiasedOp):
    """y = alpha * op(a) @ op(b) + beta * c, op being transposition where trans_a / trans_b is 1.

    a is [M, K] (or [K, M]), b [K, N] (or [N, K]), c broadcasts to [M, N]. TFLite's
    FULLY_CONNECTED is Gemm with trans_b = 1 (its input is reshaped to [M, K] first).
    """

    name = "graph.gemm"
    ONNX: ClassVar = ("Gemm",)
    TFLITE: ClassVar = ("FULLY_CONNECTED",)

    DEFAULTS: ClassVar = {"alpha": 1.0, "beta": 1.0, "trans_a": 0, "trans_b": 0}

    a = operand_def(TensorType)
    b = operand_def(TensorType)
    c = opt_operand_def(TensorType)
    result = result_def(TensorType)
    alpha = prop_def(FloatAttr.constr(f64))
    beta = prop_def(FloatAttr.constr(f64))
    trans_a = prop_def(IntegerAttr.constr(i64))
    trans_b = prop_def(IntegerAttr.constr(i64))

    @property
    @override
    def weight_channel_axis(self) -> int:
        return 0 if self.trans_b.value.data else 1

    @property
    @override
    def channel_axis(self) -> int:
        return 1

    @property
    @override
    def factors(self) -> tuple[float, float]:
        return self.alpha.value.data, self.beta.value.data

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        return node.emit(
            cls,
            [*node.operands, None][:3],
            alpha=float(node.attributes.get("alpha", 1.0)),
            beta=float(node.attributes.get("beta", 1.0)),
            trans_a=node.attributes.get("transA", 0),
            trans_b=node.attributes.get("transB", 0),
        )

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        x, weight, bias = [*node.operands, None, None][:3]
        options = node.options
        if options.WeightsFormat() != 0 or len(node.shape(1)) != 2 or x is None:
            return node.unsupported()
        _check_numbers(node)
        if bias is not None and shape_of(bias) != node.shape(1)[:1]:
            return node.unsupported()
        shape, (units, depth) = node.shape(0), node.shape(1)
        if depth == 0 or prod(shape) % depth:
            raise VerificationFailure(
                f"graph.gemm: an input of shape {list(shape)} has no rows of {depth} elements"
            )
        rows = [prod(shape) // depth, depth]
        if list(shape) != rows:
            (x,) = node.emit(ReshapeOp, [x], elements=[element_of(x)], shape=rows)
        (result,) = node.emit(cls, [x, weight, bias], alpha=1.0, beta=1.0, trans_a=0, trans_b=1)
        result = node.activation(result, options.FusedActivationFunction())
        if options.KeepNumDims() and len(shape) != 2:
            (result,) = node.emit(ReshapeOp, [result], shape=[*shape[:-1], units])
        return [result]

    def result_shapes(self) -> Sequence[Shape]:
        a, b = shape_of(self.a), shape_of(self.b)
        if len(a) != 2 or len(b) != 2:
            raise VerificationFailure("graph.gemm: both operands have rank 2")
        m, k = a[::-1] if self.trans_a.value.data else a
        k2, n = b[::-1] if self.trans_b.value.data else b
        if k != k2:
            raise VerificationFailure(f"graph.gemm: inner dimensions {k} and {k2} differ")
        if self.c is not None and broadcast_shapes(self, [shape_of(self.c), (m, n)]) != (m, n):
            raise VerificationFailure(
                f"graph.gemm: a bias of shape {list(shape_of(self.c))} for a result of {[m, n]}"
            )
        return [(m, n)]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        a, b, *c = operands
        a = a.T if self.trans_a.value.data else a
        b = b.T if self.trans_b.value.data else b
        alpha, beta = self.alpha.value.data, self.beta.value.data
        product = elementary.matmul(a, b)
        result = product if alpha == 1 else product * a.dtype.type(alpha)
        if c:
            result = result + (c[0] if beta == 1 else c[0] * a.dtype.type(beta))
        return [result]


@irdl_op_definition
class MatMulOp(ContractionOp):
    """Numpy's matmul: batched product over the last two dimensions, the others broadcast."""

    name = "graph.mat_mul"
    ONNX: ClassVar = ("MatMul",)
    TFLITE: ClassVar = ("BATCH_MATMUL",)

    a = operand_def(TensorType)
    b = operand_def(TensorType)
    result = result_def(TensorType)

    @property
    @override
    def weight_channel_axis(self) -> int:
        return len(shape_of(self.b)) - 1

    @property
    @override
    def channel_axis(self) -> int:
        return len(shape_of(self.result)) - 1

    @property
    @override
    def summed_axes(self) -> tuple[int, ...]:
        return (max(len(shape_of(self.b)) - 2, 0),)  # those in front of it are batches

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        operands: list[SSAValue] = []
        adjoint = (node.options.AdjX(), node.options.AdjY())
        for i, value in enumerate(node.operands):
            if value is None or len(node.shape(i)) < 2:
                return node.unsupported()
            operands.append(value)
            if adjoint[i]:
                rank = len(node.shape(i))
                perm = [*range(rank - 2), rank - 1, rank - 2]
                element = element_of(value)
                operands[i : i + 1] = node.emit(TransposeOp, [value], elements=[element], perm=perm)
        if any(adjoint):
            # The origin would transpose once more.
            return node.emit(cls, operands, origin=None)
        return node.emit(cls, operands)

    def result_shapes(self) -> Sequence[Shape]:
        a, b = shape_of(self.a), shape_of(self.b)
        if not a or not b:
            raise VerificationFailure("graph.mat_mul: a scalar operand")
        wide_a = (1, *a) if len(a) == 1 else a
        wide_b = (*b, 1) if len(b) == 1 else b
        if wide_a[-1] != wide_b[-2]:
            raise VerificationFailure(
                f"graph.mat_mul: inner dimensions {wide_a[-1]} and {wide_b[-2]} differ"
            )
        shape = [*broadcast_shapes(self, [wide_a[:-2], wide_b[:-2]]), wide_a[-2], wide_b[-1]]
        if len(b) == 1:
            shape.pop()
        if len(a) == 1:
            shape.pop(-1 if len(b) == 1 else -2)
        return [tuple(shape)]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.matmul(*operands)]
