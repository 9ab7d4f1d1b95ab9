"""Lowerings that are the same in both numerics: data movement, comparisons."""
