"""The shapes of the results of TFLite operators that are carried whole.

LiteRT computes every shape when it prepares a network; what the file says of a result counts for
nothing there. Operations of ours have their own shape rules; these are for the others, after
`Prepare` of LiteRT's kernels (tflite/kernels). A rule gets the operator and gives a shape a result;
what it raises or leaves out (`_UNKNOWN`) the file has to tell.

To add an operator, name it at a rule, or write one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from furiosa_ir.dialects.graph.base import TFLiteNode
from furiosa_ir.dialects.graph.tflite_arguments import (
    broadcast_target,
    reshape_target,
    split_extents,
)
from furiosa_ir.errors import ImportFailure
from furiosa_ir.ir.shaped_operation import DYNAMIC, Shape

_UNKNOWN = -1
"""An extent that an operand's elements decide, which are not constant: the file may tell it."""

Rule = Callable[[TFLiteNode], Sequence[Shape]]

_RULES: dict[str, Rule] = {}


class _Open(Exception):
    """Nothing tells the rank."""


def result_shapes(node: TFLiteNode) -> Sequence[Shape] | None:
    """The shape of each result; None where only the file tells.

    An extent is DYNAMIC where only running the network tells it, and -1 where the elements of an
    operand that is not constant decide it.

    Raises:
        ImportFailure: the operands' shapes contradict each other.
    """
    rule = _RULES.get(node.op_type)
    try:
        return None if rule is None else rule(node)
    except _Open:
        return None


def _rule(*operators: str) -> Callable[[Rule], Rule]:
    def declare(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(operators, rule))
        return rule

    return declare


def _numbers(node: TFLiteNode, index: int) -> list[int] | None:
    """The elements of a constant input of integers; None where it is not constant."""
    elements = node.constant(index)
    return None if elements is None else [int(n) for n in elements.reshape(-1)]


def _shape_in(node: TFLiteNode, index: int) -> Shape:
    """The shape that input `index` holds, of extents that nobody knows where it is computed."""
    numbers = _numbers(node, index)
    if numbers is not None:
        return tuple(numbers)
    shape = node.shape(index)
    if len(shape) != 1 or shape[0] == DYNAMIC:
        raise _Open
    return (_UNKNOWN,) * shape[0]


def _front(axis: int, rank: int) -> int:
    made = axis + rank if axis < 0 else axis
    if not 0 <= made < rank:
        raise ImportFailure(f"axis {axis} of a tensor of {rank} dimensions")
    return made


@_rule(
    *("ABS", "BUCKETIZE", "CAST", "CEIL", "COMPLEX_ABS", "COS", "CUMSUM", "DEQUANTIZE", "ELU"),
    *("DYNAMIC_UPDATE_SLICE", "EXP", "FAKE_QUANT", "FLOOR", "GELU", "HARD_SWISH", "IMAG", "LOG"),
    *("L2_NORMALIZATION", "LEAKY_RELU", "LOCAL_RESPONSE_NORMALIZATION", "LOG_SOFTMAX"),
    *("LOGICAL_NOT", "LOGISTIC", "MATRIX_SET_DIAG", "NEG", "QUANTIZE", "REAL", "RELU", "RELU6"),
    *("RELU_0_TO_1", "RELU_N1_TO_1", "REVERSE_SEQUENCE", "REVERSE_V2", "ROUND", "RSQRT", "SIGN"),
    *("SIN", "SOFTMAX", "SQRT", "SQUARE", "TANH", "ZEROS_LIKE", "ADD_N", "DENSIFY"),
)
def same(node: TFLiteNode) -> Sequence[Shape]:
    """That of the first operand."""
    return [node.shape(0)]


@_rule("SELECT")
def select(node: TFLiteNode) -> Sequence[Shape]:
    """That of what is selected from."""
    return [node.shape(1)]


@_rule(
    *("ADD", "ATAN2", "BITWISE_XOR", "DIV", "EQUAL", "FLOOR_DIV", "FLOOR_MOD", "GREATER"),
    *("GREATER_EQUAL", "LESS", "LESS_EQUAL", "LOGICAL_AND", "LOGICAL_OR", "MAXIMUM", "MINIMUM"),
    *("MUL", "NOT_EQUAL", "POW", "PRELU", "RIGHT_SHIFT", "SELECT_V2", "SQUARED_DIFFERENCE", "SUB"),
)
def broadcast(node: TFLiteNode) -> Sequence[Shape]:
    """The operands, broadcast."""
    return [_broadcast([node.shape(i) for i in range(len(node.operands))])]


