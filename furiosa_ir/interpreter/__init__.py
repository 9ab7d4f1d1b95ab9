"""Numpy semantics of the graph and ftensor levels: the oracle that every rewrite is checked on.

`run_module(module, inputs)` evaluates `@main`, its calls of segments included. What a quantised
operator of the graph level computes depends on the module's `graph.source`:

* "onnx": exact arithmetic. Operands are dequantised in double precision, the operator's `evaluate`
  computes in double precision, and the result is quantised with ties to even.
* "tflite": LiteRT's reference kernels, which are defined by their lowering to `ftensor`. Lowerings
  belong to a layer above this one, so whoever has them passes `lower_operation`
  (`furiosa_ir.lowering.operation`); the `ftensor` operations that it returns are evaluated here.
"""

from furiosa_ir.interpreter.run import (
    Interpreter,
    LowerOperation,
    RunHost,
    run_function,
    run_module,
)

__all__ = ["Interpreter", "LowerOperation", "RunHost", "run_function", "run_module"]
