"""TFLite sub-models of host segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, OpResult, Region, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, OriginAttr
from furiosa_ir.dialects.graph.reduction import ArgMaxOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.exporters import export_segment
from furiosa_ir.exporters.tflite.export import export_tflite
from furiosa_ir.importers.tflite import import_tflite
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.pipeline import Pipeline, run_pipeline
from furiosa_ir.ir.text import read_module, write_module
from tests.exporters.run_operation import run_tflite_operation
from tests.importers.tflite.single import RESOLVER, main_of, options, sample
from tests.oracle.litert import Operator, Stream, Subgraph, Tensor, build_model, run_reference


def cut(module: ModuleOp, first: int, last: int) -> tuple[FuncOp, list[str], list[str]]:
    """Operations first..last of `@main` as a function, and the layers it reads and makes."""
    ops = [
        op
        for op in main_of(module).body.block.ops
        if isinstance(op, GraphOp) and not isinstance(op, ConstantOp)
    ][first:last]
    inside = set(ops)
    inputs: list[SSAValue] = []
    constants: list[Operation] = []
    for op in ops:
        for v in op.operands:
            if isinstance(v.owner, ConstantOp):
                constants.append(v.owner)
            elif v.owner not in inside and v not in inputs:
                inputs.append(v)
    outputs = [
        r for op in ops for r in op.results if any(u.operation not in inside for u in r.uses)
    ]
    block = Block(arg_types=[v.type for v in inputs])
    mapping: dict[SSAValue, SSAValue] = dict(zip(inputs, block.args, strict=True))
    for op in (*dict.fromkeys(constants), *ops):
        clone = op.clone(value_mapper=mapping)
        clone.location = op.location
        block.add_op(clone)
    block.add_op(ReturnOp(*[mapping[v] for v in outputs]))
    types = ([v.type for v in inputs], [v.type for v in outputs])
    function = FuncOp("host_0", types, Region(block))
    ModuleOp([function], {"graph.source": StringAttr("tflite")})
    return function, [layer_of(v) for v in inputs], [layer_of(v) for v in outputs]


def layer_of(value: SSAValue) -> str:
    if not isinstance(value, OpResult):
        return ""
    suffix = f":{value.index}" if value.index else ""
    return layer_name(value.op) + suffix


def intermediates(model: bytes, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Every tensor of the whole network, by name; "" is the (one) input."""
    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=RESOLVER,
        num_threads=1,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    values = {"": inputs[0]}
    for detail in interpreter.get_tensor_details():
        if detail["name"]:
            try:
                values[detail["name"]] = interpreter.get_tensor(detail["index"])
            except ValueError:  # a tensor without elements of its own
                continue
    return values


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("ic_resnet8_int8", 0, 6),
        ("ic_resnet8_int8", 5, 23),
        ("kws_dscnn_int8", 3, 4),  # a relu without its convolution
        ("mbv1_025_128_qat_u8", 2, 9),
        ("ssd_mbv2_fpnlite_256_int8", 200, 228),
        ("deeplabv3_mbv2_dm05_pascal_u8", 90, 109),
        ("ssd_mbv1_coco_300_u8", 60, 72),
        ("ad_fc_ae_int8", 3, 9),
    ],
)
def test_a_cut_of_a_network_makes_the_networks_own_tensors(
    name: str, first: int, last: int, corpus: Callable[[str], Path]
) -> None:
    model = corpus(f"{name}.tflite").read_bytes()
    module = import_tflite(model)
    function, inputs, outputs = cut(module, first, last)
    framework, sub_model = export_segment(function)
    assert framework == "tflite"
    (detail,) = Interpreter(
        model_content=model, experimental_op_resolver_type=RESOLVER
    ).get_input_details()
    info = np.iinfo(detail["dtype"])
    rng = np.random.default_rng(3)
    x = rng.integers(info.min, info.max + 1, detail["shape"], detail["dtype"])
    values = intermediates(model, [x])
    results = run_reference(sub_model, [values[n] for n in inputs], RESOLVER)
    for output, result in zip(outputs, results, strict=True):
        # A convolution whose activation was cut off still is one operator with it.
        np.testing.assert_array_equal(values[output], result)


@pytest.mark.corpus
def test_a_whole_network_survives_text_and_export(
    corpus: Callable[[str], Path], tmp_path: Path
) -> None:
    model = corpus("ssd_mbv1_coco_300_u8.tflite").read_bytes()
    write_module(import_tflite(model), tmp_path / "ssd.mlir")
    parsed = read_module(tmp_path / "ssd.mlir")
    x = np.random.default_rng(0).integers(0, 256, (1, 300, 300, 3), np.uint8)
    expected = run_reference(model, [x], RESOLVER)
    actual = run_reference(export_tflite(main_of(parsed)), [x], RESOLVER)
    for want, got in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(want, got)


def test_a_fused_activation_is_one_operator_again() -> None:
    x, y = Tensor("x", (2, 3), np.int8, 0.1), Tensor("y", (2, 3), np.int8, 0.2)
    table = options("Add", fusedActivationFunction=schema.ActivationFunctionType.RELU)
    module = import_tflite(build_model([Operator("ADD", [x, x], [y], table, 2)]))
    model = schema.ModelT.InitFromPackedBuf(export_tflite(main_of(module)))
    assert len(model.subgraphs[0].operators) == 1