def _broadcast(shapes: Sequence[Shape]) -> Shape:
    rank = max(map(len, shapes))
    made: list[int] = []
    for extents in zip(*((1,) * (rank - len(s)) + tuple(s) for s in shapes), strict=True):
        fixed = {n for n in extents if n not in (1, DYNAMIC)}
        if len(fixed) > 1:
            raise ImportFailure(f"the shapes {[list(s) for s in shapes]} do not broadcast")
        made.append(fixed.pop() if fixed else DYNAMIC if DYNAMIC in extents else 1)
    return tuple(made)


@_rule("SUM", "MEAN", "REDUCE_ALL", "REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")
def reduction(node: TFLiteNode) -> Sequence[Shape]:
    """Without the axes, or with an extent of 1 for each."""
    shape, keep = node.shape(0), bool(node.options.KeepDims())
    axes = _numbers(node, 1)
    if axes is None:
        given = node.shape(1)
        count = 0 if keep else given[0] if given else 1
        if count == DYNAMIC:
            raise _Open
        return [(_UNKNOWN,) * (len(shape) - count)]
    gone = {_front(a, len(shape)) for a in axes}
    kept = [1 if i in gone else n for i, n in enumerate(shape) if keep or i not in gone]
    return [tuple(kept)]


@_rule("ARG_MAX", "ARG_MIN")
def arg_max(node: TFLiteNode) -> Sequence[Shape]:
    """Without the axis."""
    shape, axis = node.shape(0), _numbers(node, 1)
    if axis is None:
        return [(_UNKNOWN,) * (len(shape) - 1)]
    gone = _front(axis[0], len(shape))
    return [(*shape[:gone], *shape[gone + 1 :])]


@_rule("RESHAPE")
def reshape(node: TFLiteNode) -> Sequence[Shape]:
    """What the second operand says, if there is one, or the option."""
    target = reshape_target(node)
    return [_shape_in(node, 1) if target is None else target]


@_rule("SQUEEZE", "EXPAND_DIMS")
def squeeze(node: TFLiteNode) -> Sequence[Shape]:
    """Dimensions of 1 less, or one more."""
    target = reshape_target(node)
    return [(_UNKNOWN,) * (len(node.shape(0)) + 1) if target is None else target]


@_rule("BROADCAST_TO")
def broadcast_to(node: TFLiteNode) -> Sequence[Shape]:
    """What the second operand says."""
    target = broadcast_target(node)
    return [_shape_in(node, 1) if target is None else target]


@_rule("BROADCAST_ARGS")
def broadcast_args(node: TFLiteNode) -> Sequence[Shape]:
    """A shape: as many extents as the longer one has."""
    lengths = [node.shape(i)[0] for i in (0, 1)]
    return [(DYNAMIC if DYNAMIC in lengths else max(lengths),)]


@_rule("SPLIT", "SPLIT_V")
def split(node: TFLiteNode) -> Sequence[Shape]:
    """The parts."""
    shape = node.shape(1 if node.op_type == "SPLIT" else 0)
    parts = split_extents(node)
    if parts is None:
        return [(_UNKNOWN,) * len(shape)] * len(node.result_types)
    axis, extents = parts
    return [(*shape[:axis], n, *shape[axis + 1 :]) for n in extents]


@_rule("CONCATENATION")
def concatenation(node: TFLiteNode) -> Sequence[Shape]:
    """One behind the other."""
    shapes = [node.shape(i) for i in range(len(node.operands))]
    axis = _front(node.options.Axis(), len(shapes[0]))
    along = [s[axis] for s in shapes]
    made = list(shapes[0])
    made[axis] = DYNAMIC if DYNAMIC in along else sum(along)
    return [tuple(made)]


@_rule("PACK")
def pack(node: TFLiteNode) -> Sequence[Shape]:
    """A dimension more, of as many as there are."""
    shape = node.shape(0)
    axis = _front(node.options.Axis(), len(shape) + 1)
    return [(*shape[:axis], len(node.operands), *shape[axis:])]


@_rule("UNPACK")
def unpack(node: TFLiteNode) -> Sequence[Shape]:
    """A dimension less."""
    shape = node.shape(0)
    axis = _front(node.options.Axis(), len(shape))
    return [(*shape[:axis], *shape[axis + 1 :])] * len(node.result_types)


