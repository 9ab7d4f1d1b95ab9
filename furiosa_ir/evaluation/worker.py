"""What a worker does: runs samples through a program, each as if it were alone."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from furiosa_ir.errors import FuriosaError
from furiosa_ir.evaluation.columns import state_of
from furiosa_ir.evaluation.scores import rank_of
from furiosa_ir.input_files import open_input
from furiosa_ir.native_process import Answer, Job, Order
from furiosa_ir.numerics.array import Array
from furiosa_ir.plugin_source import Plugin, PluginSource, find_plugin
from furiosa_ir.plugins import files_of_plugins, load_plugins, raise_plugin_failure
from furiosa_ir.runtime import session
from furiosa_ir.runtime.session import Session


def options_of(
    program: Path | None, plugins: Sequence[Plugin], per_run: int, *, elsewhere: bool
) -> dict[str, Any]:
    """What the jobs are made of.

    Args:
        program: its file; None: its content is the work's data.
        plugins: code that has kernels of custom operators; it is loaded here.
        per_run: how many samples a run takes.
        elsewhere: whether workers may be on other machines, which get the code itself.

    Raises:
        FuriosaError: a plug-in does not load.
    """
    load_plugins(plugins)
    named: list[str] = []
    copies: list[dict[str, Any]] = []
    for source in map(find_plugin, plugins):
        if source.root is None:
            named.append(source.module)
        elif not elsewhere:
            named.append(str(source.file))
        else:
            copies.append(_copy(source))
    return {
        "program": None if program is None else str(program),
        "state": None if program is None else _state(program),
        "plugins": named,
        "copies": copies,
        "per_run": per_run,
    }


def _state(program: Path) -> str:
    """What tells a program's file from one that has taken its place."""
    with open_input(program) as stream:
        return state_of(stream)


def _copy(source: PluginSource) -> dict[str, Any]:
    """The files of a plug-in that has been loaded, by their names below its folder."""
    loaded = next(e for e in files_of_plugins() if e.folder / e.main == source.file)
    files = {n: file.read_text(encoding="utf-8") for n, (file, _) in loaded.files.items()}
    return {"main": loaded.main, "files": files}


def jobs(options: Mapping[str, Any], data: bytes) -> Mapping[str, Job]:
    """`ranks`: of labels among the scores of classes; `outputs`: all that the network gives."""
    plugins: list[Plugin] = [*options["plugins"], *_written(options["copies"])]
    load_plugins(plugins)
    program: bytes | Path = data
    if options["program"] is not None:
        program = Path(options["program"])
        if _state(program) != options["state"]:
            raise FuriosaError("it has changed since the evaluation began", file=str(program))
    running = session.create(program, worker_num=1, compiler_hints=False, plugins=plugins)
    per_run: int = options["per_run"]

    def ranks(order: Order) -> Answer:
        output: int = order.options["output"]
        labels: Sequence[int] = order.options["labels"]
        name = running.outputs()[output].name
        began = time.perf_counter()
        found: list[int] = []
        for index, runs in _samples(running, order, per_run):
            scores = runs[-1][output].reshape(-1)
            try:
                found.append(rank_of(scores, labels[len(found)], name))
            except FuriosaError as error:
                raise _of_sample(error, index) from None
        return Answer({"ranks": found, "seconds": time.perf_counter() - began})

    def outputs(order: Order) -> Answer:
        began = time.perf_counter()
        is_stream = _is_stream(running, order)
        arrays: list[Array] = []
        for index, runs in _samples(running, order, per_run):
            arrays += _stacked(runs, index) if is_stream else runs[0]
        return Answer({"seconds": time.perf_counter() - began}, arrays=arrays)

    return {"ranks": ranks, "outputs": outputs}


def _written(copies: Sequence[Mapping[str, Any]]) -> list[Plugin]:
    """Files of plug-ins, in a folder of their own while this process lasts."""
    written: list[Plugin] = []
    for copy in copies:
        folder = Path(tempfile.mkdtemp(prefix="furiosa."))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for name, text in copy["files"].items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        written.append(folder / copy["main"])
    return written


def _samples(
    running: Session, order: Order, per_run: int
) -> Iterator[tuple[int, Sequence[Sequence[Array]]]]:
    """(number of the sample, what the network gives for it, of each run) of an order.

    Args:
        running: the session.
        order: an array for each input, [samples, ...]; [samples, runs, ...] of streams.
        per_run: how many samples a run takes; the last run may lack some.
    """
    indices: Sequence[int] = order.options["indices"]
    is_stream = _is_stream(running, order)
    for first in range(0, len(indices), per_run):
        some = indices[first : first + per_run]
        inputs = [_run_input(array, first, per_run) for array in order.arrays]
        steps = list(zip(*inputs, strict=True)) if is_stream else [inputs]
        try:
            running.reset()  # of a network with state each sample is the first
            runs = [running.run(list(step)).numpy() for step in steps]
        except Exception as error:
            raise_plugin_failure(error)
            if isinstance(error, FuriosaError):
                raise _of_sample(error, some[0]) from error
            raise
        for place, index in enumerate(some):
            if per_run == 1:
                yield index, runs
            else:
                yield index, [[_one(result, place, per_run) for result in runs[0]]]


def _is_stream(running: Session, order: Order) -> bool:
    """Whether each sample is several runs in order: its arrays have a further axis."""
    return order.arrays[0].ndim == running.input(0).ndim + 2


def _stacked(runs: Sequence[Sequence[Array]], index: int) -> list[Array]:
    """Each output of all runs of a sample, along a new first axis."""
    try:
        return [np.stack(results) for results in zip(*runs, strict=True)]
    except ValueError:
        raise FuriosaError(
            f"sample {index}: an output has another shape in each run, and one array cannot hold "
            "them"
        ) from None


def _run_input(samples: Array, first: int, per_run: int) -> Array:
    if per_run == 1:
        return samples[first]
    run = samples[first : first + per_run]
    lacking = per_run - len(run)
    return np.concatenate([run, np.repeat(run[-1:], lacking, axis=0)]) if lacking else run


def _one(result: Array, place: int, per_run: int) -> Array:
    """What one sample of a run has made, as a run of that sample alone would give it."""
    if result.ndim == 0 or len(result) != per_run:
        raise FuriosaError(
            f"an output of shape {list(result.shape)} is not of {per_run} samples, as the inputs "
            "are",
            hint="compile the network for a batch of 1",
        )
    return result[place : place + 1]


def _of_sample(error: FuriosaError, index: int) -> FuriosaError:
    return type(error)(
        f"sample {index}: {error.message}", file=error.file, layer=error.layer, hint=error.hint
    )
