"""Whether onnxruntime has kernels for a sub-model's operators of foreign domains."""

from __future__ import annotations

from collections.abc import Sequence

from furiosa_ir.errors import CompilationFailure, MissingKernel
from furiosa_ir.native_onnx import output_types
from furiosa_ir.native_process import NativeCrash, NativeRefusal


def check_kernels(model: bytes, foreign_operators: Sequence[tuple[str, str]]) -> None:
    """Tries the sub-model where it has operators outside ONNX's own domains, (name, layer) each.

    Operators of ONNX's own domains are not tried: that would load onnxruntime in every compile.

    Raises:
        CompilationFailure: onnxruntime refuses the sub-model, or does not survive it.
    """
    if not foreign_operators:
        return
    try:
        output_types(model)
    except NativeCrash as crash:
        raise CompilationFailure(
            f"onnxruntime, which would run it on the host, {crash}",
            layer=foreign_operators[0][1],
            hint=crash.hint,
        ) from None
    except NativeRefusal as error:
        text = str(error)
        name, layer = next(
            (f for f in foreign_operators if f[0].rpartition("::")[2] in text), foreign_operators[0]
        )
        raise MissingKernel(
            f"the custom operator '{name}' has no kernel on the host", layer=layer
        ) from None


ONNX_DOMAINS = ("ai.onnx", "ai.onnx.ml")
"""Domains whose operators onnxruntime is taken to have."""


def is_foreign(operator: str) -> bool:
    """Whether an operator's name ("com.acme::Foo") carries a domain that is not ONNX's own."""
    domain, separator, _ = operator.rpartition("::")
    return bool(separator) and domain not in ONNX_DOMAINS
