"""What operators of older versions of ONNX's operator set are in newer ones: a rule a change.

A rule is for one version of an operator, and gets a node of the version before it. It changes the
node and adds it to what the node becomes (`Site.keep`), or adds others. Changes that need none (a
type more, an attribute whose default is what the operator did) have none; `opsets` tells.

The meanings are those of onnx's Changelog.md; where the text leaves something open (the mask of
Dropout), those of onnxruntime's kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir.importers.onnx.opset_site import Inexpressible, Site

Rule = Callable[[Site], None]

RULES: dict[tuple[str, int], Rule] = {}
"""(operator, the version that it comes to) -> how."""


def _rule(version: int, *operators: str) -> Callable[[Rule], Rule]:
    def declare(rule: Rule) -> Rule:
        RULES.update({(o, version): rule for o in operators})
        return rule

    return declare


_ELEMENTWISE_6 = (
    *("Abs", "Ceil", "Elu", "Exp", "Floor", "HardSigmoid", "InstanceNormalization", "LeakyRelu"),
    *("Log", "Max", "Mean", "Min", "Neg", "PRelu", "Reciprocal", "Relu", "Sigmoid", "Sqrt", "Sum"),
    *("Tanh", "Add", "Div", "Mul", "Sub", "Clip", "BatchNormalization", "Dropout"),
)


@_rule(6, *_ELEMENTWISE_6)
def without_consumed_inputs(site: Site) -> None:
    """A hint to reuse memory."""
    site.take("consumed_inputs")
    site.keep()


@_rule(6, "Selu")
def selu(site: Site) -> None:
    """The defaults have got digits."""
    site.take("consumed_inputs")
    site.set("alpha", site.take("alpha", 1.6732))
    site.set("gamma", site.take("gamma", 1.0507))
    site.keep()


@_rule(7, "Add", "Div", "Mul", "Sub", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less")
def broadcasting(site: Site) -> None:
    """With `broadcast` the second operand lies in the first one's dimensions from `axis` on."""
    axis, broadcast = site.take("axis"), site.take("broadcast", 0)
    if broadcast and axis is not None:
        a, b = (site.shape(site.input(i)) for i in (0, 1))
        first = axis + len(a) if axis < 0 else axis
        behind = len(a) - first - len(b)
        if first < 0 or behind < 0:
            raise Inexpressible(
                f"the second operand of '{site.node.op_type}' has {len(b)} dimensions, which do "
                f"not lie in the first one's {len(a)} from axis {axis} on (broadcast)"
            )
        if behind:
            axes = list(range(len(b), len(b) + behind))
            site.node.input[1] = site.add("Unsqueeze", [site.input(1)], axes=axes)
    site.keep()


@_rule(7, "PRelu")
def prelu(site: Site) -> None:
    """One slope, or one for each channel."""
    slope = site.shape(site.input(1))
    if len(slope) == 1 and slope[0] != 1:
        behind = len(site.shape(site.input(0))) - 2
        if behind > 0:
            axes = list(range(1, 1 + behind))
            site.node.input[1] = site.add("Unsqueeze", [site.input(1)], axes=axes)
    site.keep()


@_rule(7, "BatchNormalization", "Dropout")
def tested(site: Site) -> None:
    """`is_test` says that the network is not being trained, which nothing here is.

    That of BatchNormalization with one output was one that is not.
    """
    is_test = site.take("is_test", 0)
    outputs = [o for o in site.node.output if o]
    if site.node.op_type == "BatchNormalization" and not is_test and len(outputs) > 1:
        raise Inexpressible("'BatchNormalization' that is being trained is not supported")
    site.keep()


@_rule(7, "Gemm")
def gemm(site: Site) -> None:
    """The third operand is broadcast wherever it has to be."""
    site.take("broadcast")
    site.keep()


@_rule(3, "GRU")
@_rule(7, "GRU", "LSTM", "RNN")
def recurrent(site: Site) -> None:
    """What results are made says which outputs have names; a default was misspelt."""
    site.take("output_sequence")
    site.keep()


@_rule(6, "Cast")
def cast_6(site: Site) -> None:
    """The type was said by its name."""
    name = site.take("to", b"")
    name = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    types = cast("Any", TensorProto.DataType)
    if name.upper() not in types.keys():  # noqa: SIM118  # no mapping, only alike
        raise Inexpressible(f"'Cast' to '{name[:40]}', which is no type")
    site.set("to", types.Value(name.upper()))
    site.keep()


@_rule(4, "Concat")
def concat(site: Site) -> None:
    """The axis had a default."""
    site.set("axis", site.take("axis", 1))
    site.keep()


