"""The custom operators that LiteRT brings with it: their options and the shapes of their results.

Files leave the shapes out (shape [], which also means a scalar); the kernels know them. LiteRT
reads the options, a flexbuffer map, without checking a byte: it gets them written anew.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from furiosa_ir.errors import ImportFailure
from furiosa_ir.ir.shaped_operation import Shape

Options = Mapping[str, int | float | bool]


@dataclass(frozen=True)
class _Kernel:
    """What LiteRT's kernel of a custom operator reads.

    Attributes:
        required: the options that must be there, each at least 1 where it is a whole number.
        optional: those that may be missing.
        result_shapes: the shapes of its results, if the options tell.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    result_shapes: Callable[[Options], Sequence[Shape]] | None = None


def _detection_post_process(options: Options) -> Sequence[Shape]:
    count = int(options["max_classes_per_detection"] * options["max_detections"])
    return [(1, count, 4), (1, count), (1, count), (1,)]


_KERNELS = {
    "TFLite_Detection_PostProcess": _Kernel(
        required=("max_detections", "max_classes_per_detection", "num_classes"),
        optional=(
            "detections_per_class",
            "use_regular_nms",
            "nms_score_threshold",
            "nms_iou_threshold",
            "y_scale",
            "x_scale",
            "h_scale",
            "w_scale",
        ),
        result_shapes=_detection_post_process,
    ),
    "AudioSpectrogram": _Kernel(("window_size", "stride"), ("magnitude_squared",)),
    "Mfcc": _Kernel(
        ("filterbank_channel_count", "dct_coefficient_count"),
        ("upper_frequency_limit", "lower_frequency_limit"),
    ),
    "NumericVerify": _Kernel((), ("tolerance", "log_if_failed")),
}

_GREATEST = 1 << 20
"""Of a whole number in options: they count detections, samples, coefficients."""


def has_kernel(operator: str) -> bool:
    """Whether LiteRT brings a kernel for a custom operator."""
    return operator in _KERNELS


def checked_options(operator: str, options: bytes) -> bytes:
    """The options of a custom operator as LiteRT may read them; of an unknown one, as they are.

    Raises:
        ImportFailure: the kernel cannot do with them.
    """
    if operator not in _KERNELS:
        return options
    from flatbuffers import flexbuffers  # noqa: PLC0415  # few networks have custom operators

    return bytes(flexbuffers.Dumps(dict(_read(operator, options))))


def custom_result_shapes(operator: str, options: bytes) -> Sequence[Shape] | None:
    """The result shapes that the operator's options imply, if known."""
    kernel = _KERNELS.get(operator)
    if kernel is None or kernel.result_shapes is None:
        return None
    return kernel.result_shapes(_read(operator, options))


def _read(operator: str, options: bytes) -> Options:
    """The options that the kernel reads.

    Raises:
        ImportFailure: one is missing, no number or out of range; or the bytes are no map.
    """
    from flatbuffers import flexbuffers  # noqa: PLC0415  # few networks have custom operators

    kernel = _KERNELS[operator]
    try:
        given = flexbuffers.GetRoot(bytearray(options)).AsMap
        keys = {key.AsKey for key in given.Keys}
        names = [name for name in (*kernel.required, *kernel.optional) if name in keys]
        found: dict[str, int | float | bool] = {name: _number(given[name]) for name in names}
    except (IndexError, KeyError, TypeError, ValueError, RecursionError, struct.error) as error:
        raise ImportFailure(f"the options of {operator} are missing or corrupt") from error
    for name in kernel.required:
        value = found.get(name)
        if not isinstance(value, int) or not 1 <= value <= _GREATEST:
            raise ImportFailure(f"the option '{name}' of {operator} is {value}")
    return found


def _number(reference: Any) -> int | float | bool:
    if not reference.IsNumeric and not reference.IsBool:
        raise TypeError(reference)
    return reference.Value
