"""From `ftensor` to upstream's linalg, tensor and arith: what each operation becomes.

A module for each kind: `rescale`, `elementwise`, `contraction` (with `windows`), `movement`. A
lowering is a function from an operation to a value, declared by `@lowers(Op)` and given an
`Emitter` (`emission.py`), which has the operands and the constants. `conversion.py` does a
function.
"""
