"""Lowerings in exact arithmetic, one rounding at the end (ONNX): one module a family."""
