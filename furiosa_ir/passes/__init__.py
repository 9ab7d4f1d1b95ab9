"""Graph-level and tensor-level passes, one module a pass."""
