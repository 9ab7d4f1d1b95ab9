"""Whether LiteRT has kernels for a sub-model's custom operators."""

from __future__ import annotations

from collections.abc import Sequence

from furiosa_ir.errors import MissingKernel
from furiosa_ir.host_kernels import find_kernel
from furiosa_ir.importers.tflite.custom import has_kernel


def check_kernels(custom_operators: Sequence[tuple[str, str]]) -> None:
    """Looks the custom operators up, (name, layer) each.

    LiteRT is not asked: on options that it does not expect it ends the process.

    Raises:
        MissingKernel: LiteRT has none for one of them, nor has Python.
    """
    for name, layer in custom_operators:
        if not has_kernel(name) and find_kernel(name) is None:
            raise MissingKernel(
                f"the custom operator '{name}' has no kernel on the host", layer=layer
            )
