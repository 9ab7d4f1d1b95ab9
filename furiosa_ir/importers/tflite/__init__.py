"""TFLite -> `graph`.

`file` reads and checks the flatbuffer, `network` walks subgraph 0 and what it calls (`subgraphs`),
`operator` is what `from_tflite` of the operations sees, `folding` does shape arithmetic, `origin`
keeps each operator whole, `variables` knows what runs keep.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Attribute

from furiosa_ir.dialects.graph.variables import VariableOp
from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.batch import batch_axes, set_batch
from furiosa_ir.ir.history import HISTORY, NOTHING_RAN
from furiosa_ir.network_part import WHOLE, Part, way_out_of_open
from furiosa_ir.spans import span

if TYPE_CHECKING:
    from furiosa_ir.importers.tflite.file import FileRecord

_LOG = logging.getLogger(__name__)


def _refuse_state(variables: Sequence[VariableOp]) -> None:
    if variables:
        raise ImportFailure(
            "cannot change the batch size: the network keeps state from run to run "
            f"('{variables[0].sym_name.data}'), which is that of one sample after another",
            hint="use a session for each of them",
        )


def import_tflite(
    source: bytes | Path, *, batch_size: int | None = None, part: Part = WHOLE
) -> ModuleOp:
    """Imports the network (subgraph 0) of a TFLite model. Constants stay in the mapped file.

    The module's `graph.kernels` is "optimized" where LiteRT's reference kernels cannot run the
    file (see `kernels`).

    Args:
        source: the model or its path.
        batch_size: how many samples the inputs hold; None leaves that as it is.
        part: which part of the network, of which extents.

    Raises:
        ImportFailure: the file cannot be read, is corrupt or contradicts itself.
    """
    # The schema package takes 0.15 s to import; only who reads TFLite pays.
    from furiosa_ir.importers.tflite.file import (  # noqa: PLC0415
        CORRUPTION,
        open_model,
        read_file,
    )
    from furiosa_ir.importers.tflite.network import NetworkImporter  # noqa: PLC0415
    from furiosa_ir.importers.tflite.reference_kernels import has_reference_kernels  # noqa: PLC0415

    name = str(source) if isinstance(source, Path) else None
    try:
        with span("read"):
            data = open_model(source)
            file = read_file(data, part)
        _warn_of_open(file, name or "TFLite model")
        with span("convert"):
            network = NetworkImporter(file)
            function = network.run()
        variables = network.variables.operations()
        has_reference = has_reference_kernels(file)
        if batch_size is not None:
            tensors = [file.main.tensors[i] for i in file.main.inputs]
            inputs = [(t.name, t.shape) for t in tensors]
            axes = batch_axes(inputs, batch_size)
            if axes is not None:
                _refuse_state(variables)
                set_batch(function, axes, batch_size)
    except ImportFailure as error:
        raise error.at(file=name) from None
    except CORRUPTION as error:
        raise ImportFailure("the TFLite model is truncated or corrupt", file=name) from error
    if file.repaired:
        _LOG.warning(
            "%s: took the only dimension of the 1-D tensor '%s'%s as its quantised dimension; "
            "the file names another one",
            name or "TFLite model",
            file.repaired[0],
            f" and of {len(file.repaired) - 1} more" if len(file.repaired) > 1 else "",
        )
    attributes: dict[str, Attribute] = {
        "graph.source": StringAttr("tflite"),
        "graph.source_hash": StringAttr(hashlib.sha256(data).hexdigest()),
    }
    if not has_reference:
        attributes["graph.kernels"] = StringAttr("optimized")
    attributes[HISTORY] = NOTHING_RAN
    return ModuleOp([*variables, function], attributes)


def _warn_of_open(file: FileRecord, name: str) -> None:
    """Warns of inputs whose extents, beyond the batch, are only what the file happens to hold."""
    for index in file.main.inputs:
        tensor = file.main.tensors[index]
        extents = [None if n < 0 else n for n in tensor.signature]
        if None in extents[1:]:
            _LOG.warning(
                "%s: the file leaves dimensions of the input '%s' open; compiled for %s (%s)",
                name,
                tensor.name,
                " x ".join(map(str, tensor.shape)),
                way_out_of_open(tensor.name, extents),
            )
