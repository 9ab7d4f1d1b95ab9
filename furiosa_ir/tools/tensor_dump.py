"""`furiosa run --dump`: what layers make, to a file."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import click
import numpy as np

from furiosa_ir.arrays import require_readable, write_arrays
from furiosa_ir.backends import read_program
from furiosa_ir.debugging.program_inputs import inputs_of_program
from furiosa_ir.debugging.tensors import chosen_layers, tensors_of_module, tensors_of_program
from furiosa_ir.errors import FuriosaError
from furiosa_ir.files import check_writable, refuse_terminal
from furiosa_ir.formats import Format, head_of, recognise
from furiosa_ir.importers import load
from furiosa_ir.ir.passes import nearest
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.numerics.array import Array
from furiosa_ir.plugin_source import Plugin
from furiosa_ir.plugins import load_plugins
from furiosa_ir.program import Program
from furiosa_ir.tools.sources import check_outputs, plugin_files, shown
from furiosa_ir.verification.commands import has_commands, program_of
from furiosa_ir.verification.inputs import given_inputs, network_inputs


def dump_tensors(
    file: Path,
    inputs: Path,
    outputs: Path | None,
    dump: Sequence[str],
    until: str | None,
    *,
    batch_size: int | None = None,
    part: Part = WHOLE,
    plugins: Sequence[Plugin] = (),
) -> None:
    """Writes what layers of a network, IR text or program make of the inputs in a file.

    Of several samples each array has one more axis in front.

    Raises:
        FuriosaError: there is no such layer, or a file cannot be read or written.
    """
    if outputs is None:
        raise FuriosaError("--dump and --until write a file", hint="-o tensors.npz")
    refuse_terminal(check_writable(outputs))
    check_outputs([outputs], file, [inputs, *plugin_files(plugins)])
    require_readable(inputs)
    load_plugins(plugins)
    try:
        if recognise(head_of(file), plugins) is Format.PROGRAM:
            runs = _of_program(read_program(file), inputs, dump, until)
        else:
            module = load(file, batch_size, part)
            if has_commands(module):
                runs = _of_program(program_of(module), inputs, dump, until)
            else:
                layers = chosen_layers(module, dump)
                last = next(iter(chosen_layers(module, [until]))) if until is not None else None
                if last is not None and not dump:
                    layers = {last: until or last}
                samples = given_inputs(inputs, network_inputs(module))
                runs = [
                    tensors_of_module(module, feeds, layers=layers, until=last) for feeds in samples
                ]
    except FuriosaError as error:
        raise error.at(file=str(file)) from error.__cause__
    named = runs[0] if len(runs) == 1 else {n: np.stack([r[n] for r in runs]) for n in runs[0]}
    write_arrays(named.items(), outputs)
    count = f"{len(named)} tensor{'s' if len(named) != 1 else ''}"
    click.echo(f"{count} written to {shown(outputs)}", err=True)


def _of_program(
    program: Program, inputs: Path, dump: Sequence[str], until: str | None
) -> list[dict[str, Array]]:
    known = list(dict.fromkeys(tensor.name for tensor in program.tensors))
    wanted: dict[str, None] = {}
    for given in dump or [until or ""]:
        for name in [given] if given in known else given.split(","):
            matching = [each for each in known if fnmatchcase(each, name)]
            if not matching:
                layers = [layer.name for layer in program.layers]
                inside = any(name in (layer, *layer.split("+")) for layer in layers)
                if inside:
                    raise FuriosaError(
                        f"what the layer '{name}' makes never leaves the device",
                        hint="run the network, or its IR text, with --dump; of a program there are "
                        f"the tensors between segments: {', '.join(known)}",
                    )
                raise FuriosaError(f"there is no tensor '{name}'", hint=nearest(name, known))
            wanted.update(dict.fromkeys(matching))
    samples = given_inputs(inputs, inputs_of_program(program))
    runs = [tensors_of_program(program, list(feeds.values())) for feeds in samples]
    return [{name: run[name] for name in wanted if name in run} for run in runs]
