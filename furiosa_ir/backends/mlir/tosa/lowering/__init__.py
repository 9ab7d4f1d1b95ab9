"""From `ftensor` to TOSA: what each operation becomes, or why it has no exact form there.

As in `backends/mlir/lowering`: a lowering is a function from an operation to a value, declared by
`@lowers(Op)` and given an `Emitter`. `conversion.py` does a function.
"""
