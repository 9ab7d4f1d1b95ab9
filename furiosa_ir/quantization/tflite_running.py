"""TFLite networks on LiteRT, as calibration and comparison run them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from furiosa_ir.errors import FuriosaError
from furiosa_ir.numerics.array import Array
from furiosa_ir.quantization.calibration import InputDescription, Sample
from furiosa_ir.quantization.libraries import refusals


def tflite_runner(
    content: bytes, inputs: Sequence[InputDescription], name: str
) -> Callable[[Sample], Sequence[Array]]:
    """Runs a network on LiteRT with its reference kernels, real numbers in and out.

    Args:
        content: the network, float or quantised.
        inputs: of the float network; the quantised one takes them in the same order.
        name: of the file.

    Raises:
        FuriosaError: LiteRT cannot run it.
    """
    running = interpreter_of(content, name)

    def run(sample: Sample) -> Sequence[Array]:
        _invoke(running, inputs, sample, name)
        return [real(running.get_tensor(d["index"]), d) for d in running.get_output_details()]

    return run


def all_values(
    content: bytes, inputs: Sequence[InputDescription], name: str
) -> Callable[[Sample], dict[str, Array]]:
    """Runs a network; every tensor that its operators make, by name, integers as real numbers."""
    running = interpreter_of(content, name, experimental_preserve_all_tensors=True)

    def run(sample: Sample) -> dict[str, Array]:
        _invoke(running, inputs, sample, name)
        values: dict[str, Array] = {}
        for detail in running.get_tensor_details():
            with suppress(ValueError):  # LiteRT's own, beside those of the file
                values[detail["name"]] = real(running.get_tensor(detail["index"]), detail)
        return values

    return run


def interpreter_of(content: bytes, name: str, **options: Any) -> Any:
    """LiteRT's interpreter of a network, its tensors allocated.

    Args:
        content: the network.
        name: of the file.
        options: of LiteRT's `Interpreter`.

    Raises:
        FuriosaError: LiteRT does not run it.
    """
    litert = libraries().interpreter
    reason = ""
    # The reference resolver lacks newer versions of some operators.
    for kind in ("BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"):
        try:
            running = litert.Interpreter(
                model_content=content,
                experimental_op_resolver_type=getattr(litert.OpResolverType, kind),
                num_threads=1,
                **options,
            )
            running.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
        else:
            return running
    raise FuriosaError(f"LiteRT does not run it: {reason}", file=name)


def _invoke(running: Any, inputs: Sequence[InputDescription], sample: Sample, name: str) -> None:
    for detail, description in zip(running.get_input_details(), inputs, strict=True):
        running.set_tensor(detail["index"], stored(sample[description.name], detail))
    with refusals("LiteRT cannot run the network", name):
        running.invoke()


def stored(numbers: Array, detail: dict[str, Any]) -> Array:
    """Real numbers as a tensor stores them; `detail` is LiteRT's."""
    scale, zero_point = detail["quantization"]
    if not scale:
        return numbers.astype(detail["dtype"])
    info = np.iinfo(detail["dtype"])
    steps = np.rint(numbers / scale) + zero_point
    return np.clip(steps, info.min, info.max).astype(detail["dtype"])


def real(steps: Array, detail: dict[str, Any]) -> Array:
    """What a tensor stores, as real numbers; `detail` is LiteRT's."""
    scale, zero_point = detail["quantization"]
    return (steps.astype(np.float64) - zero_point) * scale if scale else steps.copy()


def libraries() -> Any:
    """The modules of LiteRT and ai-edge-quantizer that are used here."""
    try:
        from ai_edge_litert import interpreter, schema_py_generated  # noqa: PLC0415
        from ai_edge_quantizer import (  # noqa: PLC0415
            calibrator,
            qtyping,
            quantizer,
            recipe_manager,
        )
    except ImportError:
        raise FuriosaError(
            "quantising a TFLite network needs ai-edge-quantizer",
            hint="pip install furiosa-ir[quantize]",
        ) from None
    modules: dict[str, ModuleType] = {
        "interpreter": interpreter,
        "schema": schema_py_generated,
        "calibrator": calibrator,
        "qtyping": qtyping,
        "quantizer": quantizer,
        "recipe_manager": recipe_manager,
    }
    return SimpleNamespace(**modules)
