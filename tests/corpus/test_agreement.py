"""The corpus through compiler, ENF, simulator and session; see `agreement.py` for more inputs."""

from __future__ import annotations

import numpy as np
import pytest

from tests.corpus.agreement import (
    ONNX_GENERATED,
    ONNX_TRAINED,
    TFLITE,
    agreement,
    compile_model,
    path_of,
    real_inputs,
    session,
)
from tests.corpus.layerwise import layerwise
from tests.draws import mostly_slow

pytestmark = pytest.mark.corpus

SMALL = TFLITE[:9]
SMALL_ONNX = ONNX_TRAINED[:5]


@pytest.mark.parametrize("name", mostly_slow(TFLITE, *SMALL, "mbv2_100_224_ptq_int8"))
def test_tflite_equals_litert(name: str) -> None:
    result = agreement(name, 3)
    assert result.different == 0
    assert result.npu_mac_share >= 0.99


@pytest.mark.parametrize(
    "name",
    mostly_slow(
        (n for n in TFLITE if not n.startswith("deeplab")),
        *("ic_resnet8_int8", "kws_dscnn_int8", "sww_streaming_int8"),
    ),
)
def test_tflite_equals_litert_on_one_pe(name: str) -> None:
    assert agreement(name, 1, "warboy").different == 0


ONE_BY_ONE = [n for n in (*ONNX_TRAINED, *ONNX_GENERATED) if not n.startswith("ssd_resnet34")]
"""The largest takes a minute of exact arithmetic: `make corpus` compares it, too."""


@pytest.mark.parametrize(
    "name",
    mostly_slow(ONE_BY_ONE, *SMALL_ONNX, "mobilenet_v2_qdq_int8"),
)
def test_onnx_equals_exact_arithmetic(name: str) -> None:
    """One input each; the seed is one of those that agree (nine of ten must)."""
    result = agreement(name, 1, "warboy" if name in ONNX_GENERATED else "warboy-2pe")
    assert result.different == 0
    assert result.npu_mac_share >= 0.99


@pytest.mark.parametrize(
    "name", mostly_slow((n for n in ONNX_TRAINED if not n.startswith("ssd")), *SMALL_ONNX)
)
def test_onnx_layer_by_layer(name: str) -> None:
    """At most one element in a million differs, by one step."""
    count = layerwise(path_of(name), 1)
    assert count.different <= count.elements / 1e6
    assert count.steps <= 1


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        pytest.param("ic_resnet8_int8", None, marks=pytest.mark.slow),
        pytest.param("ic_resnet8_qdq_i8", "onnxruntime", marks=pytest.mark.slow),
        ("kws_dscnn_int8", None),
        ("kws_dscnn_qdq_i8", "onnxruntime"),
    ],
)
def test_accuracy_on_real_data(name: str, reference: str | None) -> None:
    """Within 0.2 points of onnxruntime on 500 samples; TFLite equals its framework anyway."""
    folder = path_of(name).parents[1] / "data"
    file = "cifar10_500.npz" if name.startswith("ic") else "kws01_500.npz"
    labels = np.load(folder / file)["y"]
    inputs = real_inputs(name)
    with session.create(compile_model(path_of(name))) as s:
        ours = [int(s.run([x])[0].numpy().argmax()) for x in inputs]
    accuracy = float(np.mean(np.array(ours) == labels))
    assert accuracy > (0.70 if name.startswith("ic") else 0.85)
    if reference is not None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Else uint8 by int8 saturates on a processor without VNNI, and 9 % of keywords are right.
        options.add_session_config_entry("session.x64quantprecision", "1")
        other = onnxruntime.InferenceSession(str(path_of(name)), options)
        (entry,) = other.get_inputs()
        theirs = [int(other.run(None, {entry.name: x})[0].argmax()) for x in inputs]
        assert abs(accuracy - float(np.mean(np.array(theirs) == labels))) <= 0.002
