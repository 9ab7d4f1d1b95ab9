"""`ftensor-unflatten-products`: a matrix product of a flattened image is a convolution of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from xdsl.dialects.builtin import i8
from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp, RescaleOp
from furiosa_ir.dialects.ftensor.contraction import ConvOp, MatMulOp
from furiosa_ir.dialects.ftensor.movement import ReshapeOp, TransposeOp
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.remarks import described, passed
from furiosa_ir.ir.rewriting import Rewrite, has_one_reader, rule
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.numerics.array import Array
from furiosa_ir.passes.image_layout import image_layout


@rule
def product_of_flattened(op: RescaleOp, x: MatMulOp, rw: Rewrite) -> SSAValue | None:
    """flatten(x) @ w = conv(x, w) with a window of all of x, which kernels leave as an image.

    The rescale goes along: what leaves the convolution's kernel are bytes.
    """
    weight = _matrix(x)
    if weight is None or not has_one_reader(x.result) or not _is_of_columns(op):
        return None
    found = _image(x.a)
    if found is None:
        return None
    image, layout = found
    shape = shape_of(image)
    n, h, w = (shape[layout.index(d)] for d in "NHW")
    if h * w == 1 or prod(shape_of(x.a)[:-1]) != n:
        return None
    passed(
        op, "product", "it is a convolution of {image}, unflattened", image=described(image.owner)
    )
    perm = [layout.index(d) for d in "NHWC"]
    if perm != [0, 1, 2, 3]:
        image = rw.emit(TransposeOp, [image], [i8], perm=perm)
    # [C_out, N = 1, ...]: the weight's other axes are the image's.
    filters = weight.reshape(-1, *shape[1:]).transpose(0, *perm[1:])
    product = rw.emit(
        ConvOp,
        [image, rw.emit(ConstantOp, [], [i8], value=BlobAttr.of(filters)), x.bias],
        [element_of(x.result)],
        layout="NHWC",
        strides=(1, 1),
        pads=(0, 0, 0, 0),
        dilations=(1, 1),
        input_dilation=(1, 1),
        group=1,
        x_zp=x.a_zp,
        weight_zp=x.b_zp,
    )
    properties: dict[str, Any] = {**op.properties}
    made = rw.emit(RescaleOp, [product, *op.operands[1:]], [element_of(op.result)], **properties)
    return rw.emit(ReshapeOp, [made], [element_of(op.result)], shape=shape_of(op.result))


def _matrix(product: MatMulOp) -> Array | None:
    """The constant that a vector is multiplied by: [results, elements]."""
    owner, shape = product.b.owner, shape_of(product.b)
    if not isinstance(owner, ConstantOp) or prod(shape[:-2]) != 1:
        return None
    matrix = owner.value.array.reshape(shape[-2:])
    return matrix if product.transpose_b.value.data else matrix.T


def _is_of_columns(op: RescaleOp) -> bool:
    """Whether factors are the same for each row, so that they fit [N, 1, 1, C], too."""
    return all(
        len(shape) <= 4 and prod(shape[:-1]) == 1 for shape in map(shape_of, op.operands[1:])
    )


def _image(value: SSAValue) -> tuple[SSAValue, str] | None:
    """What is flattened to a value, and what its axes are; None if no kernel makes an image."""
    if not isinstance(value.owner, ReshapeOp):
        return None
    elements = shape_of(value)[-1]
    while isinstance(value.owner, ReshapeOp):
        value = value.owner.x
        shape = shape_of(value)
        layout = image_layout(value) if len(shape) == 4 else None
        if layout is not None and layout[0] == "N" and prod(shape[1:]) == elements:
            return value, layout
    return None


@dataclass(frozen=True)
class UnflattenProducts(RewritePass):
    """Makes convolutions of fully connected layers that read a flattened image of a kernel.

    To flatten an image is to write all of it out to DRAM: its channels, rows and columns lie over
    slices, and a row of a matrix has only channels. A window of the whole image reads it where
    it is.

        %r = ftensor.reshape %x : tensor<1x432xi8>           // of tensor<1x3x3x48xi8>
        %p = ftensor.matmul %r, %w, %b {transpose_b = 1} : tensor<1x10xi32>   // %w: 10x432
        %y = ftensor.rescale %p, %m, %s {...} : tensor<1x10xi8>

    becomes

        %p = ftensor.conv %x, %w, %b {layout = "NHWC"} : tensor<1x1x1x10xi32> // %w: 10x3x3x48
        %q = ftensor.rescale %p, %m, %s {...} : tensor<1x1x1x10xi8>
        %y = ftensor.reshape %q : tensor<1x10xi8>
    """

    name = "ftensor-unflatten-products"
    rules = (product_of_flattened,)
