"""Networks whose programs must not depend on the machine, and a command that compiles them.

`python -m tests.reproducible_networks` prints a line for each: its name and the SHA-256 of its
program.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from furiosa_ir.compiler import compile_model
from tests.operators.networks import ON_THE_NPU, one
from tests.passes.qdq import QDQ

DIGITS = Path(__file__).parents[1] / "examples" / "digits"

_TABLES = ("Elu", "Erf", "Exp", "Gelu", "HardSwish", "Log", "LpNormalization", "Pow", "Pow_half")
_TABLES = (*_TABLES, "LayerNormalization", "LogSoftmax", "Sigmoid", "Softplus", "Sqrt", "Tanh")

# Of these input scales, the table of exponentials depends on whether numpy's `exp` is made for
# AVX512: an entry of 46 bits is rounded otherwise.
_SOFTMAX_SCALES = (0.09349852055311203, 0.05794588103890419, 0.1510448455810547)


def _softmax(scale: float) -> Callable[[QDQ], None]:
    def build(net: QDQ) -> None:
        net.output(
            net.add("Softmax", [net.input("x", (1, 4, 40), scale, 3)], axis=2), 1 / 256, -128
        )

    return build


def _written(build: Callable[[QDQ], None]) -> bytes:
    net = QDQ()
    build(net)
    return net.model().SerializeToString()


def computed_constants() -> bytes:
    """Constants that the importer computes of real ones: products, functions, an LSTM's weights."""
    rng = np.random.default_rng(0)

    def real(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    constants = {
        "a": real(40, 600),
        "b": real(600, 40),
        "k": real(8, 3, 5, 5),
        "i": real(1, 3, 9, 9),
    }
    made = [
        helper.make_node("MatMul", ["a", "b"], ["product"]),
        helper.make_node("Softmax", ["product"], ["weights"], axis=1),
        helper.make_node("Gelu", ["weights"], ["bent"]),
        helper.make_node("Conv", ["i", "k"], ["image"]),
        helper.make_node("LpPool", ["image"], ["pooled"], kernel_shape=[5, 5], p=3),
        helper.make_node("Reshape", ["pooled", "shape"], ["row"]),
        helper.make_node("MatMul", ["x", "bent"], ["y"]),
        helper.make_node("MatMul", ["row", "x"], ["z"]),
    ]
    constants["shape"] = np.array([1, 8], np.int64)
    graph = helper.make_graph(
        made,
        "constants",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [8, 40])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [8, 40]),
            helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 40]),
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def networks() -> Iterator[tuple[str, Path | bytes]]:
    """(name, file or content)."""
    for name in ("digits_int8.tflite", "digits_qdq_int8.onnx"):
        yield name, DIGITS / name
    for name in _TABLES:
        yield name, _written(ON_THE_NPU[name])
    for scale in _SOFTMAX_SCALES:
        yield f"Softmax of {scale}", _written(_softmax(scale))
    yield "Mish", _written(one("Mish", opset=18))
    yield "computed constants", computed_constants()


def digests(*, as_bytes: bool = False) -> dict[str, str]:
    """Name -> SHA-256 of the program.

    Args:
        as_bytes: compile the contents of files instead of the files.
    """
    found: dict[str, str] = {}
    for name, source in networks():
        content = source.read_bytes() if as_bytes and isinstance(source, Path) else source
        found[name] = hashlib.sha256(compile_model(content)).hexdigest()
    return found


if __name__ == "__main__":
    os.umask(int(os.environ.get("TEST_UMASK", "022"), 8))
    for network, program in digests(as_bytes="bytes" in sys.argv).items():
        sys.stdout.write(f"{network} {program}\n")
