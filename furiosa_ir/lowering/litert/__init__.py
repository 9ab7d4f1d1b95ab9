"""Lowerings to the arithmetic of the LiteRT reference kernels: one module a family."""
