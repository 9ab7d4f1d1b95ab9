"""LiteRT as the reference of TFLite networks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tflite

from furiosa_ir.errors import FuriosaError

Array = np.ndarray[Any, np.dtype[Any]]
Run = Callable[[Mapping[str, Array]], Sequence[Array]]

_UNKNOWN_VERSION = re.compile(r"builtin opcode '(\w+)' version '(\d+)'")


def litert_reference(data: bytes) -> tuple[str, float, Run]:
    """The reference's name, the share of elements that must equal it, and how to run it.

    Raises:
        FuriosaError: LiteRT is not installed, or does not run the network.
    """
    try:
        from ai_edge_litert import interpreter as litert  # noqa: PLC0415  # an optional extra
    except ImportError:
        raise FuriosaError(
            "--verify of a TFLite network needs LiteRT", hint="pip install furiosa-ir[litert]"
        ) from None

    def load(model: bytes, resolver: Any) -> Any:
        loaded: Any = litert.Interpreter(
            model_content=model, experimental_op_resolver_type=resolver, num_threads=1
        )
        loaded.allocate_tensors()
        return loaded

    try:
        running = _reference_kernels(data, lambda m: load(m, litert.OpResolverType.BUILTIN_REF))
        name, required = "LiteRT's reference kernels", 1.0
    except (RuntimeError, ValueError):
        # Its other kernels round some convolutions in another way: a mere witness.
        name, required = "LiteRT's optimised kernels", 0.0
        try:
            running = load(data, litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
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

    return name, required, run


def _reference_kernels(data: bytes, load: Callable[[bytes], Any]) -> Any:
    """Loads a model whose operators may have versions that the reference resolver is not told of.

    A new version of an operator adds element types or options, it changes no result; the resolver
    lags behind the kernels (TILE 3), so the version is lowered until it is accepted.
    """
    for _ in range(8):
        try:
            return load(data)
        except (RuntimeError, ValueError) as error:
            unknown = _UNKNOWN_VERSION.search(str(error))
            if unknown is None or int(unknown[2]) <= 1:
                raise
            data = with_operator_version(data, unknown[1], int(unknown[2]) - 1)
    return load(data)


def with_operator_version(data: bytes, operator: str, version: int) -> bytes:
    """A TFLite file with another version written for a builtin operator ("TILE")."""
    number = getattr(tflite.BuiltinOperator, operator)
    copy = bytearray(data)
    model = tflite.Model.GetRootAsModel(copy, 0)
    for index in range(model.OperatorCodesLength()):
        code: Any = model.OperatorCodes(index)
        if max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) != number:
            continue
        offset = code._tab.Offset(8)  # noqa: SLF001  # `version`, the table's third field
        if offset:
            place = code._tab.Pos + offset  # noqa: SLF001
            copy[place : place + 4] = version.to_bytes(4, "little")
    return bytes(copy)
