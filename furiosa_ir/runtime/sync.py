"""Runners: the later form of a session, which takes and gives arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

from furiosa_ir.network_part import PartArguments
from furiosa_ir.numerics.array import Array
from furiosa_ir.plugin_source import Plugin
from furiosa_ir.runtime.model import Inputs, Model
from furiosa_ir.runtime.session import ModelSource, Session, create


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
) -> Runner:
    """A runner for a model; the arguments are those of `session.create`.

    Raises:
        FuriosaError: the model cannot be read or compiled.
    """
    return Runner(
        create(
            model,
            device,
            worker_num,
            batch_size,
            compiler_config,
            compiler_hints,
            plugins,
            **part,
        )
    )


class Runner:
    """A session whose results are arrays."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def model(self) -> Model:
        """The network's inputs and outputs."""
        return self._session.model

    def run(self, inputs: Inputs) -> list[Array]:
        """Runs the network once; see `Session.run`."""
        return self._session.run(inputs).numpy()

    def reset(self) -> None:
        """Clears the state of a network that has one; see `Session.reset`."""
        self._session.reset()

    def close(self) -> bool:
        """Frees what the runner holds; whether that is done."""
        self._session.close()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
