"""How each operation of `graph` is written in ONNX: one function an operator or family.

A form gets the operation and the writer and binds the operation's results. Operations without one
are functions of reals that ONNX has under the same attributes (`default_form`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import onnx
from onnx import TensorProto
from xdsl.dialects.builtin import BFloat16Type, Float16Type, FloatAttr, IntegerAttr, StringAttr

from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.graph.convolution import ConvOp, ConvTransposeOp, GemmOp
from furiosa_ir.dialects.graph.elementwise import ClipOp, TableOp
from furiosa_ir.dialects.graph.functions import HardSwishOp
from furiosa_ir.dialects.graph.movement import (
    ConcatOp,
    ExpandOp,
    PadOp,
    ReshapeOp,
    SliceOp,
    SplitOp,
    TileOp,
    TransposeOp,
)
from furiosa_ir.dialects.graph.normalization import AffineOp
from furiosa_ir.dialects.graph.pooling import AveragePoolOp, MaxPoolOp, WindowPoolOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp, StorageCastOp
from furiosa_ir.dialects.graph.rearrangement import BlockOp, GatherOp
from furiosa_ir.dialects.graph.reduction import CumSumOp, ReduceOp, ReduceSumOp, SoftmaxOp
from furiosa_ir.dialects.graph.resize import ResizeOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.exporters.onnx.writer import OnnxWriter, plain_dtype, tensor_type
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of

OpT = TypeVar("OpT", bound=GraphOp)
Form = Callable[[Any, OnnxWriter], None]

FORMS: dict[type[GraphOp], Form] = {}
"""Operation -> how it is written."""


def _writes(
    *ops: type[OpT],
) -> Callable[[Callable[[OpT, OnnxWriter], None]], Callable[[OpT, OnnxWriter], None]]:
    def declare(form: Callable[[OpT, OnnxWriter], None]) -> Callable[[OpT, OnnxWriter], None]:
        FORMS.update(dict.fromkeys(ops, form))
        return form

    return declare


def write(op: GraphOp, w: OnnxWriter) -> None:
    """Appends what an operation means and binds its results."""
    written = next((FORMS[cls] for cls in type(op).__mro__ if cls in FORMS), default_form)
    written(op, w)


def default_form(op: GraphOp, w: OnnxWriter) -> None:
    """The ONNX operator of the same name, its attributes being the operation's properties.

    A property that ONNX does not name says what every ONNX operator means (a layout, a factor 1).
    """
    domain, _, short = onnx_operator(op).rpartition("::")
    attributes = {k: _python(v) for k, v in op.semantic_properties().items()}
    if not domain:
        known = onnx.defs.get_schema(short, w.opset).attributes
        attributes = {k: v for k, v in attributes.items() if k in known}
    w.domains.setdefault(domain, 1)
    (result,) = w.node(short, [w.real(v) for v in op.operands], domain=domain, **attributes)
    w.store(result, op.results[0])


def onnx_operator(op: GraphOp) -> str:
    """The ONNX operator that an operation is written as, with its domain.

    Raises:
        CompilationFailure: there is none.
    """
    if not op.ONNX:
        raise CompilationFailure(
            f"the operator '{op.name}' has no form in ONNX to run on the host in",
            layer=layer_name(op) or None,
        )
    return op.ONNX[0]


def _python(attribute: Any) -> Any:
    match attribute:
        case IntegerAttr():
            return cast("Any", attribute).value.data
        case FloatAttr():
            return attribute.value.data
        case StringAttr():
            return attribute.data
        case _:
            return list(attribute.get_values())


@_writes(ConstantOp)
def constant(op: ConstantOp, w: OnnxWriter) -> None:
    """An initialiser."""
    w.bind(op.result, w.constant(op.value.array))


@_writes(QuantizeOp, DequantizeOp)
def change_quantization(op: QuantizeOp | DequantizeOp, w: OnnxWriter) -> None:
    """QuantizeLinear and DequantizeLinear as the types ask for them; floats of 16 bits are cast."""
    real = w.real(op.x)
    if isinstance(element_of(op.x), Float16Type | BFloat16Type):
        real = w.single("Cast", [real], to=TensorProto.FLOAT)
    if isinstance(element_of(op.result), Float16Type | BFloat16Type):
        real = w.single("Cast", [real], to=tensor_type(element_of(op.result)))
    w.store(real, op.result)


@_writes(StorageCastOp)
def storage_cast(op: StorageCastOp, w: OnnxWriter) -> None:
    """The same integers; between uint8 and int8 the top bit flips."""
    source, target = (tensor_type(element_of(v)) for v in (op.x, op.result))
    name = w.name(op.x)
    if source != target:
        shift = -128 if source == TensorProto.UINT8 else 128
        name = w.single("Cast", [name], to=TensorProto.INT32)
        name = w.single("Add", [name, w.constant(shift, np.int32)])
        name = w.single("Cast", [name], to=target)
    w.bind(op.result, name)


@_writes(TableOp)
def table(op: TableOp, w: OnnxWriter) -> None:
    """Gather from the table at stored - storage_min."""
    source = quantization_of(op.x)
    assert source is not None
    index = w.single("Cast", [w.name(op.x)], to=TensorProto.INT32)
    index = w.single("Sub", [index, w.constant(source.storage_range[0], np.int32)])
    w.bind(op.result, w.single("Gather", [w.constant(op.table.array), index], axis=0))


def _channels_first(layout: str) -> str:
    return "NC" + "".join(d for d in layout if d not in "NC")


@_writes(ConvOp, ConvTransposeOp)
def convolution(op: ConvOp | ConvTransposeOp, w: OnnxWriter) -> None:
    """Conv, ConvTranspose; other layouts than ONNX's between transposes."""
    layout, kernel = op.layout.data, op.kernel_layout.data
    first = _channels_first(layout)
    transposed = isinstance(op, ConvTransposeOp)
    spatial = "".join(d for d in kernel if d not in "OI")
    inputs = [
        w.permuted(w.real(op.x), layout, first),
        w.permuted(w.real(op.weight), kernel, ("IO" if transposed else "OI") + spatial),
    ]
    if op.bias is not None:
        inputs.append(w.real(op.bias))
    result = w.single(
        "ConvTranspose" if transposed else "Conv",
        inputs,
        strides=ints(op.strides),
        pads=ints(op.pads),
        dilations=ints(op.dilations),
        group=op.group.value.data,
        output_padding=ints(op.output_padding) if isinstance(op, ConvTransposeOp) else None,
    )
    w.store(w.permuted(result, first, layout), op.result)


