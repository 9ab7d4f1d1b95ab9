"""How good a network is on a validation set, as the device computes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.api.programs import Program, program_of
from furiosa_ir.arguments import positive_integer
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.evaluation import Evaluation, Settings
from furiosa_ir.evaluation import evaluate as evaluate_program
from furiosa_ir.evaluation.labels import LabelSource
from furiosa_ir.evaluation.samples import Data
from furiosa_ir.model_source import Source
from furiosa_ir.plugin_source import Plugin, plugin_list


def evaluate(
    network: Program | Source | ModuleOp,
    data: Data,
    labels: LabelSource | None = None,
    *,
    metric: str | Path | Callable[..., Any] | None = None,
    scores: str | None = None,
    label_offset: int = 0,
    count: int | None = None,
    processes: int = 0,
    scheduler: str | None = None,
    partial: str | Path | None = None,
    restart: bool = False,
    plugins: Sequence[Plugin] = (),
) -> Evaluation:
    """Runs a validation set on the simulator: accuracy, or what a metric says (docs/evaluate.md).

        found = fi.evaluate("net.tflite", "images.npz", "labels.txt", processes=4)
        print(found.result["top-1"], found.images_per_second)

    Args:
        network: a program; a network or a module is compiled first.
        data: samples along the first axis: an .npz or .npy file, a folder of such files, an array,
            or arrays by the names of inputs. Files are read sample by sample.
        labels: the number of each sample's class, or what the metric wants: a text or array file,
            the name of an array of the data's file, or an array.
        metric: in place of top-1 and top-5: a function of (outputs by name, label) that returns a
            number or a dict of numbers, of which the result is the mean; an object that can be
            called so, with a method `summary` of what it has returned for all samples; or where
            one is: "FILE.py:NAME".
        scores: the output that has the scores of the classes; None: the only one.
        label_offset: what is added to each label.
        count: samples to run at most, from all over the set.
        processes: of this machine, at most; they load `plugins` alone, not what scripts declare.
            0: this one does it all.
        scheduler: the address of a Dask scheduler, whose workers are used instead.
        partial: what is done is kept in this file until all of it is, and the next call goes on.
        restart: forget what is in that file.
        plugins: code that declares backends, operators, or kernels of custom ones.

    Raises:
        FuriosaError: something of this cannot be read or does not fit, a sample or its output has
            a NaN, the metric raises an exception, or workers cannot be had.
    """
    failure = ExecutionFailure
    if count is not None:
        count = positive_integer(count, "number of samples", failure)
    settings = Settings(
        metric=metric,
        scores=scores,
        label_offset=label_offset,
        count=count,
        processes=processes and positive_integer(processes, "number of processes", failure),
        scheduler=scheduler,
        partial=None if partial is None else Path(partial),
        restart=restart,
        plugins=plugin_list(plugins),
    )
    program = program_of(network, plugins=plugins)
    return evaluate_program(bytes(program), data, labels, settings)
