"""Shape arithmetic, dynamic shapes and the batch size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from furiosa_ir.dialects.graph.slicing import SliceMasks, resolve_strided_slice
from furiosa_ir.dialects.graph.structure import OpaqueOp
from furiosa_ir.errors import ImportFailure
from furiosa_ir.exporters.tflite.export import export_tflite
from furiosa_ir.importers.tflite import import_tflite
from furiosa_ir.ir.shaped_operation import DYNAMIC, shape_of
from tests.importers.tflite.single import RESOLVER, main_of, names_of, options, vector
from tests.oracle.litert import Operator, Tensor, build_model, run_reference


def flatten_by_arithmetic() -> bytes:
    """x [1, 4, 6] -> [1, 24], the shape computed as Keras' Flatten does."""
    x = Tensor("x", (1, 4, 6), np.int8, 0.5)
    shape, batch = Tensor("shape", (3,), np.int32), Tensor("batch", (), np.int32)
    target, y = Tensor("target", (2,), np.int32), Tensor("y", (1, 24), np.int8, 0.5)
    rest = Tensor.constant("rest", np.array(-1, np.int32))
    return build_model(
        [
            Operator("SHAPE", [x], [shape], options("Shape", outType=schema.TensorType.INT32)),
            Operator(
                "STRIDED_SLICE",
                [shape, vector("b", 0), vector("e", 1), vector("s", 1)],
                [batch],
                options("StridedSlice", shrinkAxisMask=1),
            ),
            Operator("PACK", [batch, rest], [target], options("Pack", valuesCount=2)),
            Operator("RESHAPE", [x, target], [y], options("Reshape")),
        ]
    )


@pytest.mark.parametrize("batch", [None, 1, 5])
def test_shape_arithmetic_is_done_at_import(batch: int | None) -> None:
    module = import_tflite(flatten_by_arithmetic(), batch_size=batch)
    assert names_of(module) == ["reshape"]
    (op,) = [o for o in main_of(module).body.block.ops if o.name == "graph.reshape"]
    assert shape_of(op.results[0]) == (batch or 1, 24)
    x = np.arange((batch or 1) * 24, dtype=np.int8).reshape(-1, 4, 6)
    (y,) = run_reference(export_tflite(main_of(module)), [x], RESOLVER)
    np.testing.assert_array_equal(y, x.reshape(-1, 24))


def test_a_chain_of_integer_operators_folds() -> None:
    x = Tensor("x", (2, 3, 4), np.int8, 0.5)
    shape, product = Tensor("shape", (3,), np.int32), Tensor("product", (1,), np.int32)
    count, y = Tensor("count", (1,), np.int32), Tensor("y", (12, 2), np.int8, 0.5)
    target = Tensor("target", (2,), np.int32)
    two = vector("two", 2)
    module = import_tflite(
        build_model(
            [
                Operator("SHAPE", [x], [shape], options("Shape", outType=schema.TensorType.INT32)),
                Operator(
                    "REDUCE_PROD",
                    [shape, vector("axis", 0)],
                    [product],
                    options("Reducer", keepDims=True),
                ),
                Operator("FLOOR_DIV", [product, two], [count], options("FloorDiv")),
                Operator("CONCATENATION", [count, two], [target], options("Concatenation")),
                Operator("RESHAPE", [x, target], [y], options("Reshape")),
            ]
        )
    )
    assert names_of(module) == ["reshape"]


@pytest.mark.corpus
@pytest.mark.parametrize(
    "name", ["ic_resnet8_int8", "ssd_mbv2_fpnlite_256_int8", "mbv1_025_128_qat_u8"]
)
def test_a_batch_computes_each_image_as_alone(name: str, corpus: Callable[[str], Path]) -> None:
    model = corpus(f"{name}.tflite").read_bytes()
    main = main_of(import_tflite(model, batch_size=2))
    (argument,) = main.body.block.args
    shape = shape_of(argument)
    assert shape[0] == 2
    dtype = np.uint8 if name.endswith("u8") else np.int8
    if name.startswith("ssd"):
        dtype = np.uint8
    info = np.iinfo(dtype)
    x = np.random.default_rng(0).integers(info.min, info.max + 1, shape, dtype)
    together = run_reference(export_tflite(main), [x], RESOLVER)
    for i in range(2):
        alone = run_reference(model, [x[i : i + 1]], RESOLVER)
        for a, t in zip(alone, together, strict=True):
            np.testing.assert_array_equal(a, t[i : i + 1])


