"""A host segment as an ONNX model."""
