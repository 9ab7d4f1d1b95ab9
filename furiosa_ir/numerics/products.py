"""Exact products of 8-bit matrices at the speed of a library."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from furiosa_ir.numerics.array import Array

if TYPE_CHECKING:
    import onnxruntime as ort

_MODEL = (
    b'\x08\x08:p\n$\n\x01a\n\x01b\n\x04a_zp\n\x04b_zp\x12\x01y"\rMatMulInteger\x12\x07product'
    b"Z\t\n\x01a\x12\x04\n\x02\x08\x02Z\t\n\x01b\x12\x04\n\x02\x08\x03"
    b"Z\x0e\n\x04a_zp\x12\x06\n\x04\x08\x02\x12\x00Z\x0e\n\x04b_zp\x12\x06\n\x04\x08\x03\x12\x00"
    b"b\t\n\x01y\x12\x04\n\x02\x08\x06B\x04\n\x00\x10\r"
)
"""An ONNX model of one node, y = MatMulInteger(a, b, a_zp, b_zp), with every shape open.

As bytes because importing `onnx` for it would cost each session 40 ms; a test makes it anew.
"""

# Sums of so many products of 8-bit differences (255 * 255) stay below 2**24, exact in float32.
_EXACT_TERMS = (1 << 24) // (255 * 255)


@cache
def _session() -> ort.InferenceSession | None:
    """onnxruntime's `MatMulInteger`, or None if it saturates on this machine.

    Without VNNI, MLAS multiplies pairs of u8 * s8 into 16 bits (vpmaddubsw), which saturates.
    """
    import onnxruntime as ort  # noqa: PLC0415  # 40 ms that a compile need not pay

    options = cast("Any", ort.SessionOptions())
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(_MODEL, options, providers=["CPUExecutionProvider"])
    a = np.full((8, 64), 255, np.uint8)
    for extreme in (127, -128):
        b = np.full((64, 16), extreme, np.int8)
        product = _integer_product(session, a, b, 0, 0)
        if not np.array_equal(product, np.full((8, 16), 255 * extreme * 64, np.int32)):
            return None
    return session


def _integer_product(
    session: ort.InferenceSession, a: Array, b: Array, a_zp: int, b_zp: int
) -> Array:
    zero_points = {"a_zp": np.array(a_zp, np.uint8), "b_zp": np.array(b_zp, np.int8)}
    return cast("Array", session.run(None, {"a": a, "b": b, **zero_points})[0])


def product(a: Array, b: Array, a_zp: int, b_zp: int) -> Array:
    """Sum over k of (a[..., m, k] - a_zp) * (b[..., k, n] - b_zp), int32.

    Args:
        a: uint8; that is the fast side (350 to 440 GMAC/s on one core with AVX512-VNNI).
        b: int8, contiguous; leading dimensions as in `numpy.matmul`.
        a_zp: 0 to 255.
        b_zp: -128 to 127.
    """
    session = _session()
    if session is not None:
        return _integer_product(session, a, b, a_zp, b_zp)
    return blas_product(a, b, a_zp, b_zp)


def blas_product(a: Array, b: Array, a_zp: int, b_zp: int) -> Array:
    """The same by float32 BLAS, in pieces of k whose sums are exact."""
    total: Array | None = None
    for start in range(0, a.shape[-1], _EXACT_TERMS):
        piece = slice(start, start + _EXACT_TERMS)
        left = a[..., piece].astype(np.float32) - np.float32(a_zp)
        right = b[..., piece, :].astype(np.float32) - np.float32(b_zp)
        part = np.matmul(left, right).astype(np.int32)
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    return total
