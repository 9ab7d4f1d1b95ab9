"""LiteRT as the reference of TFLite networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from furiosa_ir.errors import FuriosaError

Array = np.ndarray[Any, np.dtype[Any]]
Run = Callable[[Mapping[str, Array]], Sequence[Array]]


def litert_reference(data: bytes, *, optimized: bool) -> tuple[str, Run]:
    """The reference's name, and how to run it.

    Args:
        data: the TFLite file.
        optimized: whether the network means LiteRT's optimised kernels (`graph.kernels`), because
            the reference resolver refuses it; they round some convolutions in another way.

    Raises:
        FuriosaError: LiteRT is not installed, or does not run the network.
    """
    try:
        from ai_edge_litert import interpreter as litert  # noqa: PLC0415  # an optional extra
    except ImportError:
        raise FuriosaError(
            "--verify of a TFLite network needs LiteRT", hint="pip install furiosa-ir[litert]"
        ) from None
    kinds = litert.OpResolverType
    kind = kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES if optimized else kinds.BUILTIN_REF
    try:
        running: Any = litert.Interpreter(
            model_content=data, experimental_op_resolver_type=kind, num_threads=1
        )
        running.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise FuriosaError(f"LiteRT does not run the source: {text}") from error

    def run(feeds: Mapping[str, Array]) -> Sequence[Array]:
        details = running.get_input_details()
        for detail, array in zip(details, feeds.values(), strict=True):
            if tuple(detail["shape"]) != array.shape:
                running.resize_tensor_input(detail["index"], array.shape)
        running.allocate_tensors()
        for detail, array in zip(details, feeds.values(), strict=True):
            running.set_tensor(detail["index"], array)
        running.invoke()
        return [running.get_tensor(d["index"]).copy() for d in running.get_output_details()]

    kernels = "optimised" if optimized else "reference"
    return f"LiteRT's {kernels} kernels", run