@_writes(GemmOp)
def gemm(op: GemmOp, w: OnnxWriter) -> None:
    """Gemm."""
    result = w.single(
        "Gemm",
        [w.real(v) for v in op.operands],
        alpha=op.alpha.value.data,
        beta=op.beta.value.data,
        transA=op.trans_a.value.data,
        transB=op.trans_b.value.data,
    )
    w.store(result, op.result)


@_writes(MaxPoolOp, AveragePoolOp)
def pool(op: WindowPoolOp, w: OnnxWriter) -> None:
    """MaxPool, AveragePool."""
    layout, first = op.layout.data, _channels_first(op.layout.data)
    average = isinstance(op, AveragePoolOp)
    dilations = ints(op.dilations)
    result = w.single(
        "AveragePool" if average else "MaxPool",
        [w.permuted(w.real(op.x), layout, first)],
        kernel_shape=ints(op.kernel_shape),
        strides=ints(op.strides),
        pads=ints(op.pads),
        dilations=dilations if set(dilations) != {1} else None,
        ceil_mode=op.ceil_mode.value.data,
        count_include_pad=op.count_include_pad.value.data
        if isinstance(op, AveragePoolOp)
        else None,
    )
    w.store(w.permuted(result, first, layout), op.result)


@_writes(HardSwishOp)
def hard_swish(op: HardSwishOp, w: OnnxWriter) -> None:
    """HardSwish, whose factor 1 / 6 is no attribute."""
    w.store(w.single("HardSwish", [w.real(op.x)]), op.result)