def test_a_batch_that_cannot_be_changed_is_refused() -> None:
    a, b = Tensor("a", (1, 3), np.int8, 0.5), Tensor("b", (1, 3), np.int8, 0.5)
    y = Tensor("y", (2, 3), np.int8, 0.5)
    along_batch = build_model([Operator("CONCATENATION", [a, b], [y], options("Concatenation"))])
    with pytest.raises(ImportFailure, match="works along it") as caught:
        import_tflite(along_batch, batch_size=4)
    assert caught.value.layer == "y"

    transposed = build_model(
        [Operator("TRANSPOSE", [a, vector("p", 1, 0)], [Tensor("y", (3, 1), np.int8, 0.5)])]
    )
    with pytest.raises(ImportFailure, match="cannot change the batch size"):
        import_tflite(transposed, batch_size=4)

    image, widths = Tensor("x", (1, 2, 2, 1), np.int8, 0.5), np.zeros((2, 2), np.int32)
    blocks = [vector("b", 2, 2), Tensor.constant("p", widths)]
    split = Operator(
        "SPACE_TO_BATCH_ND",
        [image, *blocks],
        [Tensor("y", (4, 1, 1, 1), np.int8, 0.5)],
        options("SpaceToBatchND"),
    )
    with pytest.raises(ImportFailure, match="space_to_batch works along it"):
        import_tflite(build_model([split]), batch_size=4)

    x = Tensor("x", (3, 2), np.int8, 0.5)
    fixed = build_model([Operator("RELU", [x], [Tensor("y", (3, 2), np.int8, 0.5)])])
    import_tflite(fixed, batch_size=3)
    with pytest.raises(ImportFailure, match="the input 'x' has the shape \\[3, 2\\]"):
        import_tflite(fixed, batch_size=4)
    with pytest.raises(ImportFailure, match="not positive"):
        import_tflite(fixed, batch_size=0)


def test_an_extent_that_only_running_tells_stays_open() -> None:
    x, y = Tensor("x", (4,), np.bool_), Tensor("where", (1, 1), np.int64)
    model = schema.ModelT.InitFromPackedBuf(
        build_model([Operator("WHERE", [Tensor("x", (4,), np.int32)], [y], options("Where"))])
    )
    del x
    tensor = next(t for t in model.subgraphs[0].tensors if t.name == b"where")
    tensor.shapeSignature = [-1, 1]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    module = import_tflite(bytes(builder.Output()))
    (op,) = [op for op in module.walk() if isinstance(op, OpaqueOp)]
    assert shape_of(op.outputs[0]) == (DYNAMIC, 1)


@pytest.mark.parametrize("seed", range(200))
def test_strided_slices_are_numpys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    shape = tuple(int(n) for n in rng.integers(1, 6, rank))
    entries = int(rng.integers(1, rank + 1))
    begin = [int(rng.integers(-n, n)) for n in shape[:entries]]
    end = [int(rng.integers(-n - 1, n + 2)) for n in shape[:entries]]
    strides = [int(rng.choice([-2, -1, 1, 2])) for _ in range(entries)]
    begin_mask, end_mask, shrink = (int(rng.integers(0, 1 << entries)) for _ in range(3))
    # Numpy has no index of which nothing is said: see test_dropped_dimensions.
    masks = SliceMasks(begin_mask & ~shrink, end_mask, 0, 0, shrink)
    index = tuple(
        begin[i]
        if masks.shrink_axis >> i & 1
        else slice(
            None if masks.begin >> i & 1 else begin[i],
            None if masks.end >> i & 1 else end[i],
            strides[i],
        )
        for i in range(entries)
    )
    x = np.arange(int(np.prod(shape))).reshape(shape)
    resolved = resolve_strided_slice(shape, begin, end, strides, masks)
    assert resolved is not None
    starts, ends, steps, extents = resolved
    plain = tuple(
        slice(b, None if e < 0 else e, s) for b, e, s in zip(starts, ends, steps, strict=True)
    )
    np.testing.assert_array_equal(x[plain].reshape(extents), x[index])
