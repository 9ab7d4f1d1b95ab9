"""Which other files an ONNX model's tensors lie in."""

from __future__ import annotations

from mmap import mmap
from typing import Any

from furiosa_ir.onnx_messages import external_tensors


def external_locations(model: bytes | mmap) -> list[str] | None:
    """The locations of a model's external data, each once, in order of their names.

    Args:
        model: an ONNX file's bytes, with external data or without.

    Returns:
        Paths relative to the model's folder; None if the bytes are no ONNX model.
    """
    # Every external tensor has an entry with this key: most models need no parsing. Searching a
    # mapping backwards takes less than half the time.
    if model.rfind(b"location") < 0:
        return []
    import onnx  # noqa: PLC0415  # 0.1 s, for these models only
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    try:
        proto: Any = onnx.ModelProto.FromString(bytes(model))
    except DecodeError:
        return None
    return sorted(
        {
            str(entry.value)
            for tensor in external_tensors(proto)
            if tensor.data_location == onnx.TensorProto.EXTERNAL
            for entry in tensor.external_data
            if entry.key == "location"
        }
    )