@_rule("TRANSPOSE")
def transpose(node: TFLiteNode) -> Sequence[Shape]:
    """Permuted."""
    shape, perm = node.shape(0), _numbers(node, 1)
    if perm is None:
        return [(_UNKNOWN,) * len(shape)]
    return [tuple(shape[_front(p, len(shape))] for p in perm)]


@_rule("TILE")
def tile(node: TFLiteNode) -> Sequence[Shape]:
    """Each extent so many times."""
    shape, times = node.shape(0), _numbers(node, 1)
    if times is None:
        return [(_UNKNOWN,) * len(shape)]
    return [tuple(n if n == DYNAMIC else n * t for n, t in zip(shape, times, strict=True))]


@_rule("PAD", "PADV2", "MIRROR_PAD")
def pad(node: TFLiteNode) -> Sequence[Shape]:
    """With what is around it."""
    shape, pads = node.shape(0), _numbers(node, 1)
    if pads is None:
        return [(_UNKNOWN,) * len(shape)]
    return [
        tuple(
            DYNAMIC if n == DYNAMIC else n + sum(pads[2 * i : 2 * i + 2])
            for i, n in enumerate(shape)
        )
    ]


@_rule("SLICE")
def slice_(node: TFLiteNode) -> Sequence[Shape]:
    """Extents that are given, or the rest from where it begins.

    LiteRT leaves all open where one of both operands is computed.
    """
    shape, begins, sizes = node.shape(0), _numbers(node, 1), _numbers(node, 2)
    if begins is None or sizes is None:
        return [(DYNAMIC,) * len(shape)]
    rows = zip(shape, begins, sizes, strict=True)
    return [tuple((DYNAMIC if n == DYNAMIC else n - b) if s == -1 else s for n, b, s in rows)]


@_rule("STRIDED_SLICE")
def strided_slice(node: TFLiteNode) -> Sequence[Shape]:
    """Open in all dimensions: what is constant is an operation."""
    if all(_numbers(node, i) is not None for i in (1, 2, 3)):
        raise _Open
    options, count = node.options, node.shape(1)[0]
    gone = (options.ShrinkAxisMask() & ~options.NewAxisMask() & ((1 << count) - 1)).bit_count()
    added = (options.NewAxisMask() & ((1 << count) - 1)).bit_count()
    if options.EllipsisMask():
        raise _Open
    return [(DYNAMIC,) * (len(node.shape(0)) - gone + added)]


@_rule("GATHER")
def gather(node: TFLiteNode) -> Sequence[Shape]:
    """The indices in place of the axis."""
    shape, indices = node.shape(0), node.shape(1)
    axis = _front(node.options.Axis(), len(shape))
    batch = _front(node.options.BatchDims(), len(indices) + 1)
    return [(*shape[:axis], *indices[batch:], *shape[axis + 1 :])]


@_rule("GATHER_ND")
def gather_nd(node: TFLiteNode) -> Sequence[Shape]:
    """A slice for each row of indices."""
    shape, indices = node.shape(0), node.shape(1)
    if not indices or indices[-1] == DYNAMIC:
        raise _Open
    return [(*indices[:-1], *shape[indices[-1] :])]


@_rule("SCATTER_ND")
def scatter_nd(node: TFLiteNode) -> Sequence[Shape]:
    """What the third operand says."""
    return [_shape_in(node, 2)]


@_rule("SPARSE_TO_DENSE")
def sparse_to_dense(node: TFLiteNode) -> Sequence[Shape]:
    """What the second operand says."""
    return [_shape_in(node, 1)]


@_rule("FILL", "RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM")
def fill(node: TFLiteNode) -> Sequence[Shape]:
    """What the first operand says."""
    return [_shape_in(node, 0)]


@_rule("MULTINOMIAL")
def multinomial(node: TFLiteNode) -> Sequence[Shape]:
    """So many of each row."""
    count = _numbers(node, 1)
    return [(node.shape(0)[0], _UNKNOWN if count is None else count[0])]


@_rule("ONE_HOT")
def one_hot(node: TFLiteNode) -> Sequence[Shape]:
    """A dimension of the depth more."""
    shape, depth = node.shape(0), _numbers(node, 1)
    axis = node.options.Axis()
    axis = len(shape) if axis == -1 else _front(axis, len(shape) + 1)
    return [(*shape[:axis], _UNKNOWN if depth is None else depth[0], *shape[axis:])]


@_rule("TOPK_V2")
def top_k(node: TFLiteNode) -> Sequence[Shape]:
    """So many of the last dimension, and where they were."""
    count = _numbers(node, 1)
    made = (*node.shape(0)[:-1], _UNKNOWN if count is None else count[0])
    return [made, made]


