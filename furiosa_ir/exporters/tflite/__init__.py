"""A host segment as a TFLite model."""
