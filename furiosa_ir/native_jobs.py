"""The jobs of the processes that everybody shares (`native_process.SHARED`), by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from furiosa_ir import native_onnx
from furiosa_ir.native_process import Job
from furiosa_ir.runtime import isolation


def jobs(_options: Mapping[str, Any], _data: bytes) -> Mapping[str, Job]:
    """What the child does."""
    return {**native_onnx.JOBS, **isolation.JOBS}
