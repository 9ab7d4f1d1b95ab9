"""`evaluate`: samples to workers, results to accuracies, and what is done to a file."""

from __future__ import annotations

import hashlib
import mmap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from furiosa_ir.backends import read_program
from furiosa_ir.cache.fingerprint import compiler_fingerprint
from furiosa_ir.evaluation.labels import LabelSource, inner_name, open_labels
from furiosa_ir.evaluation.measures import Measure, measure_of
from furiosa_ir.evaluation.metric import find_metric
from furiosa_ir.evaluation.partial import Partial, open_partial, short_identity
from furiosa_ir.evaluation.report import Evaluation, Progress
from furiosa_ir.evaluation.samples import Data, Samples, open_samples
from furiosa_ir.evaluation.worker import jobs, options_of
from furiosa_ir.leftovers import temporary_folder
from furiosa_ir.native_process import Answer
from furiosa_ir.numerics.array import Array
from furiosa_ir.plugin_source import Plugin, plugin_list
from furiosa_ir.runtime.model import Model
from furiosa_ir.version import __version__
from furiosa_ir.workers import Item, Work, WorkersLost, open_workers

_ITEM_SECONDS = 0.25
"""That an item takes, about: less than what is lost with a worker, more than what sending costs."""
_MOST_SAMPLES = 256
_MOST_BYTES = 2 << 20
"""Of an item's inputs, and of its outputs where these are sent, if it has several samples."""


@dataclass(frozen=True)
class Settings:
    """How an evaluation goes.

    Attributes:
        metric: of the user's own, in place of top-1 and top-5: a function, or FILE.py:NAME
            (`metric.find_metric`).
        scores: the output that has the scores of the classes; None: the only one.
        label_offset: what is added to each label: 1 where class 0 is the background.
        count: samples to run at most, from all over the set; None: all.
        processes: of this machine, at most; 0: this one alone.
        scheduler: the address of a Dask scheduler, whose workers are used instead.
        partial: what is done is kept in this file, from which the next evaluation goes on; a
            folder: in a file there, whose name says which evaluation's it is. None: nowhere.
        restart: forget what is in that file.
        plugins: code that has kernels of custom operators.
    """

    metric: str | Path | Callable[..., Any] | None = None
    scores: str | None = None
    label_offset: int = 0
    count: int | None = None
    processes: int = 0
    scheduler: str | None = None
    partial: Path | None = None
    restart: bool = False
    plugins: Sequence[Plugin] = ()


def _no_report(_progress: Progress) -> None:
    """Nobody wants to know the progress."""


def evaluate(
    program: bytes | Path,
    data: Data,
    labels: LabelSource | None,
    settings: Settings,
    *,
    name: str = "evaluation",
    on_open: Callable[[Path, int], None] | None = None,
    on_step: Callable[[Progress], None] = _no_report,
) -> Evaluation:
    """Runs a validation set on the simulator, and says how good the network is.

    The result depends on program, data, labels and metric alone: not on how many workers there are
    or where, on which of them is lost, or on how often it was interrupted.

    Args:
        program: what a compile made: its content, or its file.
        data: the samples: an .npz or .npy file, a folder of such files, an array, or arrays by the
            names of inputs. Samples lie along the first axis.
        labels: of the samples: the numbers of their classes, or what the metric wants: a text or
            array file, the name of an array of the data's file, an array. None: the metric gets the
            samples' numbers.
        settings: see `Settings`.
        name: what the file in the folder `settings.partial` is called by.
        on_open: told which file the results are kept in, and how many are there already.
        on_step: told the progress.

    Raises:
        FuriosaError: something of all this is not as it should be; a sample or its outputs have a
            NaN; the metric raises an exception; workers cannot be had.
    """
    plugins = plugin_list(settings.plugins)
    tables = read_program(program, plugins)
    model = Model.of(tables)
    metric = None if settings.metric is None else find_metric(settings.metric)
    beside = None if labels is None else inner_name(labels, data)
    keeps_state = bool(tables.variables)
    samples = open_samples(data, model.inputs(), beside, keeps_state=keeps_state)
    found = None if labels is None else open_labels(labels, data, samples)
    measure = measure_of(
        model, metric, samples, found, scores=settings.scores, offset=settings.label_offset
    )
    digest = _sha256(program)
    identity = {
        "version": __version__,
        "program": digest,
        "data": samples.fingerprint(),
        "labels": "" if found is None else found.fingerprint(),
        "metric": measure.identity,
    }
    file = settings.partial
    if file is not None and file.is_dir():
        file /= f"{name}.{short_identity(identity)}.evaluation.json"
    partial = open_partial(file, identity, samples.count, measure.is_value, anew=settings.restart)
    indices = _spread(samples.count, settings.count)
    before = sorted(partial.values.keys() & set(indices) if settings.count else partial.values)
    kept = len(before)
    if file is not None and on_open is not None:
        on_open(file, kept)
    for index in before:
        measure.count(partial.values[index])
    began = time.perf_counter()
    workers = 0
    todo = _Todo(indices, frozenset(before))
    if len(todo):
        with temporary_folder() as folder:
            work = _work(program, plugins, samples.per_run, settings.scheduler, folder)

            def report(done: int) -> None:
                seconds = time.perf_counter() - began
                on_step(Progress(kept + done, len(indices), kept, seconds, measure.shares()))

            workers = _run(work, samples, todo, measure, settings, partial, report)
    seconds = time.perf_counter() - began
    values = [partial.values[index] for index in indices]
    result, correct = measure.result(values)
    partial.finish(len(indices))
    return Evaluation(
        result=result,
        correct=correct,
        samples=len(indices),
        kept=kept,
        seconds=seconds,
        images_per_second=len(todo) / seconds if len(todo) else 0.0,
        workers=workers,
        scheduler=settings.scheduler,
        target=tables.target,
        program=digest,
        indices=indices,
        values=values,
    )


