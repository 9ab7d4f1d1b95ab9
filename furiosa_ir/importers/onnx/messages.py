"""What onnx says of a model it refuses, as a part of a sentence of ours."""

from __future__ import annotations


def one_sentence(text: str) -> str:
    """onnx's messages run over several lines, with contexts; the first says what is wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("==>")] or ["the operator is invalid"]
    first = lines[0].removesuffix(".")
    for prefix in ("[ShapeInferenceError] ", "[TypeInferenceError] "):
        first = first.replace(prefix, "")
    return first[:1].lower() + first[1:] if first[1:2].islower() else first
