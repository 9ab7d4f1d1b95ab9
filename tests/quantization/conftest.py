"""One process of the quantisers for many tests: each start costs a second of imports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from furiosa_ir.native_process import NativeProcesses
from furiosa_ir.quantization import process


@pytest.fixture(scope="module")
def _quantizer() -> Iterator[NativeProcesses]:
    processes = NativeProcesses(process.__name__, silent=False)
    yield processes
    processes.close()


@pytest.fixture
def one_quantizer(_quantizer: NativeProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    """`quantize` uses the process that it used before; what is tested is not how it starts."""

    def same(*_arguments: Any, **_options: Any) -> NativeProcesses:
        return _quantizer

    monkeypatch.setattr(process, "NativeProcesses", same)