@_rule("SHAPE")
def shape(node: TFLiteNode) -> Sequence[Shape]:
    """One extent a dimension."""
    return [(len(node.shape(0)),)]


_RULES["RANK"] = lambda _: [()]

# What is constant is computed at import.
_RULES["RANGE"] = lambda _: [(DYNAMIC,)]


@_rule("WHERE")
def where(node: TFLiteNode) -> Sequence[Shape]:
    """A row for each element that is not zero."""
    return [(DYNAMIC, len(node.shape(0)))]


@_rule("UNIQUE")
def unique(node: TFLiteNode) -> Sequence[Shape]:
    """The elements, and the place of each."""
    return [(DYNAMIC,), node.shape(0)]


@_rule("SEGMENT_SUM")
def segment_sum(node: TFLiteNode) -> Sequence[Shape]:
    """A row for each segment."""
    ids = _numbers(node, 1)
    return [(DYNAMIC if ids is None else ids[-1] + 1 if ids else 0, *node.shape(0)[1:])]


@_rule(*(f"UNSORTED_SEGMENT_{kind}" for kind in ("MAX", "MIN", "PROD", "SUM")))
def unsorted_segments(node: TFLiteNode) -> Sequence[Shape]:
    """A slice for each segment."""
    count = _numbers(node, 2)
    rest = node.shape(0)[len(node.shape(1)) :]
    return [(_UNKNOWN if count is None else count[0], *rest)]


@_rule("NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5")
def non_max_suppression(node: TFLiteNode) -> Sequence[Shape]:
    """Indices (and scores) of so many boxes, and how many there are."""
    most = _numbers(node, 2)
    boxes = (DYNAMIC if most is None else most[0],)
    return [boxes, ()] if node.op_type.endswith("V4") else [boxes, boxes, ()]


@_rule("EMBEDDING_LOOKUP")
def embedding_lookup(node: TFLiteNode) -> Sequence[Shape]:
    """A row for each index."""
    return [(node.shape(0)[0], *node.shape(1)[1:])]


@_rule("MATRIX_DIAG")
def matrix_diag(node: TFLiteNode) -> Sequence[Shape]:
    """The last dimension twice."""
    given = node.shape(0)
    return [(*given, given[-1])]


