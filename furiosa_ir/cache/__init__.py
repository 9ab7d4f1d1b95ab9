"""Compiled programs that are kept: what one depends on, how it is stored, and where."""
