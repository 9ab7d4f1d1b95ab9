"""The options of `furiosa compile` that look for a better schedule, and what is shown of that."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import click

from furiosa_ir.backends import Backend
from furiosa_ir.errors import FuriosaError
from furiosa_ir.pipeline_request import Edit, EditKind, PipelineRequest

WHERE = "--optimize"
"""What the edits of a search come from."""

SECONDS = 30
MOST_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Search:
    """What is asked for.

    Attributes:
        seconds: the budget.
        seed: of the random numbers.
        jobs: processes of this machine; None: as many as processors.
        scheduler: the address of a Dask scheduler, whose workers are used instead.
    """

    seconds: int
    seed: int = 0
    jobs: int | None = None
    scheduler: str | None = None

    def request(self, pipeline: PipelineRequest, backend: Backend) -> PipelineRequest:
        """The pipeline with the search in it.

        Raises:
            FuriosaError: the backend has none.
        """
        if backend.search is None:
            raise FuriosaError(
                f"{backend.title} has no search for schedules", hint=f"leave {WHERE} out"
            )
        name, at = backend.search
        text = f"{name}{{seconds={self.seconds} seed={self.seed}}}"
        edit = Edit(EditKind.INSERT_BEFORE, at, text, WHERE)
        return replace(pipeline, edits=(*pipeline.edits, edit))

    @contextmanager
    def shown(self, *, quiet: bool) -> Generator[Callable[[], bool]]:
        """Searches within it run where they are asked to, with progress on stderr.

        The first Ctrl-C keeps the best so far; what this gives tells whether it came.
        """
        from furiosa_ir.cache.fingerprint import compiler_fingerprint  # noqa: PLC0415
        from furiosa_ir.runtime.session import usable_processors  # noqa: PLC0415
        from furiosa_ir.schedule_search import Surroundings, searching  # noqa: PLC0415
        from furiosa_ir.tools.signals import Interruptible  # noqa: PLC0415

        progress = _Silent() if quiet else _Progress()
        jobs = self.jobs or usable_processors()
        with Interruptible() as is_stopped:
            within = Surroundings(
                processes=0 if jobs == 1 else jobs,
                scheduler=self.scheduler,
                on_step=progress.step,
                is_stopped=is_stopped,
                on_end=progress.end,
                agrees=compiler_fingerprint,
            )
            with searching(within):
                yield is_stopped


def without_search(pipeline: PipelineRequest) -> PipelineRequest:
    """The pipeline without the searches that options ask for."""
    edits = tuple(edit for edit in pipeline.edits if edit.where != WHERE)
    return replace(pipeline, edits=edits)


class _Silent:
    def step(self, step: Any) -> None:
        """Shows nothing."""

    def end(self, before: int, after: int, least: int) -> None:
        """Shows nothing."""


class _Progress(_Silent):
    """A line for each tenth of the search, and one for what came of it."""

    def __init__(self) -> None:
        self._tenths = 0

    def step(self, step: Any) -> None:
        """Shows the best so far."""
        tenths = 10 * step.done // step.total
        if tenths > self._tenths:
            self._tenths = tenths
            click.echo(
                f"🔍  Searching: {step.done:,} of {step.total:,} candidates, kernels in "
                f"{step.best:,.0f} cycles (at first {step.first:,.0f})",
                err=True,
            )

    def end(self, before: int, after: int, least: int) -> None:
        """Shows what the program gains, and what is left to gain."""
        share = (before - after) / before if before else 0.0
        found = f"{share:.1%} less" if after < before else "nothing better was found"
        left = max(after - least, 0) / after if after else 0.0
        click.echo(
            f"✨  Search: {after:,} cycles on the NPU, {before:,} without; {found}. No layouts "
            f"take less than {least:,}: {left:.1%} is left",
            err=True,
        )


def _parsed(value: str) -> int:
    name, equals, seconds = value.partition("=")
    if name != "search" or (equals and not (seconds.isdecimal() and seconds.isascii())):
        raise FuriosaError(f"'{value}' is no way to optimise", file=WHERE, hint="search=SECONDS")
    budget = int(seconds) if equals else SECONDS
    if not 1 <= budget <= MOST_SECONDS:
        raise FuriosaError(f"a search takes 1 to {MOST_SECONDS} seconds, not {budget}", file=WHERE)
    return budget


def search_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --optimize, --seed, --jobs and --scheduler; the command gets `search`, or None."""

    @wraps(command)
    def call(
        *arguments: Any,
        optimize: str | None,
        seed: int | None,
        jobs: int | None,
        scheduler: str | None,
        **options: Any,
    ) -> Any:
        from furiosa_ir.tools.errors import reported_errors  # noqa: PLC0415

        with reported_errors():
            if optimize is None and (seed, jobs, scheduler) != (None, None, None):
                raise FuriosaError(
                    "--seed, --jobs and --scheduler are for a search",
                    hint=f"give {WHERE} search, too",
                )
            if jobs is not None and scheduler is not None:
                raise FuriosaError("--jobs is for this machine, --scheduler for others'")
            search = None
            if optimize is not None:
                search = Search(_parsed(optimize), seed or 0, jobs, scheduler)
        return command(*arguments, search=search, **options)

    made: Callable[..., Any] = call
    for option in (
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Search on the workers of this Dask scheduler (extra `dask`).",
        ),
        click.option(
            "--jobs",
            type=click.IntRange(min=1),
            metavar="N",
            help="Processes that search; default: as many as processors.",
        ),
        click.option(
            "--seed",
            type=click.IntRange(min=0, max=2**31 - 1),
            metavar="N",
            help="Of the search's random numbers; default: 0.",
        ),
        click.option(
            "--optimize",
            metavar="search[=SECONDS]",
            help=f"Look for a better schedule (docs/search.md); default: {SECONDS} s.",
        ),
    ):
        made = option(made)
    return made
