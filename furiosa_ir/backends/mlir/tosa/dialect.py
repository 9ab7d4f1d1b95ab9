"""TOSA's operations, as far as lowerings make them: in generic form, which every version reads.

Upstream's pretty syntax of them differs between versions, and xDSL's dialect has few of them.
What the operations mean the specification says (TOSA 1.0); what holds of their operands, upstream's
verifier checks (`iree-opt`, `tosa-opt`).
"""

from __future__ import annotations

from xdsl.dialects.tosa import NanModeAttr, RoundingModeAttr
from xdsl.ir import Attribute, Data, Dialect, Operation, TypeAttribute
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.traits import Pure


@irdl_attr_definition
class ShapeType(Data[int], TypeAttribute):
    """`!tosa.shape<4>`: a list of so many extents."""

    name = "tosa.shape"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> int:
        with parser.in_angle_brackets():
            return parser.parse_integer(allow_boolean=False, allow_negative=False)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(str(self.data))


class TosaOp(IRDLOperation):
    """An operation of one result."""

    arguments = var_operand_def()
    output = result_def()

    traits = traits_def(Pure())


@irdl_op_definition
class ConstOp(TosaOp):
    """Integers; a `#graph.blob` in our IR, `dense` in text for other tools."""

    name = "tosa.const"
    values = prop_def(Attribute)


@irdl_op_definition
class ConstShapeOp(TosaOp):
    """Extents: of `index`, one dimension."""

    name = "tosa.const_shape"
    values = prop_def(Attribute)


class WindowOp(TosaOp):
    """Windows over H and W of NHWC data; pads are top, bottom, left, right."""

    pad = prop_def(Attribute)
    stride = prop_def(Attribute)


@irdl_op_definition
class Conv2DOp(WindowOp):
    """Operands: input, weight (OHWI), bias, and the zero points of both."""

    name = "tosa.conv2d"
    dilation = prop_def(Attribute)
    acc_type = prop_def(Attribute)


@irdl_op_definition
class DepthwiseConv2DOp(WindowOp):
    """As `tosa.conv2d`, the weight HWCM."""

    name = "tosa.depthwise_conv2d"
    dilation = prop_def(Attribute)
    acc_type = prop_def(Attribute)


@irdl_op_definition
class MaxPool2DOp(WindowOp):
    """The greatest element of each window."""

    name = "tosa.max_pool2d"
    kernel = prop_def(Attribute)
    nan_mode = prop_def(NanModeAttr)


@irdl_op_definition
class MatMulOp(TosaOp):
    """Products of [N, H, C] by [N, C, W]; the operands' zero points behind them."""

    name = "tosa.matmul"


@irdl_op_definition
class RescaleOp(TosaOp):
    """Operands: input, multiplier, shift, and the zero points of input and output."""

    name = "tosa.rescale"
    scale32 = prop_def(Attribute)
    rounding_mode = prop_def(RoundingModeAttr)
    per_channel = prop_def(Attribute)
    input_unsigned = prop_def(Attribute)
    output_unsigned = prop_def(Attribute)


@irdl_op_definition
class ClampOp(TosaOp):
    """min(max(x, min_val), max_val)."""

    name = "tosa.clamp"
    min_val = prop_def(Attribute)
    max_val = prop_def(Attribute)
    nan_mode = prop_def(NanModeAttr)


@irdl_op_definition
class AddOp(TosaOp):
    """a + b."""

    name = "tosa.add"


@irdl_op_definition
class SubOp(TosaOp):
    """a - b."""

    name = "tosa.sub"


@irdl_op_definition
class MulOp(TosaOp):
    """a * b in 64 bits, shifted right by the third operand, ties up; an i32 has to hold it."""

    name = "tosa.mul"


@irdl_op_definition
class MinimumOp(TosaOp):
    """The lesser of a and b."""

    name = "tosa.minimum"
    nan_mode = prop_def(NanModeAttr)


@irdl_op_definition
class MaximumOp(TosaOp):
    """The greater of a and b."""

    name = "tosa.maximum"
    nan_mode = prop_def(NanModeAttr)


@irdl_op_definition
class GreaterOp(TosaOp):
    """Whether a > b: i1."""

    name = "tosa.greater"


@irdl_op_definition
class SelectOp(TosaOp):
    """The second operand where the first holds, else the third."""

    name = "tosa.select"


@irdl_op_definition
class AbsOp(TosaOp):
    """The magnitude."""

    name = "tosa.abs"


@irdl_op_definition
class RightShiftOp(TosaOp):
    """a >> b, the sign moving in; with `round`, to nearest, ties up."""

    name = "tosa.arithmetic_right_shift"
    round = prop_def(Attribute)


@irdl_op_definition
class CastOp(TosaOp):
    """The same integers in another width."""

    name = "tosa.cast"


@irdl_op_definition
class IdentityOp(TosaOp):
    """The same tensor: results of a graph are results of operations, each one's own."""

    name = "tosa.identity"


@irdl_op_definition
class TableOp(TosaOp):
    """table[x + 128] of an i8."""

    name = "tosa.table"


@irdl_op_definition
class GatherOp(TosaOp):
    """values[n, indices[n, w], c] of [N, K, C] and [N, W]."""

    name = "tosa.gather"


@irdl_op_definition
class ReshapeOp(TosaOp):
    """The same elements under another shape."""

    name = "tosa.reshape"


@irdl_op_definition
class TransposeOp(TosaOp):
    """Dimension i of the result is dimension perms[i]."""

    name = "tosa.transpose"
    perms = prop_def(Attribute)


@irdl_op_definition
class ConcatOp(TosaOp):
    """The operands one behind the other."""

    name = "tosa.concat"
    axis = prop_def(Attribute)


@irdl_op_definition
class SliceOp(TosaOp):
    """A part: its start and its size are shapes."""

    name = "tosa.slice"


@irdl_op_definition
class PadOp(TosaOp):
    """Elements around a tensor: begin and end of each dimension, and the number."""

    name = "tosa.pad"


@irdl_op_definition
class TileOp(TosaOp):
    """A tensor repeated so often along each dimension."""

    name = "tosa.tile"


@irdl_op_definition
class ReduceSumOp(TosaOp):
    """The sum along an axis, whose extent becomes 1."""

    name = "tosa.reduce_sum"
    axis = prop_def(Attribute)


@irdl_op_definition
class ReduceMaxOp(TosaOp):
    """The greatest element along an axis, whose extent becomes 1."""

    name = "tosa.reduce_max"
    axis = prop_def(Attribute)
    nan_mode = prop_def(NanModeAttr)


OPERATIONS: list[type[Operation]] = [
    *(ConstOp, ConstShapeOp, Conv2DOp, DepthwiseConv2DOp, MaxPool2DOp, MatMulOp, RescaleOp),
    *(ClampOp, AddOp, SubOp, MulOp, MinimumOp, MaximumOp, GreaterOp, SelectOp, AbsOp),
    *(RightShiftOp, CastOp, IdentityOp, TableOp, GatherOp, ReshapeOp, TransposeOp, ConcatOp),
    *(SliceOp, PadOp, TileOp, ReduceSumOp, ReduceMaxOp),
]

Tosa = Dialect("tosa", OPERATIONS, [ShapeType, NanModeAttr, RoundingModeAttr])