@_rule(2, "Pad")
def pad_2(site: Site) -> None:
    """`paddings` is called `pads`."""
    site.set("pads", site.take("paddings", []))
    site.keep()


@_rule(2, "GlobalLpPool", "LpPool")
def lp_pool(site: Site) -> None:
    """The norm is a whole number."""
    p = site.take("p", 2.0)
    if p != int(p):
        raise Inexpressible(f"'{site.node.op_type}' with p = {p}")
    site.set("p", int(p))
    site.keep()


@_rule(2, "Split")
def split_2(site: Site) -> None:
    """The extents of the parts may have been an input."""
    if site.input(1):
        site.set("split", [int(n) for n in site.elements(1).reshape(-1)])
    del site.node.input[1:]
    site.set("axis", site.take("axis", 0))
    site.keep()


@_rule(5, "Reshape")
def reshape(site: Site) -> None:
    """The shape was an attribute."""
    site.take("consumed_inputs")
    site.set_input(1, site.constant(site.take("shape", [])))
    site.keep()


@_rule(6, "Tile")
def tile(site: Site) -> None:
    """It repeated along one axis."""
    times, axis = (int(site.elements(i).reshape(-1)[0]) for i in (1, 2))
    repeats = [1] * len(site.shape(site.input(0)))
    repeats[axis] = times
    site.replace("Tile", [site.input(0), site.constant(repeats)])


@_rule(7, "Upsample")
def upsample_7(site: Site) -> None:
    """The factors of height and width."""
    scales = [1.0, 1.0, site.take("height_scale", 1.0), site.take("width_scale", 1.0)]
    site.set("scales", scales)
    site.keep()


@_rule(9, "Upsample")
def upsample_9(site: Site) -> None:
    """The factors are an input."""
    site.set_input(1, site.constant(site.take("scales", []), np.float32))
    site.keep()


@_rule(10, "Upsample")
def upsample_10(site: Site) -> None:
    """It is called Resize."""
    site.replace("Resize", list(site.node.input), mode=site.take("mode", "nearest"))


@_rule(11, "Resize")
def resize(site: Site) -> None:
    """It says where elements come from: at index / scale.

    What nearest means the text left open; onnxruntime rounds down along axes that grow, and up
    along those that shrink.
    """
    mode = site.take("mode", b"nearest")
    nearest = None
    if mode in (b"nearest", "nearest"):
        scales = site.elements(1)
        nearest = "ceil" if np.any(scales < 1) else "floor"
        if np.any(scales < 1) and np.any(scales > 1):
            raise Inexpressible(
                "'Resize' of operator set 10 shrinks one axis and stretches another"
            )
    site.replace(
        "Resize",
        [site.input(0), site.constant([], np.float32), site.input(1)],
        mode=mode,
        coordinate_transformation_mode="asymmetric",
        nearest_mode=nearest,
    )


@_rule(9, "BatchNormalization")
def batch_normalization_9(site: Site) -> None:
    """Without `spatial`, each element of a sample has its own mean and variance."""
    if site.take("spatial", 1):
        site.keep()
        return
    if len([o for o in site.node.output if o]) > 1:
        raise Inexpressible("'BatchNormalization' that is being trained is not supported")
    x, scale, bias, mean, variance = (site.input(i) for i in range(5))
    epsilon = site.take("epsilon", 1e-5)
    least = site.constant(epsilon, _dtype(site, variance))
    deviation = site.add("Sqrt", [site.add("Add", [variance, least])])
    centred = site.add("Div", [site.add("Sub", [x, mean]), deviation])
    site.node.output[1:] = []
    site.replace("Add", [site.add("Mul", [centred, scale]), bias])


@_rule(14, "BatchNormalization")
def batch_normalization_14(site: Site) -> None:
    """Its statistics are other ones."""
    if len([o for o in site.node.output if o]) > 1:
        raise Inexpressible("'BatchNormalization' that is being trained is not supported")
    del site.node.output[1:]
    site.keep()


def _dtype(site: Site, name: str) -> np.dtype[Any]:
    """The element type of a value of reals; f32 where nothing tells it."""
    code = site.element(name)
    return np.dtype(helper.tensor_dtype_to_np_dtype(code or TensorProto.FLOAT))


@_rule(10, "Dropout")
def dropout_10(site: Site) -> None:
    """The mask was of the data's type; onnxruntime's is of zeros."""
    if len(site.node.output) < 2 or not site.node.output[1]:
        site.keep()
        return
    x, (y, mask) = site.input(0), site.node.output
    zero = numpy_helper.from_array(np.zeros(1, _dtype(site, x)))
    site.add("ConstantOfShape", [site.add("Shape", [x])], str(mask), value=zero)
    if y:
        site.add("Identity", [x], str(y))


