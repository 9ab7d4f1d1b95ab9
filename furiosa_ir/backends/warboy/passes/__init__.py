"""The passes of the Warboy backend, one module a pass."""