@_writes(ClipOp)
def clip(op: ClipOp, w: OnnxWriter) -> None:
    """Clip with its bounds as inputs."""
    dtype = plain_dtype(op.x)
    bounds = [
        "" if bound is None else w.constant(bound.value.data, dtype)
        for bound in (op.minimum, op.maximum)
    ]
    w.store(w.single("Clip", [w.real(op.x), *bounds]), op.result)


@_writes(ReduceOp)
def reduction(op: ReduceOp, w: OnnxWriter) -> None:
    """ReduceMean and kin; the axes became an input in operator set 18 (ReduceSum: 13)."""
    axes, keepdims = list(ints(op.axes)), op.keepdims.value.data
    if isinstance(op, ReduceSumOp) or w.opset >= 18:
        inputs = [w.real(op.x), w.constant(axes, np.int64)]
        result = w.single(op.ONNX[0], inputs, keepdims=keepdims)
    else:
        result = w.single(op.ONNX[0], [w.real(op.x)], axes=axes, keepdims=keepdims)
    w.store(result, op.result)


@_writes(CumSumOp)
def cum_sum(op: CumSumOp, w: OnnxWriter) -> None:
    """CumSum with its axis as an input."""
    inputs = [w.real(op.x), w.constant(op.axis.value.data, np.int64)]
    exclusive, reverse = op.exclusive.value.data, op.reverse.value.data
    w.store(w.single("CumSum", inputs, exclusive=exclusive, reverse=reverse), op.result)


@_writes(SoftmaxOp)
def softmax(op: SoftmaxOp, w: OnnxWriter) -> None:
    """Softmax of beta * x."""
    x, beta = w.real(op.x), op.beta.value.data
    if beta != 1.0:
        x = w.single("Mul", [x, w.constant(beta, plain_dtype(op.x))])
    w.store(w.single("Softmax", [x], axis=op.axis.value.data), op.result)


@_writes(ReshapeOp, ExpandOp)
def reshape(op: ReshapeOp | ExpandOp, w: OnnxWriter) -> None:
    """Reshape, Expand."""
    extents = list(ints(op.shape))
    if isinstance(op, ExpandOp):
        w.store(w.single("Expand", [w.real(op.x), w.constant(extents, np.int64)]), op.result)
        return
    options: dict[str, int] = {}
    if 0 in extents and w.opset >= 14:
        options["allowzero"] = 1
    elif extents.count(0) == 1:  # a 0 would copy the extent of x
        extents[extents.index(0)] = -1
    inputs = [w.real(op.x), w.constant(extents, np.int64)]
    w.store(w.single("Reshape", inputs, **options), op.result)


@_writes(TransposeOp)
def transpose(op: TransposeOp, w: OnnxWriter) -> None:
    """Transpose."""
    w.store(w.single("Transpose", [w.real(op.x)], perm=ints(op.perm)), op.result)


@_writes(ConcatOp)
def concat(op: ConcatOp, w: OnnxWriter) -> None:
    """Concat."""
    inputs = [w.real(v) for v in op.inputs]
    w.store(w.single("Concat", inputs, axis=op.axis.value.data), op.result)


@_writes(SplitOp)
def split(op: SplitOp, w: OnnxWriter) -> None:
    """Split with given extents."""
    inputs = [w.real(op.x), w.constant(ints(op.split), np.int64)]
    parts = w.node("Split", inputs, outputs=len(op.parts), axis=op.axis.value.data)
    for name, part in zip(parts, op.parts, strict=True):
        w.store(name, part)