@_rule(12, "Dropout")
def dropout_12(site: Site) -> None:
    """onnxruntime's mask was False everywhere."""
    ratio = site.take("ratio")
    if len(site.node.output) > 1 and site.node.output[1]:
        x, (y, mask) = site.input(0), site.node.output
        no = numpy_helper.from_array(np.zeros(1, np.bool_))
        site.add("ConstantOfShape", [site.add("Shape", [x])], str(mask), value=no)
        if y:
            site.add("Identity", [x], str(y))
        return
    if ratio is not None:
        site.set_input(1, site.constant(ratio, np.float32))
    site.keep()


@_rule(11, "Clip")
def clip(site: Site) -> None:
    """The bounds are inputs."""
    dtype = _dtype(site, site.input(0))
    for index, name in ((1, "min"), (2, "max")):
        bound = site.take(name)
        if bound is not None:
            site.set_input(index, site.constant(bound, dtype))
    site.keep()


@_rule(11, "Pad")
def pad_11(site: Site) -> None:
    """The pads are an input."""
    value = site.take("value", 0.0)
    site.set_input(1, site.constant(site.take("pads", [])))
    if value:
        site.set_input(2, site.constant(value, _dtype(site, site.input(0))))
    site.keep()


@_rule(10, "Slice")
def slice_(site: Site) -> None:
    """The bounds are inputs."""
    starts, ends, axes = (site.take(n, []) for n in ("starts", "ends", "axes"))
    for index, values in ((1, starts), (2, ends), (3, axes)):
        if values or index < 3:
            site.set_input(index, site.constant(values))
    site.keep()


@_rule(10, "TopK")
def top_k(site: Site) -> None:
    """How many is an input."""
    site.set_input(1, site.constant([site.take("k", 1)]))
    site.keep()


@_rule(11, "Scatter")
def scatter(site: Site) -> None:
    """It is called ScatterElements."""
    site.replace("ScatterElements", list(site.node.input), axis=site.take("axis", 0))


@_rule(13, "Softmax", "LogSoftmax", "Hardmax")
def softmax(site: Site) -> None:
    """The dimensions from `axis` on were one."""
    x, axis = site.input(0), int(site.take("axis", 1))
    rank = site.rank(x)
    if rank is not None and axis % max(rank, 1) == rank - 1:
        site.set("axis", -1)
        site.keep()
        return
    flat = site.add("Flatten", [x], axis=axis)
    chosen = site.add(str(site.node.op_type), [flat], axis=-1)
    site.replace("Reshape", [chosen, site.add("Shape", [x])])


@_rule(13, "Squeeze", "Unsqueeze", "ReduceSum")
@_rule(
    18,
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"),
    *("ReduceMin", "ReduceProd", "ReduceSumSquare"),
)
def axes_as_input(site: Site) -> None:
    """The axes are an input."""
    axes = site.take("axes")
    if axes is not None:
        site.set_input(1, site.constant(axes))
    site.keep()


@_rule(13, "Split")
def split_13(site: Site) -> None:
    """The extents of the parts are an input."""
    extents = site.take("split")
    if extents is not None:
        site.set_input(1, site.constant(extents))
    site.keep()


@_rule(18, "Split")
def split_18(site: Site) -> None:
    """Equal parts say how many."""
    if not site.input(1):
        site.set("num_outputs", len(site.node.output))
    site.keep()


@_rule(16, "RoiAlign")
def roi_align(site: Site) -> None:
    """The regions were not moved by half a pixel."""
    site.set("coordinate_transformation_mode", "output_half_pixel")
    site.keep()


@_rule(20, "GridSample")
def grid_sample(site: Site) -> None:
    """Its modes have other names."""
    mode = site.take("mode", b"bilinear")
    mode = mode.decode() if isinstance(mode, bytes) else mode
    site.set("mode", {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode))
    site.keep()


@_rule(20, "DFT")
def dft(site: Site) -> None:
    """The axis is an input."""
    site.set_input(2, site.constant(site.take("axis", 1)))
    site.keep()


@_rule(21, "GroupNormalization")
def group_normalization(site: Site) -> None:
    """Scale and bias are those of channels, no longer of groups."""
    channels = site.shape(site.input(0))[1]
    groups = next((a.i for a in site.node.attribute if a.name == "num_groups"), 0)
    if not channels or not groups:
        raise Inexpressible("'GroupNormalization' of unknown channels")
    for index in (1, 2):
        row = site.add("Unsqueeze", [site.input(index), site.constant([1])])
        spread = site.add("Expand", [row, site.constant([groups, channels // groups])])
        site.set_input(index, site.add("Reshape", [spread, site.constant([-1])]))
    site.keep()