def test_an_unknown_custom_operator_is_refused_by_name() -> None:
    model = schema.ModelT.InitFromPackedBuf(
        build_model(
            [
                Operator(
                    "RELU",
                    [Tensor("x", (2,), np.float32)],
                    [Tensor("mystery", (2,), np.float32)],
                )
            ]
        )
    )
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = b"Frobnicate"
    module = import_tflite(packed(model))
    (op,) = [op for op in module.walk() if isinstance(op, OpaqueOp)]
    assert op.operator.data == "Frobnicate"
    with pytest.raises(CompilationFailure, match="Frobnicate") as caught:
        export_tflite(main_of(module))
    assert caught.value.layer == "mystery"


def test_state_goes_into_the_sub_model_and_out_of_it() -> None:
    """A new interpreter for each run: what the network keeps, it gets and gives."""
    rng = np.random.default_rng(0)
    x = Tensor("x", (1, 3), np.float32)
    operator = Operator(
        "SVDF",
        [
            x,
            Tensor.constant("feature", rng.standard_normal((2, 3)).astype(np.float32)),
            Tensor.constant("time", rng.standard_normal((2, 4)).astype(np.float32)),
            None,
            Tensor("state", (1, 8), np.float32, is_variable=True),
        ],
        [Tensor("y", (1, 2), np.float32)],
        options("SVDF", rank=1),
    )
    original = build_model([operator])
    module = import_tflite(original)
    assert len(main_of(module).body.block.args) == 1
    run_pipeline(make_context(), module, Pipeline.of_text("graph-partition"))
    (host,) = [f for f in module.ops if isinstance(f, FuncOp) and f.sym_name.data == "host_0"]
    exported = export_tflite(host)
    stream = Stream(original, RESOLVER)
    state = np.zeros((1, 8), np.float32)
    for _ in range(4):
        step = sample(x, rng)
        (wanted,) = stream.run([step])
        arguments = {(1, 3): step, (1, 8): state}
        given = [arguments[a.type.get_shape()] for a in host.body.block.args]
        made = {r.shape: r for r in Stream(exported, RESOLVER).run(given)}
        np.testing.assert_array_equal(made[1, 2], wanted)
        state = made[1, 8]


def test_an_origin_that_calls_itself() -> None:
    """IR text may hold any origin, and LiteRT never ends on such a one."""
    x, y = Tensor("x", (2,), np.float32), Tensor("y", (2,), np.float32)
    branch = Subgraph([Operator("ABS", [x], [y])], [x], [y])
    table = options("If", thenSubgraphIndex=1, elseSubgraphIndex=1)
    condition = Tensor("c", (), np.bool_)
    module = import_tflite(build_model([Operator("IF", [condition, x], [y], table)], [branch]))
    export_tflite(main_of(module))
    (op,) = [op for op in module.walk() if isinstance(op, OpaqueOp)]
    assert op.origin is not None
    for graph, callee in ((0, 0), (0, 2), (1, 1)):
        tree = schema.ModelT.InitFromPackedBuf(op.origin.data[1].array.tobytes())
        tree.subgraphs[graph].operators[0].builtinOptions = options(
            "If", thenSubgraphIndex=callee, elseSubgraphIndex=callee
        )
        tree.subgraphs[graph].operators[0].builtinOptionsType = schema.BuiltinOptions.IfOptions
        evil = OriginAttr(("tflite", BlobAttr.of(np.frombuffer(packed(tree), np.uint8))))
        changed = module.clone()
        (again,) = [op for op in changed.walk() if isinstance(op, OpaqueOp)]
        again.properties["origin"] = evil
        with pytest.raises(CompilationFailure, match="calls a subgraph that does not follow"):
            export_tflite(main_of(changed))


def test_one_operation_runs_by_itself() -> None:
    x = Tensor("x", (2, 5), np.int8, 0.1)
    axis = Tensor.constant("axis", np.array(1, np.int32))
    y = Tensor("y", (2,), np.int32)
    table = options("ArgMax", outputType=schema.TensorType.INT32)
    module = import_tflite(build_model([Operator("ARG_MAX", [x, axis], [y], table, 2)]))
    (op,) = [op for op in module.walk() if isinstance(op, ArgMaxOp)]
    array = sample(x, np.random.default_rng(0))
    (result,) = run_tflite_operation(op, [array])
    np.testing.assert_array_equal(result, array.argmax(1))


def packed(model: schema.ModelT) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (lambda number: number, lambda number: 0),  # as files of old are
        (lambda number: number, lambda number: -2),
        (lambda number: -23, lambda number: number),
        (lambda number: 25, lambda number: number),  # LOGISTIC
    ],
)
def test_the_number_of_an_operator_is_the_greater_of_its_two_fields(
    old: Callable[[int], int], new: Callable[[int], int]
) -> None:
    """LiteRT reads it so: files have the old field, the new one or both."""
    x, y, z = (Tensor(n, (4,), np.float32) for n in "xyz")
    data = build_model([Operator("SQUARE", [x], [y]), Operator("POW", [y, x], [z])])
    model = schema.ModelT.InitFromPackedBuf(data)
    for code in model.operatorCodes:
        number = code.builtinCode
        code.builtinCode, code.deprecatedBuiltinCode = new(number), old(number)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    data = bytes(builder.Output())
    exported = export_tflite(main_of(import_tflite(data)))
    array = np.linspace(1, 2, 4, dtype=np.float32)
    (got,) = run_reference(exported, [array], RESOLVER)
    np.testing.assert_allclose(got, (array**2) ** array, rtol=1e-6)
    np.testing.assert_array_equal(got, run_reference(data, [array], RESOLVER)[0])
