"""What `furiosa run` does around a session: arrays from a file, arrays to a file."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from statistics import median
from time import perf_counter

import click
import numpy as np

from furiosa_ir.arrays import read_arrays, require_readable, write_arrays
from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.files import check_writable, refuse_terminal
from furiosa_ir.latency import Latency
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.numerics.array import Array
from furiosa_ir.plugin_source import Plugin
from furiosa_ir.reports.units import format_value
from furiosa_ir.runtime import session
from furiosa_ir.runtime.errors import InvalidInput
from furiosa_ir.runtime.tensor import DataType, TensorDesc
from furiosa_ir.tools.sources import check_outputs, plugin_files, shown


def run_file(
    file: Path,
    inputs: Path,
    outputs: Path | None,
    *,
    target: str | None,
    batch_size: int | None,
    part: Part = WHOLE,
    plugins: Sequence[Plugin] = (),
    repeat: int | None = None,
) -> None:
    """Runs a program or a network on the arrays of a file.

    A network that keeps state runs as often as its inputs have entries along a further first axis,
    in order, and the outputs are as many along one. With `repeat` it says what runs take: those of
    a session's first, with its set-up, and of further ones; the last one's outputs are written.

    Raises:
        FuriosaError: a file cannot be read or written, or the inputs do not fit.
    """
    if outputs is not None:
        refuse_terminal(check_writable(outputs))
        check_outputs([outputs], file, [inputs, *plugin_files(plugins)])
    require_readable(inputs)  # before a compile that may take long
    with (
        _naming(file, inputs),
        session.create(
            file,
            device=target,
            batch_size=batch_size,
            plugins=plugins,
            input_shapes=dict(part.input_shapes),
            dims=dict(part.dims),
        ) as running,
    ):
        descs = running.inputs()
        names = [desc.name for desc in descs]
        keeps_state = bool(running.program.variables)
        most = None if keeps_state else _most_bytes(descs)
        arrays = _in_order(read_arrays(inputs, names, most), names, inputs)
        steps = _steps(descs, arrays, inputs) if keeps_state else None
        if steps is None:
            results = _repeated(running, arrays, repeat)
        elif repeat is not None:
            raise FuriosaError(
                "--repeat repeats one run, and the inputs are of several, each from the state of "
                "the one before",
                file=str(inputs),
                hint="leave --repeat out",
            )
        else:
            results = _joined([running.run(step).numpy() for step in steps], running.outputs())
            click.echo(f"Runs: {len(steps)}, each from the state of the one before", err=True)
        named = [(desc.name, r) for desc, r in zip(running.outputs(), results, strict=True)]
    if outputs is not None:
        write_arrays(named, outputs)
        click.echo(f"Written to {shown(outputs)}", err=True)
        return
    for name, array in named:
        numbers = array.size and array.dtype.kind in "biuf"
        extremes = f", from {array.min():g} to {array.max():g}" if numbers else ""
        click.echo(f"{readable(name)}: {array.dtype}{list(array.shape)}{extremes}")


@contextmanager
def _naming(file: Path, inputs: Path) -> Generator[None]:
    """Names the file of inputs where the network does not take them, else the network's own."""
    try:
        yield
    except InvalidInput as error:
        raise error.at(file=str(inputs)) from error.__cause__
    except FuriosaError as error:
        raise error.at(file=str(file)) from error.__cause__


def _repeated(
    running: session.Session, arrays: Sequence[Array], repeat: int | None
) -> Sequence[Array]:
    """The results of a run, or of the last of several, which then says what they take."""
    if repeat is None:
        return running.run(arrays).numpy()
    results: Sequence[Array] = ()
    seconds: list[float] = []
    for _ in range(repeat):
        start = perf_counter()
        results = running.run(arrays).numpy()
        seconds.append(perf_counter() - start)
    _tell_times(running.latency, seconds)
    return results


def _tell_times(latency: Latency, seconds: Sequence[float]) -> None:
    """Says what the first run and further ones take: on the machine, and to simulate."""
    cold, warm, setup = (
        format_value(us, "latency")
        for us in (latency.cold_latency_us, latency.total_latency_us, latency.setup_latency_us)
    )
    of_each = f" for the first run (cold: {setup} of it sets up SRAM), {warm} for each further one"
    is_estimated = latency.total_latency_us > 0
    told = f"{cold}{of_each} (warm)" if is_estimated else cold
    click.echo(f"Estimated latency: {told}", err=True)
    first, *further = (format_value(s * 1e6, "microseconds") for s in seconds)
    middle = f", further ones {format_value(median(seconds[1:]) * 1e6, 'microseconds')}"
    how = "Simulated" if is_estimated else "Run"
    click.echo(f"{how} in: first run {first}{middle if further else ''}", err=True)


def _steps(
    descs: Sequence[TensorDesc], arrays: Sequence[Array], file: Path
) -> list[list[Array]] | None:
    """The inputs of each run, of several; None of one run's.

    Raises:
        FuriosaError: they are none, or not as many of each input.
    """
    if any(a.ndim != len(d.shape) + 1 for d, a in zip(descs, arrays, strict=True)):
        return None  # a single run, or what the session refuses
    counts = {len(array) for array in arrays}
    if len(counts) != 1 or not min(counts):
        listed = ", ".join(f"{len(a)} of '{d.name}'" for d, a in zip(descs, arrays, strict=True))
        raise FuriosaError(f"the inputs are not of one number of runs: {listed}", file=str(file))
    return [[array[i] for array in arrays] for i in range(counts.pop())]


def _joined(runs: Sequence[Sequence[Array]], descs: Sequence[TensorDesc]) -> list[Array]:
    """Each output of all runs, along a new first axis.

    Raises:
        FuriosaError: its shape is not the same in all of them.
    """
    results: list[Array] = []
    for desc, arrays in zip(descs, zip(*runs, strict=True), strict=True):
        if len({array.shape for array in arrays}) != 1:
            raise FuriosaError(
                f"the output '{desc.name}' has another shape in each run, and one file cannot "
                "hold them",
                hint="run the inputs one by one in a session",
            )
        results.append(np.stack(arrays))
    return results


_WIDEST = 16
"""Bytes of an element of the widest type: one of another type is told from its type, not size."""


def _most_bytes(descs: Sequence[TensorDesc]) -> int | None:
    """How much a file of inputs may hold, headers included; None where a shape is open."""
    if any(n < 0 or desc.dtype is DataType.STRING for desc in descs for n in (0, *desc.shape)):
        return None
    return sum(_WIDEST * prod(desc.shape) + (1 << 16) for desc in descs)


def _in_order(arrays: dict[str, Array], names: list[str], file: Path) -> list[Array]:
    if all(name in arrays for name in names):
        return [arrays[name] for name in names]
    if len(arrays) != len(names) or not all(n.startswith("arr_") for n in arrays):
        missing = next(n for n in names if n not in arrays)
        raise FuriosaError(
            f"there is no array for the input '{missing}'",
            file=str(file),
            hint=f"the file has {', '.join(arrays) or 'no arrays'}",
        )
    return list(arrays.values())
