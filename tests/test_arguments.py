"""Numbers of the interface: integers of any kind, and one sentence for everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from furiosa_ir.compiler import compile_model, compile_source
from furiosa_ir.errors import FuriosaError
from furiosa_ir.runtime import session
from tests.conftest import DIGITS

SOURCES = [DIGITS / "digits_int8.tflite", DIGITS / "digits_qdq_int8.onnx"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.suffix)
@pytest.mark.parametrize("entry", [compile_model, compile_source, session.create])
@pytest.mark.parametrize(
    "size", [2.0, 0, -1, True, "2", np.float32(2), np.array([1, 2]), [2]], ids=repr
)
def test_a_batch_size_that_is_none(source: Any, entry: Callable[..., Any], size: Any) -> None:
    with pytest.raises(FuriosaError) as error:
        entry(source, batch_size=size)
    assert str(error.value).startswith("the batch size ")
    assert str(error.value).endswith(" is not a positive integer")


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.suffix)
def test_integers_of_numpy(source: Any) -> None:
    program = compile_model(source, batch_size=2)
    for size in (np.int64(2), np.uint8(2), np.array(2)):
        assert compile_model(source, batch_size=size) == program  # pyright: ignore[reportArgumentType]
    with session.create(program, batch_size=np.int32(2)) as running:  # pyright: ignore[reportArgumentType]
        assert running.input(0).shape[0] == 2


class OddPath:
    """A path that is none."""

    def __init__(self, returned: Any) -> None:
        self.returned = returned

    def __fspath__(self) -> Any:
        if isinstance(self.returned, Exception):
            raise self.returned
        return self.returned


@pytest.mark.parametrize("returned", [3, None, RuntimeError("here")], ids=repr)
@pytest.mark.parametrize("entry", [compile_model, session.create])
def test_a_path_that_is_none(entry: Callable[..., Any], returned: Any) -> None:
    with pytest.raises(FuriosaError, match="the OddPath is no path: "):
        entry(OddPath(returned))


@pytest.mark.parametrize("entry", [compile_model, compile_source, session.create])
# No ids of the arguments: an address differs from worker to worker.
@pytest.mark.parametrize("plugins", [3, [3], [None], {4: 5}, b"ab", object()])
def test_plug_ins_that_are_none(entry: Callable[..., Any], plugins: Any) -> None:
    with pytest.raises(FuriosaError, match="a plug-in cannot be of type "):
        entry(SOURCES[0], plugins=plugins)


@pytest.mark.parametrize("entry", [compile_model, compile_source, session.create])
def test_one_plug_in(entry: Callable[..., Any]) -> None:
    with pytest.raises(FuriosaError, match=r"^missing\.py: the plug-in does not exist"):
        entry(SOURCES[0], plugins="missing.py")


@pytest.mark.parametrize("entry", [compile_model, session.create])
def test_an_argument_that_there_is_not(entry: Callable[..., Any]) -> None:
    with pytest.raises(FuriosaError, match="there is no argument 'compile_config'"):
        entry(SOURCES[0], compile_config={})
