"""What `furiosa run` does around a session: arrays from a file, arrays to a file."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path

import click

from furiosa_ir.arrays import Array, read_arrays, require_readable, write_arrays
from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.files import check_writable, refuse_terminal
from furiosa_ir.plugins import Plugin
from furiosa_ir.runtime import session
from furiosa_ir.runtime.tensor import DataType, TensorDesc
from furiosa_ir.tools.sources import check_outputs, plugin_files, shown


def run_file(
    file: Path,
    inputs: Path,
    outputs: Path | None,
    *,
    target: str | None,
    batch_size: int | None,
    plugins: Sequence[Plugin] = (),
) -> None:
    """Runs a program or a network on the arrays of a file.

    Raises:
        FuriosaError: a file cannot be read or written, or the inputs do not fit.
    """
    if outputs is not None:
        refuse_terminal(check_writable(outputs))
        check_outputs([outputs], file, [inputs, *plugin_files(plugins)])
    require_readable(inputs)  # before a compile that may take long
    with session.create(file, device=target, batch_size=batch_size, plugins=plugins) as running:
        descs = running.inputs()
        arrays = read_arrays(inputs, [desc.name for desc in descs], _most_bytes(descs))
        results = running.run(_in_order(arrays, [d.name for d in running.inputs()], inputs))
        named = [
            (desc.name, tensor.numpy())
            for desc, tensor in zip(running.outputs(), results, strict=True)
        ]
    if outputs is not None:
        write_arrays(named, outputs)
        click.echo(f"Written to {shown(outputs)}", err=True)
        return
    for name, array in named:
        numbers = array.size and array.dtype.kind in "biuf"
        extremes = f", from {array.min():g} to {array.max():g}" if numbers else ""
        click.echo(f"{readable(name)}: {array.dtype}{list(array.shape)}{extremes}")


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
