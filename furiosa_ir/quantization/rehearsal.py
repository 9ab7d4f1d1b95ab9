"""A float ONNX network on onnx's and onnxruntime's native code, in a process that may be lost.

What ends that process would have ended the quantiser's. What they refuse there, they refuse again
where the sentence for it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from furiosa_ir.arrays import Array
from furiosa_ir.errors import FuriosaError
from furiosa_ir.limits import limit
from furiosa_ir.native_process import Answer, Job, NativeCrash, NativeProcesses, NativeRefusal
from furiosa_ir.quantization.calibration import Sample


def check_survival(source: Path, sample: Sample) -> None:
    """Prepares the network as for quantising, and runs it before and after on a sample.

    Raises:
        FuriosaError: that ended the process.
    """
    try:
        _PROCESSES.call(
            "rehearse",
            arrays=list(sample.values()),
            seconds=limit("HOST_SECONDS"),
            bounded=False,
            source=str(source.absolute()),
            names=list(sample),
        )
    except NativeRefusal:
        return
    except NativeCrash as crash:
        raise FuriosaError(
            f"onnxruntime, which would quantise the network, was {crash}",
            file=str(source),
            hint=crash.hint,
        ) from None
    finally:
        _PROCESSES.close()  # the quantiser's libraries are large


def _rehearse(options: Mapping[str, Any], _data: bytes, arrays: Sequence[Array]) -> Answer:
    from furiosa_ir.quantization.onnx import OnnxSource, onnx_runner  # noqa: PLC0415  # seconds
    from furiosa_ir.quantization.preparation import copy_of, prepare  # noqa: PLC0415

    network = OnnxSource.read(Path(options["source"]))
    sample: Sample = dict(zip(options["names"], arrays, strict=True))
    with suppress(FuriosaError):
        onnx_runner(network.model, network.name)(sample)
    prepared = prepare(copy_of(network.model), network.name)
    onnx_runner(prepared, network.name)(sample)
    return Answer()


JOBS: Mapping[str, Job] = {"rehearse": _rehearse}

_PROCESSES = NativeProcesses(__name__)
