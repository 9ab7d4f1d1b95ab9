"""Device specifications, as the target that a network is compiled for."""

from __future__ import annotations

import re

from furiosa_ir.arguments import optional_text
from furiosa_ir.errors import ExecutionFailure

_TARGETS = (
    # "warboy(2)*1": one device of two fused PEs. "npu:0:0-1", "npu0pe0-1": PEs 0 and 1 of NPU 0.
    (re.compile(r"warboy\(2\)\*\d+|npu:\d+:\d+-\d+|npu\d+pe\d+-\d+|npu:\d+|npu\d+"), "warboy-2pe"),
    (re.compile(r"warboy(\(1\))?\*\d+|npu:\d+:\d+|npu\d+pe\d+"), "warboy"),
    (re.compile(r"warboy-2pe"), "warboy-2pe"),
    (re.compile(r"warboy"), "warboy"),
)


def target_of(device: str | None) -> str | None:
    """The compiler's target for a device; of several devices in a list, the first counts.

    None leaves it to the model: a program and IR text have their own.

    Raises:
        ExecutionFailure: the text specifies no device.
    """
    optional_text(device, "device", ExecutionFailure)
    if device is None:
        return None
    first = device.split(",")[0].strip().lower()
    for pattern, target in _TARGETS:
        if pattern.fullmatch(first):
            return target
    raise ExecutionFailure(
        f"'{device}' is not a device",
        hint="use 'warboy(1)*1' for one PE or 'warboy(2)*1' for two fused PEs",
    )