@_writes(BlockOp)
def blocks(op: BlockOp, w: OnnxWriter) -> None:
    """DepthToSpace, SpaceToDepth; in another layout or order than ONNX's, what they mean."""
    known = onnx.defs.get_schema(op.ONNX[0], w.opset).attributes
    if op.layout.data == "NCHW" and ("mode" in known or op.mode.data == "DCR"):
        default_form(op, w)
        return
    split, perm, shape = op.steps()
    value = w.single("Reshape", [w.real(op.x), w.constant(split, np.int64)])
    value = w.single("Transpose", [value], perm=perm)
    w.store(w.single("Reshape", [value, w.constant(shape, np.int64)]), op.result)


@_writes(GatherOp)
def gather(op: GatherOp, w: OnnxWriter) -> None:
    """Gather with its indices as an input."""
    inputs = [w.real(op.x), w.constant(ints(op.indices), np.int64)]
    w.store(w.single("Gather", inputs, axis=op.axis.value.data), op.result)


@_writes(AffineOp)
def affine(op: AffineOp, w: OnnxWriter) -> None:
    """Mul, then Add."""
    dtype = plain_dtype(op.x)
    factor, offset = (w.constant(b.array, dtype) for b in (op.factor, op.offset))
    w.store(w.single("Add", [w.single("Mul", [w.real(op.x), factor]), offset]), op.result)


@_writes(SliceOp)
def slice_(op: SliceOp, w: OnnxWriter) -> None:
    """Slice along every dimension; past the first element is the least integer."""
    starts, steps = ints(op.starts), ints(op.steps)
    before = np.iinfo(np.int64).min
    ends = [before if e < 0 and s < 0 else e for e, s in zip(ints(op.ends), steps, strict=True)]
    arguments = [starts, ends, range(len(starts)), steps]
    inputs = [w.real(op.x), *(w.constant(list(a), np.int64) for a in arguments)]
    w.store(w.single("Slice", inputs), op.result)


@_writes(PadOp)
def pad(op: PadOp, w: OnnxWriter) -> None:
    """Pad in the modes that ONNX has."""
    mode = op.mode.data
    if mode == "symmetric":
        raise CompilationFailure(
            "padding by mirrored elements with the edge repeated has no form in ONNX",
            layer=layer_name(op) or None,
        )
    inputs = [w.real(op.x), w.constant(ints(op.pads), np.int64)]
    if mode == "constant":
        inputs.append(w.constant(op.value.value.data, plain_dtype(op.x)))
    w.store(w.single("Pad", inputs, mode=mode), op.result)


@_writes(TileOp)
def tile(op: TileOp, w: OnnxWriter) -> None:
    """Tile."""
    w.store(w.single("Tile", [w.real(op.x), w.constant(ints(op.repeats), np.int64)]), op.result)


@_writes(ResizeOp)
def resize(op: ResizeOp, w: OnnxWriter) -> None:
    """Resize by sizes where the factors follow from them, else by the factors."""
    layout, first = op.layout.data, _channels_first(op.layout.data)
    at = dict(zip(layout, shape_of(op.x), strict=True))
    sizes, scales = ints(op.sizes), op.scales.get_values()
    spatial = [at[d] for d in first[2:]]
    follow = all(abs(s - n / x) < 1e-9 for s, n, x in zip(scales, sizes, spatial, strict=True))
    inputs = [w.permuted(w.real(op.x), layout, first), ""]
    if follow:
        inputs += ["", w.constant([at["N"], at["C"], *sizes], np.int64)]
    else:
        inputs += [w.constant([1.0, 1.0, *scales], np.float32)]
    nearest = op.mode.data == "nearest"
    result = w.single(
        "Resize",
        inputs,
        mode=op.mode.data,
        coordinate_transformation_mode=op.coordinates.data,
        nearest_mode=op.nearest_mode.data if nearest else None,
    )
    w.store(w.permuted(result, first, layout), op.result)
