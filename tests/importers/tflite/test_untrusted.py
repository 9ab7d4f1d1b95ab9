"""Bad files: each is refused with one sentence, and nothing but ImportFailure comes out."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.tflite import import_tflite
from furiosa_ir.importers.tflite.tensor_names import UniqueNames
from furiosa_ir.ir.text import print_module
from furiosa_ir.runtime import session
from tests import bounded
from tests.draws import draws
from tests.fuzz.hostile_tflite import shared_custom_options
from tests.importers.tflite.single import main_of, options, vector
from tests.oracle.litert import Operator, Tensor, build_model


def model_of(edit: Callable[[schema.ModelT], None]) -> bytes:
    """A small valid model after `edit`."""
    x, y = Tensor("x", (2, 6), np.int8, 0.5), Tensor("y", (3, 4), np.int8, 0.5)
    operator = Operator("RESHAPE", [x, vector("shape", 3, 4)], [y], options("Reshape"))
    model = schema.ModelT.InitFromPackedBuf(build_model([operator]))
    edit(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def tensor(model: schema.ModelT, name: bytes) -> schema.TensorT:
    return next(t for t in model.subgraphs[0].tensors if t.name == name)


def set_shape(name: bytes, *shape: int) -> Callable[[schema.ModelT], None]:
    return lambda model: setattr(tensor(model, name), "shape", list(shape))


def set_inputs(*inputs: int) -> Callable[[schema.ModelT], None]:
    return lambda model: setattr(model.subgraphs[0].operators[0], "inputs", list(inputs))


def set_scales(*scales: float, axis: int = 0) -> Callable[[schema.ModelT], None]:
    def edit(model: schema.ModelT) -> None:
        quantization = tensor(model, b"x").quantization
        quantization.scale = np.array(scales, np.float32)
        quantization.zeroPoint = np.zeros(len(scales), np.int64)
        quantization.quantizedDimension = axis

    return edit


def set_buffer(model: schema.ModelT) -> None:
    tensor(model, b"shape").buffer = 77


def set_builtin(number: int) -> Callable[[schema.ModelT], None]:
    def edit(model: schema.ModelT) -> None:
        code = model.operatorCodes[0]
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)

    return edit


def set_opcode(model: schema.ModelT) -> None:
    model.subgraphs[0].operators[0].opcodeIndex = 5


def set_far_buffer(model: schema.ModelT) -> None:
    buffer = model.buffers[tensor(model, b"shape").buffer]
    buffer.data, buffer.offset, buffer.size = None, 1 << 40, 8


def set_string(model: schema.ModelT) -> None:
    tensor(model, b"x").type = schema.TensorType.STRING


def drop_subgraphs(model: schema.ModelT) -> None:
    model.subgraphs = []


@pytest.mark.parametrize(
    ("edit", "message", "layer"),
    [
        (set_shape(b"y", 3, 5), "contradictory shapes|does not have the elements", "y"),
        (set_shape(b"y", -3, 4), "contradictory shapes", "y"),
        (set_shape(b"shape", 3), "8 bytes do not fill a int32 tensor of shape", "shape"),
        (set_inputs(0, 99), "tensor 99 of an operator RESHAPE does not exist", None),
        (set_inputs(0, -7), "tensor -7 of an operator RESHAPE does not exist", None),
        (set_inputs(2, 1), "written twice|nothing before it writes", "y"),
        (set_buffer, "buffer 77 does not exist", "shape"),
        (set_builtin(250), "an operator of the unknown kind 'builtin 250'", None),
        (set_builtin(-1), "an operator of the unknown kind 'builtin -1'", None),
        (set_opcode, "operator code 5 does not exist", None),
        (set_far_buffer, "truncated: buffer 1 ends behind the file", None),
        (set_scales(0.5, 0.25, axis=1), "2 scales do not fit dimension 1", "x"),
        (set_scales(float("nan")), "a scale is negative or not a number", "x"),
        (set_string, "tensors of type STRING are not supported", "x"),
        (drop_subgraphs, "no subgraph", None),
    ],
)
def test_contradictions_are_named(
    edit: Callable[[schema.ModelT], None], message: str, layer: str | None
) -> None:
    with pytest.raises(ImportFailure, match=message) as caught:
        import_tflite(model_of(edit))
    assert caught.value.layer == layer


def test_the_unedited_model_imports() -> None:
    import_tflite(model_of(lambda _: None)).verify()


def test_files_that_are_no_models(tmp_path: Path) -> None:
    text, empty = tmp_path / "text.tflite", tmp_path / "empty.tflite"
    text.write_text("this is not a network\n")
    empty.touch()
    for path, message in (
        (tmp_path / "missing.tflite", "does not exist"),
        (tmp_path, "directory"),
        (text, "not a TFLite model"),
        (empty, "empty"),
    ):
        with pytest.raises(ImportFailure, match=message) as caught:
            import_tflite(path)
        assert caught.value.file == str(path)


@pytest.mark.draws
def test_corrupt_files_raise_import_failure_only(digits: Path) -> None:
    good = (digits / "digits_int8.tflite").read_bytes()
    rng = random.Random(5)
    refused = 0
    for _ in range(draws(300)):
        data = bytearray(good)
        if rng.random() < 0.1:
            del data[rng.randrange(len(data)) :]
        else:
            at = rng.randrange(len(data)) & ~3
            data[at : at + 4] = rng.choice(
                [b"\xff\xff\xff\xff", bytes(4), b"\xff\xff\xff\x7f", rng.randbytes(4)]
            )
        try:
            module = import_tflite(bytes(data))
            print_module(module)  # makes the origins
        except ImportFailure:
            refused += 1
    assert refused > draws(50)


def custom(name: str, options: bytes) -> bytes:
    """A custom operator on two float tensors."""
    x, y = Tensor("x", (1, 4, 4), np.float32), Tensor("y", (), np.float32)
    model = schema.ModelT.InitFromPackedBuf(build_model([Operator("CUSTOM", [x, x], [y] * 4)]))
    model.operatorCodes[0].customCode = name.encode()
    model.subgraphs[0].operators[0].customOptions = np.frombuffer(options, np.uint8)
    model.subgraphs[0].operators[0].outputs = [1, 2, 3, 4]
    model.subgraphs[0].tensors += [model.subgraphs[0].tensors[1]] * 3
    model.subgraphs[0].outputs = [1, 2, 3, 4]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


DETECTION = {"max_detections": 3, "max_classes_per_detection": 1, "num_classes": 2}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("TFLite_Detection_PostProcess", b"", "options .* are missing or corrupt"),
        ("Mfcc", b"\x00", "options .* are missing or corrupt"),
        ("NumericVerify", b"\xff" * 40, "options .* are missing or corrupt"),
        ("AudioSpectrogram", flexbuffers.Dumps([1, 2]), "options .* are missing or corrupt"),
        ("AudioSpectrogram", flexbuffers.Dumps({"stride": 3}), "'window_size' .* is None"),
        (
            "TFLite_Detection_PostProcess",
            flexbuffers.Dumps(DETECTION | {"max_detections": -3}),
            "'max_detections' .* is -3",
        ),
        (
            "TFLite_Detection_PostProcess",
            flexbuffers.Dumps(DETECTION | {"max_detections": 1 << 40}),
            "'max_detections' .* is 1099511627776",
        ),
        (
            "TFLite_Detection_PostProcess",
            flexbuffers.Dumps(DETECTION | {"y_scale": "ten"}),
            "options .* are missing or corrupt",
        ),
    ],
)
def test_options_that_would_end_litert(name: str, options: bytes, message: str) -> None:
    with pytest.raises(ImportFailure, match=message):
        import_tflite(custom(name, options))


def test_custom_options_are_written_anew() -> None:
    given = flexbuffers.Dumps(DETECTION | {"y_scale": 10.0, "use_regular_nms": True, "more": [1]})
    function = main_of(import_tflite(custom("TFLite_Detection_PostProcess", bytes(given))))
    shapes = [t.get_shape() for t in function.function_type.outputs.data]
    assert shapes == [(1, 3, 4), (1, 3), (1, 3), (1,)]
    (op,) = [op for op in function.body.block.ops if op.name == "graph.opaque"]
    origin = schema.ModelT.InitFromPackedBuf(op.origin.data[1].array.tobytes())
    written = flexbuffers.Loads(bytearray(origin.subgraphs[0].operators[0].customOptions))
    assert written == DETECTION | {"y_scale": 10.0, "use_regular_nms": True}


def test_data_behind_the_flatbuffer_is_read() -> None:
    """Models of 2 GB and more keep their buffers behind the flatbuffer."""

    def edit(model: schema.ModelT) -> None:
        buffer = model.buffers[tensor(model, b"shape").buffer]
        buffer.data, buffer.offset, buffer.size = None, 1 << 20, 8

    head = model_of(edit)
    data = head + bytes((1 << 20) - len(head)) + np.array([3, 4], np.int32).tobytes()
    assert main_of(import_tflite(data)).function_type.outputs.data[0].get_shape() == (3, 4)


def _vector_of(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def sharing(tensors: int, scales: int, name: str = "x") -> bytes:
    """A file of so many tensors, all of which point to one name and one vector of scales."""
    builder = flatbuffers.Builder(1 << 20)
    vector = builder.CreateNumpyVector(np.ones(scales, np.float32))
    shape = builder.CreateNumpyVector(np.array([scales], np.int32))
    text = builder.CreateString(name)
    schema.BufferStart(builder)
    buffers = _vector_of(builder, [schema.BufferEnd(builder)])
    made: list[int] = []
    for _ in range(tensors):
        schema.QuantizationParametersStart(builder)
        schema.QuantizationParametersAddScale(builder, vector)
        quantization = schema.QuantizationParametersEnd(builder)
        schema.TensorStart(builder)
        schema.TensorAddShape(builder, shape)
        schema.TensorAddType(builder, schema.TensorType.INT8)
        schema.TensorAddName(builder, text)
        schema.TensorAddQuantization(builder, quantization)
        made.append(schema.TensorEnd(builder))
    outputs = builder.CreateNumpyVector(np.array([0], np.int32))
    table = _vector_of(builder, made)
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, table)
    schema.SubGraphAddInputs(builder, outputs)
    schema.SubGraphAddOutputs(builder, outputs)
    subgraphs = _vector_of(builder, [schema.SubGraphEnd(builder)])
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddSubgraphs(builder, subgraphs)
    schema.ModelAddBuffers(builder, buffers)
    builder.Finish(schema.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_tables_that_share_their_vectors_do_not_make_a_small_file_large() -> None:
    import_tflite(sharing(4, 8))
    for data in (sharing(3000, 100_000), sharing(3000, 1, "n" * 400_000)):
        assert len(data) < 1 << 20
        tracemalloc.start()
        with pytest.raises(ImportFailure, match="share vectors"):
            import_tflite(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 300 << 20


def test_layers_of_one_name_take_no_quadratic_time() -> None:
    layers = UniqueNames()
    started = time.process_time()
    names = [layers.unique("ADD") for _ in range(50_000)]
    assert len(set(names)) == len(names)
    assert names[:3] == ["ADD", "ADD#2", "ADD#3"]
    assert time.process_time() - started < 5  # it took minutes


def test_a_tensor_of_2_60_elements() -> None:
    with pytest.raises(ImportFailure, match="too large") as caught:
        import_tflite(model_of(set_shape(b"y", 1 << 30, 1 << 30)))
    assert caught.value.layer is None
    with pytest.raises(ImportFailure, match="10000 dimensions"):
        import_tflite(model_of(set_shape(b"y", *[1] * 10_000)))


def test_names_with_control_characters_do_not_reach_a_terminal() -> None:
    def edit(model: schema.ModelT) -> None:
        tensor(model, b"x").type = schema.TensorType.STRING
        tensor(model, b"x").name = b"\x1b[2J\nERROR: all is well"

    with pytest.raises(ImportFailure) as caught:
        import_tflite(model_of(edit))
    assert str(caught.value).isprintable()


def test_operators_that_share_their_custom_options(tmp_path: Path) -> None:
    """180 KB took 2 GiB."""
    path = tmp_path / "m.tflite"
    path.write_bytes(shared_custom_options())
    assert path.stat().st_size < 180_000
    message = bounded.refusal("compile", path, "-o", tmp_path / "m.enf")
    assert "its tables share vectors, and hold more than the file" in message


def test_an_input_that_is_a_constant() -> None:
    """LiteRT writes over the file's elements, and ends the process if it has mapped the file."""

    def edit(model: schema.ModelT) -> None:
        model.subgraphs[0].inputs = [0, 1]

    model = model_of(edit)
    with pytest.raises(ImportFailure, match=r"the input 'shape' is a constant .*--inputs x leaves"):
        compile_model(model)
    with session.create(compile_model(model, inputs=["x"])) as running:
        assert [t.name for t in running.inputs()] == ["x"]
        x = np.arange(12, dtype=np.int8).reshape(2, 6)
        np.testing.assert_array_equal(running.run(x)[0].numpy(), x.reshape(3, 4))
