"""Runners for asyncio, and sessions in an event loop's executor."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest

from furiosa.runtime import FuriosaRuntimeError, create_runner, session, sync
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.errors import FuriosaError
from tests.runtime.programs import copy_program

SHAPE = (1, 2, 3, 4)


@pytest.fixture
def enf() -> bytes:
    return write_program(copy_program("int8"))


def image(value: int) -> np.ndarray:
    return np.full(SHAPE, value, np.int8)


def test_a_runner_is_awaited(enf: bytes) -> None:
    async def use() -> list[np.ndarray]:
        async with create_runner(enf, worker_num=3, compiler_config={}) as runner:
            assert runner.model.input(0).shape == SHAPE
            results = await asyncio.gather(*(runner.run([image(i)]) for i in range(30)))
        return [result for (result,) in results]

    for i, result in enumerate(asyncio.run(use())):
        np.testing.assert_array_equal(result, image(i))
    assert not [t for t in threading.enumerate() if t.name.startswith("furiosa")]


def test_it_is_closed_once_and_says_so(enf: bytes) -> None:
    async def use() -> None:
        runner = await create_runner(enf)
        async with runner:
            with pytest.raises(ValueError, match="shape"):
                await runner.run(np.zeros((1, 2), np.int8))
            with pytest.raises(TypeError, match="dtype"):
                await runner.run(np.zeros(SHAPE, np.float16))
        assert await runner.close()
        with pytest.raises(FuriosaRuntimeError, match="the session is closed"):
            await runner.run(image(0))

    asyncio.run(use())


def test_without_threads_it_says_so(enf: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use() -> None:
        runner = await create_runner(enf)

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(FuriosaError, match="no thread to run in: can't start new thread"):
                await runner.run(image(0))
        await runner.close()

    asyncio.run(use())


def test_closing_waits_for_the_runs_that_go_on(enf: bytes) -> None:
    async def use() -> list[np.ndarray]:
        runner = await create_runner(enf, worker_num=1)
        runs = [asyncio.create_task(runner.run(image(i))) for i in range(4)]
        await asyncio.sleep(0)  # they are submitted
        await runner.close()
        return [(await run)[0] for run in runs]

    assert [result[0, 0, 0, 0] for result in asyncio.run(use())] == [0, 1, 2, 3]


def test_what_cannot_be_read_is_raised_where_it_is_awaited(tmp_path: Path) -> None:
    async def use() -> None:
        async with create_runner(tmp_path / "missing.onnx"):
            pass

    with pytest.raises(FuriosaError, match=r"missing\.onnx"):
        asyncio.run(use())


def test_a_session_runs_in_an_executor(enf: bytes) -> None:
    async def use() -> list[int]:
        with session.create(enf, worker_num=2) as running:
            loop = asyncio.get_running_loop()
            runs = [loop.run_in_executor(None, running.run, image(i)) for i in range(20)]
            return [int(result[0].numpy()[0, 0, 0, 0]) for result in await asyncio.gather(*runs)]

    assert asyncio.run(use()) == list(range(20))


def test_the_synchronous_runner(enf: bytes) -> None:
    with sync.create_runner(enf, compiler_config={}) as runner:
        assert runner.model.output_num == 1
        for inputs in (image(3), [image(3)], {"x": image(3)}):
            (result,) = runner.run(inputs)
            assert isinstance(result, np.ndarray)
            np.testing.assert_array_equal(result, image(3))
    assert runner.close()
    with pytest.raises(sync.FuriosaRuntimeError, match="the session is closed"):
        runner.run(image(0))
