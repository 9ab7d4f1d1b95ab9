"""Runners for asyncio.

async with create_runner("network.onnx") as runner:
    (result,) = await runner.run(image)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.network_part import PartArguments
from furiosa_ir.numerics.array import Array
from furiosa_ir.plugin_source import Plugin
from furiosa_ir.runtime.errors import SessionClosed
from furiosa_ir.runtime.model import Inputs, Model
from furiosa_ir.runtime.session import ModelSource, Session, create

T = TypeVar("T")


def create_runner(
    model: ModelSource,
    *,
    device: str | None = None,
    worker_num: int | None = None,
    batch_size: int | None = None,
    compiler_config: Mapping[str, Any] | None = None,
    compiler_hints: bool = True,
    plugins: Sequence[Plugin] = (),
    **part: Unpack[PartArguments],
) -> RunnerCreation:
    """A runner for a model, to be awaited or used by `async with`.

    The arguments are those of `session.create`. Reading and compiling go on in a thread of their
    own, so that the event loop goes on meanwhile; both may raise FuriosaError.
    """
    return RunnerCreation(
        model, device, worker_num, batch_size, compiler_config, compiler_hints, plugins, **part
    )


class RunnerCreation:
    """A `Runner` to be; its arguments are those of `session.create`."""

    def __init__(self, *arguments: Any, **part: Unpack[PartArguments]) -> None:
        self._arguments, self._part = arguments, part
        self._runner: Runner | None = None

    async def _create(self) -> Runner:
        return Runner(await asyncio.to_thread(create, *self._arguments, **self._part))

    def __await__(self) -> Generator[Any, Any, Runner]:
        return self._create().__await__()

    async def __aenter__(self) -> Runner:
        self._runner = await self._create()
        return self._runner

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.close()


class Runner:
    """A session that runs in threads of its own, `worker_num` of them, and is awaited."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._workers = ThreadPoolExecutor(session.worker_num, "furiosa-runner")
        self._is_closed = False

    @property
    def model(self) -> Model:
        """The network's inputs and outputs."""
        return self._session.model

    async def run(self, inputs: Inputs) -> list[Array]:
        """Runs the network once; see `Session.run`.

        A run whose task is cancelled is not interrupted if it has begun. Runs of a network with
        state go in the order of the calls.
        """
        arrays = self.model.arrays(inputs)
        run = self._submit(lambda: self._session.run(arrays))
        return (await asyncio.wrap_future(run)).numpy()

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        try:
            return self._workers.submit(work)
        except RuntimeError as error:
            if self._is_closed:
                raise SessionClosed("the session is closed") from None
            raise ExecutionFailure(f"there is no thread to run in: {error}") from error

    async def reset(self) -> None:
        """Clears the state of a network that has one, behind the runs that were asked for before.

        Raises:
            SessionClosed: the runner is closed.
        """
        await asyncio.wrap_future(self._submit(self._session.reset))

    async def close(self) -> bool:
        """Waits for the runs that go on and frees what the runner holds; whether that is done."""
        self._is_closed = True
        await asyncio.to_thread(self._workers.shutdown)
        self._session.close()
        return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
