"""`quantize`: all that the quantisers' libraries do, in a process that may be lost.

onnxruntime, LiteRT and ai-edge-quantizer are native code, and the network may be a stranger's. The
child reads the network and the samples, and hands the quantised network back; this process writes
it. What is beside files of the child (temporary ones) lies in a folder that this process removes.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from furiosa_ir.errors import FuriosaError
from furiosa_ir.files import check_distinct, check_writable, write_whole
from furiosa_ir.importers.way_out import with_way_around_foreign
from furiosa_ir.leftovers import temporary_folder
from furiosa_ir.limits import limit as limit_of
from furiosa_ir.native_process import (
    Answer,
    Job,
    NativeCrash,
    NativeProcesses,
    NativeRefusal,
    OnStep,
    Order,
    no_report,
)
from furiosa_ir.network_part import Part, PartArguments, part_of
from furiosa_ir.plugin_source import Plugin, plugin_list
from furiosa_ir.plugins import (
    load_plugins,
    loaded_plugins,
    raise_plugin_failure,
    scripts_that_register,
)
from furiosa_ir.quantization.accuracy import OutputAccuracy
from furiosa_ir.quantization.calibration import Calibration, calibration_files
from furiosa_ir.quantization.layers import LayerAccuracy
from furiosa_ir.quantization.report import ACTIVATIONS, METHODS, QuantizationReport
from furiosa_ir.streams import descriptor_at

_LOG = logging.getLogger(__name__)


def quantize(
    source: str | Path,
    calibration: Calibration,
    output: str | Path,
    *,
    method: str = "minmax",
    per_channel: bool = True,
    activation: str = "int8",
    exclude: Sequence[str] = (),
    limit: int | None = None,
    plugins: Sequence[Plugin] = (),
    on_step: OnStep = no_report,
    **part: Unpack[PartArguments],
) -> QuantizationReport:
    """Quantises a float network, in a process of its own: what its libraries do ends no other.

    Args:
        source: an ONNX or TFLite network; its content says which.
        calibration: samples of its inputs, as arrays or files of them.
        output: the file to write; it appears whole or not at all.
        method: how a tensor's range follows from its values: "minmax", "entropy", "percentile".
        per_channel: a scale for each output channel of a weight, not one for the whole weight.
        activation: "int8" or "uint8".
        exclude: layers that stay in float.
        limit: at most that many samples.
        plugins: code that declares operators and lowerings; those that the NPU thereby has an
            8-bit form of are quantised, too. Those that this process has loaded count as well.
        on_step: is told the progress.
        **part: `input_shapes` and `dims` fix extents that the network leaves open, `inputs` and
            `outputs` quantise what is between them (`network_part.PartArguments`).

    Raises:
        FuriosaError: anything is wrong with the network, the data or the output file; or the
            libraries did not survive the network, or took more than `QUANTIZER_BYTES` of `limits`.
    """
    source, output = Path(source), Path(output)
    chosen = part_of(**part)
    if method not in METHODS or activation not in ACTIVATIONS:
        raise FuriosaError(
            f"no method '{method}' with {activation} activations",
            hint=f"choose of {', '.join(METHODS)} and {' or '.join(ACTIVATIONS)}",
        )
    check_writable(output)
    files = [source, *calibration_files(calibration)]
    check_distinct([output], files)
    for script in scripts_that_register():
        _LOG.warning(
            "operators that '%s' declares are not known where networks are quantised: "
            "plugins= takes files of them",
            script,
        )
    named, arrays = _arrays_of(calibration)
    options: dict[str, Any] = {
        "source": str(source),
        "calibration": None if named is not None else str(calibration),
        "names": named,
        "plugins": [*map(str, (*loaded_plugins(), *plugin_list(plugins)))],
        "settings": {
            "method": method,
            "per_channel": per_channel,
            "activation": activation,
            "exclude": list(exclude),
            "limit": limit,
        },
        "part": asdict(chosen),
    }
    processes = NativeProcesses(__name__, silent=False, descriptors=_descriptors(files))
    try:
        with temporary_folder() as folder:
            answer = processes.call(
                "quantize",
                arrays=arrays,
                most_bytes=limit_of("QUANTIZER_BYTES"),
                on_step=on_step,
                folder=str(folder),
                **options,
            )
    except NativeRefusal as error:
        raise FuriosaError(f"the quantiser fails: {error}", file=str(source)) from error
    except NativeCrash as crash:
        raise FuriosaError(
            f"the process that quantised the network {crash}", file=str(source), hint=crash.hint
        ) from None
    write_whole(answer.data, output)
    outputs = tuple(OutputAccuracy(**o) for o in answer.value.pop("outputs"))
    layers = tuple(LayerAccuracy(**o) for o in answer.value.pop("layers"))
    return QuantizationReport(
        source=str(source),
        output=str(output),
        method=method,
        per_channel=per_channel,
        activation=activation,
        exclude=tuple(exclude),
        output_bytes=len(answer.data),
        outputs=outputs,
        layers=layers,
        **answer.value,
    )


def _arrays_of(calibration: Calibration) -> tuple[list[str] | None, list[np.ndarray[Any, Any]]]:
    """Arrays that are given as such, with their names; a single one's is empty.

    Raises:
        FuriosaError: one holds no numbers.
    """
    if isinstance(calibration, str | Path):
        return None, []
    given = calibration if isinstance(calibration, Mapping) else {"": calibration}
    arrays = {name: np.asarray(array) for name, array in given.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise FuriosaError(f"the input '{name}' takes numbers, not {array.dtype}")
    return list(arrays), list(arrays.values())


def _descriptors(files: Sequence[Path]) -> list[int]:
    """Those of this process that the files are names of: /dev/stdin, /dev/fd/3."""
    found: list[int] = []
    for file in files:
        with suppress(OSError):
            descriptor = descriptor_at(file)
            found += [] if descriptor is None else [descriptor]
    return found


# In the child.


def jobs(_options: Mapping[str, Any], _data: bytes) -> Mapping[str, Job]:
    """What the child does."""
    return {"quantize": _quantize}


def _part(fields: Mapping[str, Any]) -> Part:
    """A part as it was, for JSON has lists only."""
    return part_of(
        input_shapes=dict(fields["input_shapes"]),
        dims=dict(fields["dims"]),
        inputs=fields["inputs"],
        outputs=fields["outputs"],
    )


def _quantize(order: Order) -> Answer:
    from furiosa_ir.quantization.networks import quantize_network  # noqa: PLC0415  # seconds

    options = order.options
    tempfile.tempdir = options["folder"]
    names = options["names"]
    calibration: Calibration = options["calibration"]
    if names is not None:
        arrays = dict(zip(names, order.arrays, strict=True))
        calibration = arrays[""] if names == [""] else arrays
    source, part = Path(options["source"]), _part(options["part"])
    try:
        load_plugins(options["plugins"])
        done = quantize_network(
            source, calibration, on_step=order.on_step, part=part, **options["settings"]
        )
    except Exception as error:
        raise_plugin_failure(error)
        if isinstance(error, FuriosaError):
            raise with_way_around_foreign(error, source, part) from error
        raise
    value = {k: v for k, v in vars(done).items() if k != "content"}
    value |= {key: [asdict(each) for each in value[key]] for key in ("outputs", "layers")}
    return Answer(value, done.content)