def _run(
    work: Work,
    samples: Samples,
    todo: _Todo,
    measure: Measure,
    settings: Settings,
    partial: Partial,
    report: Callable[[int], None],
) -> int:
    """Has samples run, and keeps their results, whatever happens; how many workers there are."""
    pieces = _Pieces(samples, todo, measure)
    measure.begin(todo)
    most = min(settings.processes, len(todo))
    done = 0
    try:
        with open_workers(work, processes=most, scheduler=settings.scheduler) as workers:
            with closing(workers.map(pieces.items(lambda: workers.count))) as answers:
                for answer in answers:
                    for index, value in pieces.results(answer):
                        partial.add(index, value)
                        measure.count(value)
                        done += 1
                    report(done)
            return workers.count
    except WorkersLost as error:
        raise WorkersLost(f"{pieces.due()}: {error.message}", hint=error.hint) from error
    finally:
        partial.save()


def _sha256(program: bytes | Path) -> str:
    if isinstance(program, bytes):
        return hashlib.sha256(program).hexdigest()
    with (
        program.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return hashlib.sha256(content).hexdigest()


def _spread(count: int, most: int | None) -> Sequence[int]:
    """The numbers of some samples, from all over a set of so many."""
    if most is None or most >= count:
        return range(count)  # a file may claim 2^40 of them
    return [i * count // most for i in range(most)]


@dataclass(frozen=True)
class _Todo:
    """The numbers of samples that are to be run.

    Attributes:
        indices: of all that are wanted, rising.
        done: of those that need not be run.
    """

    indices: Sequence[int]
    done: frozenset[int]

    def __len__(self) -> int:
        return len(self.indices) - len(self.done)

    def __iter__(self) -> Iterator[int]:
        return (index for index in self.indices if index not in self.done)


def _work(
    program: bytes | Path,
    plugins: Sequence[Plugin],
    per_run: int,
    scheduler: str | None,
    folder: Path,
) -> Work:
    """What workers keep: processes of this machine share the program's file, others get it."""
    if scheduler is not None:
        content = program if isinstance(program, bytes) else program.read_bytes()
        options = options_of(None, plugins, per_run, elsewhere=True)
        return Work(jobs, options, content, compiler_fingerprint)
    if isinstance(program, bytes):
        file = folder / "program"
        file.write_bytes(program)
        program = file
    return Work(jobs, options_of(program.resolve(), plugins, per_run, elsewhere=False))


class _Pieces:
    """Items of some samples each, of as many as a worker does in a moment.

    How many that are changes nothing of what comes of each sample.
    """

    def __init__(self, samples: Samples, todo: _Todo, measure: Measure) -> None:
        self._samples = samples
        self._todo = todo
        self._measure = measure
        self._most = max(
            1,
            min(
                1 if any(part.steps for part in samples.parts) else _MOST_SAMPLES,
                _MOST_BYTES // max(1, samples.bytes),
                _MOST_BYTES * samples.per_run // max(1, measure.output_bytes),
            ),
        )
        self._size = 1
        self._under_way: list[list[int]] = []

    def items(self, workers: Callable[[], int]) -> Iterator[Item]:
        """The items, in order.

        Args:
            workers: how many there are: near the end, each is to have something to do.
        """
        indices: list[int] = []
        columns: list[list[Array]] = []
        for number, (index, arrays) in enumerate(self._samples.read(self._todo)):
            indices.append(index)
            columns.append(arrays)
            left = len(self._todo) - number - 1
            size = min(self._size, 1 + (left + len(indices)) // (2 * max(1, workers())))
            if len(indices) >= self._whole_runs(size) or not left:
                self._under_way.append(indices)
                inputs = [np.stack(column) for column in zip(*columns, strict=True)]
                options = {"indices": indices, **self._measure.options(indices)}
                yield Item(self._measure.job, options, arrays=inputs)
                indices, columns = [], []

    def _whole_runs(self, size: int) -> int:
        per_run = self._samples.per_run
        return -(-size // per_run) * per_run

    def due(self) -> str:
        """What a message calls the samples of the item whose answer is the next."""
        first, last = self._under_way[0][0], self._under_way[0][-1]
        return f"sample {first}" if first == last else f"one of the samples {first} to {last}"

    def results(self, answer: Answer) -> Iterator[tuple[int, Any]]:
        """(number of the sample, its result) of the next item's answer."""
        indices = self._under_way.pop(0)
        each = answer.value["seconds"] / len(indices)
        self._size = max(1, min(self._most, int(_ITEM_SECONDS / max(each, 1e-6))))
        yield from self._measure.values(indices, answer)