@_rule("RFFT2D")
def rfft2d(node: TFLiteNode) -> Sequence[Shape]:
    """Half of the last dimension, and one."""
    lengths = _numbers(node, 1)
    given = node.shape(0)
    if lengths is None:
        return [(*given[:-2], _UNKNOWN, _UNKNOWN)]
    return [(*given[:-2], lengths[0], lengths[1] // 2 + 1)]


@_rule("SPACE_TO_DEPTH", "DEPTH_TO_SPACE")
def blocks(node: TFLiteNode) -> Sequence[Shape]:
    """Blocks of height and width in the channels."""
    n, h, w, c = node.shape(0)
    b = node.options.BlockSize()
    if node.op_type == "DEPTH_TO_SPACE":
        return [(n, _times(h, b), _times(w, b), _over(c, b * b))]
    return [(n, _over(h, b), _over(w, b), _times(c, b * b))]


def _times(extent: int, factor: int) -> int:
    return DYNAMIC if extent == DYNAMIC else extent * factor


def _over(extent: int, factor: int) -> int:
    return DYNAMIC if extent == DYNAMIC else extent // factor


@_rule("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")
def batch_blocks(node: TFLiteNode) -> Sequence[Shape]:
    """Blocks of the space in the batch."""
    given = node.shape(0)
    sizes, around = _numbers(node, 1), _numbers(node, 2)
    if sizes is None or around is None:
        return [(_UNKNOWN,) * len(given)]
    made, batch = list(given), given[0]
    for i, size in enumerate(sizes):
        edge = sum(around[2 * i : 2 * i + 2])
        if node.op_type == "SPACE_TO_BATCH_ND":
            batch = _times(batch, size)
            made[1 + i] = DYNAMIC if given[1 + i] == DYNAMIC else (given[1 + i] + edge) // size
        else:
            batch = _over(batch, size)
            made[1 + i] = DYNAMIC if given[1 + i] == DYNAMIC else given[1 + i] * size - edge
    made[0] = batch
    return [tuple(made)]


@_rule("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def resize(node: TFLiteNode) -> Sequence[Shape]:
    """The height and width that the second operand says."""
    n, _, _, c = node.shape(0)
    return [(n, *(_numbers(node, 1) or (_UNKNOWN, _UNKNOWN)), c)]


def _windows(node: TFLiteNode, extents: Sequence[int], window: Sequence[int]) -> list[int]:
    """How many windows lie in height and width."""
    options: Any = node.options
    strides = (options.StrideH(), options.StrideW())
    return [
        _window(n, k, s, options.Padding())
        for n, k, s in zip(extents, window, strides, strict=True)
    ]


def _window(extent: int, window: int, stride: int, padding: int) -> int:
    if extent == DYNAMIC or stride < 1:
        return extent
    same_padding = padding == 0
    return -(-extent // stride) if same_padding else (extent + stride - window) // stride


@_rule("AVERAGE_POOL_2D", "L2_POOL_2D", "MAX_POOL_2D")
def pool(node: TFLiteNode) -> Sequence[Shape]:
    """As many windows as there are."""
    n, *extents, c = node.shape(0)
    window = (node.options.FilterHeight(), node.options.FilterWidth())
    return [(n, *_windows(node, extents, window), c)]


@_rule("CONV_2D", "DEPTHWISE_CONV_2D")
def convolution(node: TFLiteNode) -> Sequence[Shape]:
    """As many windows as there are, of the filters' channels."""
    n, *extents, _ = node.shape(0)
    filters = node.shape(1)
    factors = (node.options.DilationHFactor(), node.options.DilationWFactor())
    reach = [(k - 1) * d + 1 for k, d in zip(filters[1:3], factors, strict=True)]
    channels = filters[0] if node.op_type == "CONV_2D" else filters[3]
    return [(n, *_windows(node, extents, reach), channels)]


@_rule("CONV_3D")
def convolution_3d(node: TFLiteNode) -> Sequence[Shape]:
    """As many windows as there are, of the filters' channels."""
    n, *extents, _ = node.shape(0)
    filters, options = node.shape(1), node.options
    strides = (options.StrideD(), options.StrideH(), options.StrideW())
    factors = (options.DilationDFactor(), options.DilationHFactor(), options.DilationWFactor())
    reach = [(k - 1) * d + 1 for k, d in zip(filters[:3], factors, strict=True)]
    rows = zip(extents, reach, strides, strict=True)
    return [(n, *(_window(e, k, s, options.Padding()) for e, k, s in rows), filters[4])]


@_rule("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE")
def transposed_convolution(node: TFLiteNode) -> Sequence[Shape]:
    """What the first operand says."""
    return [_shape_in(node, 0)]


@_rule("FULLY_CONNECTED")
def fully_connected(node: TFLiteNode) -> Sequence[Shape]:
    """A row of units; for each row of x, if its dimensions are kept."""
    given, weights = node.shape(0), node.shape(1)
    if node.options.KeepNumDims():
        return [(*given[:-1], weights[0])]
    if DYNAMIC in given:
        return [(DYNAMIC, weights[0])]
    count = 1
    for extent in given:
        count *= extent
    return [(count // weights[1] if weights[1] else 0, weights[0])]


@_rule("BATCH_MATMUL")
def batch_matmul(node: TFLiteNode) -> Sequence[Shape]:
    """Products of matrices; what stands in front is broadcast."""
    a, b = node.shape(0), node.shape(1)
    rows = a[-1] if node.options.AdjX() else a[-2]
    columns = b[-2] if node.options.AdjY() else b[-1]
    return [(*_broadcast([a[:-2], b[:-2]]), rows, columns)]


@_rule("SVDF")
def svdf(node: TFLiteNode) -> Sequence[Shape]:
    """A row of units."""
    return [(node.shape(0)[0], node.shape(1)[0] // node.options.Rank())]


@_rule("RNN")
def rnn(node: TFLiteNode) -> Sequence[Shape]:
    """A row of units."""
    return [(node.shape(0)[0], node.shape(1)[0])]


@_rule("UNIDIRECTIONAL_SEQUENCE_RNN")
def sequence_rnn(node: TFLiteNode) -> Sequence[Shape]:
    """A row of units a step."""
    return [(*node.shape(0)[:2], node.shape(1)[0])]


@_rule("UNIDIRECTIONAL_SEQUENCE_LSTM")
def sequence_lstm(node: TFLiteNode) -> Sequence[Shape]:
    """A row of outputs a step: as wide as what comes back (input 8)."""
    return [(*node.shape(0)[:2], node.shape(8)[1])]
