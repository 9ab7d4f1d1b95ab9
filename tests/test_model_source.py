"""Whatever is given as a model works, or is refused in one sentence of the project's own."""

from __future__ import annotations

import asyncio
import io
import mmap
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from furiosa.runtime import create_runner, errors, session, sync
from furiosa_ir.compiler import compile_model, compile_source
from furiosa_ir.errors import FuriosaError
from furiosa_ir.model_source import model_source
from tests.conftest import DIGITS

PATH = DIGITS / "digits_qdq_int8.onnx"
CONTENT = PATH.read_bytes()
ENF = compile_model(PATH)


class InBytes(os.PathLike[bytes]):
    """A path as the file system has it."""

    def __fspath__(self) -> bytes:
        return os.fsencode(PATH)


def spooled() -> Any:
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115
    file.write(CONTENT)
    file.seek(0)
    return file


def mapped() -> mmap.mmap:
    with PATH.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


GOOD: dict[str, Callable[[], Any]] = {
    "text": lambda: str(PATH),
    "Path": lambda: PATH,
    "a path in bytes": InBytes,
    "bytes": lambda: CONTENT,
    "bytearray": lambda: bytearray(CONTENT),
    "memoryview": lambda: memoryview(CONTENT),
    "BytesIO": lambda: io.BytesIO(CONTENT),
    "an open file": lambda: PATH.open("rb"),
    "an unbuffered file": lambda: PATH.open("rb", buffering=0),
    "a spooled file": spooled,
    "a mapping": mapped,
    "a ModelProto": lambda: onnx.load(PATH),
}


def used() -> io.BytesIO:
    file = io.BytesIO(CONTENT)
    file.read()
    return file


def closed() -> io.BytesIO:
    file = io.BytesIO(CONTENT)
    file.close()
    return file


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "None": (lambda: None, "cannot be of type NoneType"),
    "a number": (lambda: 3, "cannot be of type int"),
    "a float": (lambda: 0.5, "cannot be of type float"),
    "a bool": (lambda: True, "cannot be of type bool"),
    "a list": (lambda: [PATH], "cannot be of type list"),
    "a dict": (lambda: {"model": PATH}, "cannot be of type dict"),
    "an array": (lambda: np.zeros(3), "cannot be of type ndarray"),
    "a class": (lambda: io.BytesIO, "cannot be of type type|cannot be of type ABCMeta"),
    "the class ModelProto": (lambda: onnx.ModelProto, "cannot be of type"),
    "a GraphProto": (lambda: onnx.load(PATH).graph, "cannot be of type GraphProto"),
    "an empty ModelProto": (onnx.ModelProto, "empty"),
    "a file in text mode": (lambda: io.StringIO("module {}"), "gives str, not bytes"),
    "a binary file as text": (lambda: PATH.open(encoding="ascii"), "cannot be read"),
    "a file read to its end": (used, r"nothing is left.*seek\(0\)"),
    "a closed file": (closed, "cannot be read: i/O operation on closed file"),
    "a file for writing": (lambda: Path(os.devnull).open("wb"), "cannot be read"),  # noqa: SIM115
    "an empty path": (lambda: "", "directory"),
    "a zero character": (lambda: "a\0b", "cannot be read|no such file"),
}


def close(model: Any) -> None:
    if isinstance(model, io.IOBase | mmap.mmap | tempfile.SpooledTemporaryFile):
        model.close()


@pytest.mark.parametrize("kind", GOOD)
def test_a_model(kind: str):
    model = GOOD[kind]()
    assert compile_model(model) == ENF
    close(model)


async def awaited(model: Any) -> Any:
    return await create_runner(model)


def test_no_model_for_asyncio():
    with pytest.raises(errors.NativeException, match="cannot be of type NoneType"):
        asyncio.run(awaited(None))


@pytest.mark.parametrize("kind", BAD)
def test_no_model(kind: str):
    make, sentence = BAD[kind]
    creates: list[Callable[[Any], Any]] = [
        *(compile_model, compile_source),
        *(session.create, session.create_async, sync.create_runner),
    ]
    for create in creates:
        model = make()
        with pytest.raises(errors.NativeException, match=sentence) as caught:
            create(model)
        assert "\n" not in str(caught.value)
        close(model)


def test_sessions_of_programs_and_of_networks():
    for program in (ENF, io.BytesIO(ENF), onnx.load(PATH), io.BytesIO(CONTENT)):
        with session.create(program) as s:
            x = np.zeros(s.input(0).shape, np.float32)
            assert s.run(x)[0].numpy().shape == (1, 10)
    submitter, queue = session.create_async(onnx.load(PATH))
    with submitter, queue:
        submitter.submit(x, context=7)
        assert queue.recv()[0] == 7


def test_a_model_too_large_for_a_protocol_buffer(monkeypatch: pytest.MonkeyPatch):
    class Large:
        DESCRIPTOR = onnx.ModelProto.DESCRIPTOR

        def SerializeToString(self) -> bytes:  # noqa: N802
            raise ValueError("exceeds 2 GiB")

    Large.__name__ = "ModelProto"
    with pytest.raises(FuriosaError, match=r"2 GiB.*save it with external data"):
        model_source(Large())


@pytest.mark.parametrize("device", [3, b"warboy", ["warboy"], True, object(), 1.5, {}])
def test_a_device_that_is_no_text(device: Any):
    for create in (session.create, session.create_async):
        for model in (ENF, CONTENT):
            with pytest.raises(errors.NativeException, match=r"device is of type .*, not a text"):
                create(model, device=device)
    with pytest.raises(FuriosaError, match="the target is of type"):
        compile_model(CONTENT, target=device)
    with pytest.raises(FuriosaError, match="the target is of type"):
        compile_source(CONTENT, target=device)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"worker_num": "2"}, "number of workers '2' is not a positive integer"),
        ({"batch_size": None, "compiler_config": 3}, "compiler_config is of type int"),
        ({"compiler_config": "abc"}, "compiler_config is of type str"),
        ({"input_queue_size": "x"}, "input queue cannot have 'x' places"),
        ({"output_queue_size": 2.5}, "output queue cannot have 2.5 places"),
        ({"output_queue_size": 1 << 40}, "cannot have 1099511627776 places"),
    ],
)
def test_other_arguments(arguments: dict[str, Any], sentence: str):
    with pytest.raises(errors.NativeException, match=sentence):
        session.create_async(ENF, **arguments)


def test_arguments_of_sessions():
    with session.create(ENF, compiler_config={1: 2}) as s:
        for wrong in (None, "0", 1.0):
            with pytest.raises(errors.NativeException, match="the number of an input is of type"):
                s.input(wrong)  # pyright: ignore[reportArgumentType]
            with pytest.raises(errors.NativeException, match="the number of an output is of type"):
                s.output(wrong)  # pyright: ignore[reportArgumentType]
        assert s.input(np.int64(0)).name == s.input(0).name  # pyright: ignore[reportArgumentType]
        with pytest.raises(errors.NativeException, match="names are of type int"):
            s.run_with(3, {})  # pyright: ignore[reportArgumentType]
    submitter, queue = session.create_async(ENF)
    with submitter, queue:
        for wrong in ("1", [1], b""):
            with pytest.raises(errors.NativeException, match="the timeout is of type"):
                queue.recv(timeout=wrong)  # pyright: ignore[reportArgumentType]


def test_helper_models_run():
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    with session.create(model) as s:
        values = np.array([[-1, 0, 1, 2]], np.float32)
        np.testing.assert_array_equal(s.run(values)[0].numpy(), np.maximum(values, 0))
