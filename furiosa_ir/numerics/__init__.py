"""Arithmetic on numpy arrays that every level shares, and that knows nothing of the IR."""
