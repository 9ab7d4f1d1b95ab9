"""A network that is quantised in part is told which layers are of floats, why, and what helps.

`furiosa quantize` takes what `furiosa compile` recommends to it; `tests/quantization` has its side.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.segments import causes_of
from furiosa_ir.ir.text import parse_module
from tests.importers.onnx.networks import network
from tests.lowering.test_scales import hints_of

NODE = helper.make_node
X = {"x": ([1, 4, 6, 6], TensorProto.INT8)}
RNG = np.random.default_rng(4)
CONSTANTS: dict[str, np.ndarray] = {
    "s": np.array(0.5, np.float32),
    "z": np.array(1, np.int8),
    "w": RNG.normal(size=(3, 4, 1, 1)).astype(np.float32),
    "wq": RNG.integers(-9, 9, (3, 4, 1, 1), np.int8),
    "zero": np.array(0, np.int8),
    "slope": np.ones((4, 1, 1), np.float32) / 4,
}
DQ = NODE("DequantizeLinear", ["x", "s", "z"], ["r"])
DQW = NODE("DequantizeLinear", ["wq", "s", "zero"], ["wr"])


def q(x: str, y: str = "y") -> Any:
    return NODE("QuantizeLinear", [x, "s", "z"], [y])


def conv(weight: str, y: str, x: str = "r") -> Any:
    return NODE("Conv", [x, weight], [y], name="conv")


FLOAT, BYTE = TensorProto.FLOAT, TensorProto.INT8
PART, QUANTISE = "is quantised in part", "`furiosa quantize` completes it"

CASES: dict[str, tuple[list[Any], int, list[str]]] = {
    "float weights": (
        [DQ, conv("w", "c"), q("c")],
        BYTE,
        [PART, "'conv' works on float data", "its weight is not quantised", QUANTISE],
    ),
    "float weights beside a quantised convolution": (
        [
            *(DQ, DQW, NODE("Conv", ["r", "wr"], ["a"]), q("a", "b")),
            *(NODE("DequantizeLinear", ["b", "s", "z"], ["d"]), NODE("Sigmoid", ["d"], ["e"])),
            *(NODE("Conv", ["e", "w3"], ["c"], name="conv"), q("c")),
        ],
        BYTE,
        [PART, "'conv' works on float data", QUANTISE],
    ),
    "nothing quantised": (
        [NODE("Cast", ["x"], ["r"], to=FLOAT), conv("w", "y")],
        FLOAT,
        ["is not quantised and runs wholly on the host", "`furiosa quantize` makes"],
    ),
    "nothing quantised, activations": (
        [
            *(NODE("Cast", ["x"], ["r"], to=FLOAT), conv("w", "a"), NODE("Relu", ["a"], ["b"])),
            *(NODE("LRN", ["b"], ["c"], size=3), NODE("Relu", ["c"], ["d"])),
            NODE("Clip", ["d"], ["y"]),
        ],
        FLOAT,
        ["is not quantised and runs wholly on the host", "`furiosa quantize` makes"],
    ),
    "a float result": ([DQ, DQW, conv("wr", "y")], FLOAT, []),
    "float slopes, a float result": ([DQ, NODE("PRelu", ["r", "slope"], ["y"])], FLOAT, []),
    "quantised": ([DQ, DQW, conv("wr", "c"), q("c")], BYTE, []),
}


@pytest.mark.parametrize("kind", CASES)
def test_the_warning(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    nodes, code, said = CASES[kind]
    constants = {**CONSTANTS, "w3": RNG.normal(size=(3, 3, 1, 1)).astype(np.float32)}
    model = network(nodes, X, {"y": (None, code)}, constants)
    with caplog.at_level(logging.WARNING):
        compile_model(model.SerializeToString())
    warnings = [r.getMessage() for r in caplog.records]
    assert len(warnings) == bool(said)
    for words in said:
        assert words in warnings[0]


@pytest.mark.parametrize(
    ("nodes", "code", "sentence"),
    [
        ([DQ, conv("w", "c"), q("c")], BYTE, "Conv works on float data, for its weight is not"),
        ([DQ, DQW, conv("wr", "y")], FLOAT, "Conv takes quantised data, but its result is not"),
        (
            [DQ, DQW, conv("wr", "c"), NODE("Relu", ["c"], ["y"])],
            FLOAT,
            "Relu takes quantised data, but its result is not",
        ),
        (
            [NODE("Cast", ["x"], ["r"], to=FLOAT), conv("w", "c"), NODE("Relu", ["c"], ["y"])],
            FLOAT,
            "Relu works on float data",
        ),
        (
            [
                *(DQ, conv("wr", "c"), q("c")),
                NODE("DequantizeLinear", ["wq", "ws", "zero"], ["wr"]),
            ],
            BYTE,
            "Conv between quantisations that have no integers here",
        ),
    ],
)
def test_the_hint(nodes: list[Any], code: int, sentence: str) -> None:
    constants = {**CONSTANTS, "ws": np.array(-0.5, np.float32)}
    model = network(nodes, X, {"y": (None, code)}, constants)
    assert sentence in hints_of(read_program(compile_model(model.SerializeToString())))


def test_the_cause_is_data() -> None:
    """Not read out of a sentence: text of today's or of tomorrow's words carries it."""
    hint = 'graph.hint = [2 : i64, "Conv rechnet mit Kommazahlen"'
    text = """
    builtin.module attributes {graph.source = "onnx"} {
      func.func private @host_0(%x: tensor<4xf32>) -> tensor<4xf32>
        attributes {graph.placement = "host"} {
        %y = "graph.relu"(%x) {HINT} : (tensor<4xf32>) -> tensor<4xf32> loc("a")
        func.return %y : tensor<4xf32>
      }
    }"""
    with_cause = hint + ', "its weight is not quantised"]'
    assert causes_of(parse_module(text.replace("HINT", with_cause))) == {
        "a": "its weight is not quantised"
    }
    assert causes_of(parse_module(text.replace("HINT", hint + "]"))) == {}
    with pytest.raises(CompilationFailure, match=r"layer .a.: graph\.hint is"):
        causes_of(parse_module(text.replace("HINT", hint + ", 3 : i64]")))
