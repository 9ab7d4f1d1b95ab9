"""Device specifications, as the target that a network is compiled for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from furiosa_ir.arguments import optional_text
from furiosa_ir.backends import Backend, backends, find
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.plugin_source import Plugin


def target_of(device: str | None, plugins: Sequence[Plugin] = ()) -> str | None:
    """The compiler's target for a device; of several devices in a list, the first counts.

    None leaves it to the model: a program and IR text have their own.

    Args:
        device: as a backend specifies its devices, or a target.
        plugins: code that may declare the backend, which is loaded if no other has such a device.

    Raises:
        ExecutionFailure: the text specifies no device.
    """
    optional_text(device, "device", ExecutionFailure)
    if device is None:
        return None
    first = device.split(",")[0].strip()
    backend = find(lambda backend: _target(backend, first) is not None, plugins)
    if backend is None:
        hints = dict.fromkeys(b.device_hint or f"use {' or '.join(b.targets)}" for b in backends())
        raise ExecutionFailure(f"'{device}' is not a device", hint="; ".join(hints))
    return _target(backend, first)


def _target(backend: Backend, device: str) -> str | None:
    for pattern, target in backend.devices:
        try:
            is_it = re.fullmatch(pattern, device.lower())
        except re.error as error:
            message = f"the backend '{backend.name}' has devices '{pattern}': {error}"
            raise ExecutionFailure(message) from error
        if is_it:
            return target
    return next((t for t in backend.targets if t.lower() == device.lower()), None)
