"""Each operator of a network on the exact values of its operands, against exact arithmetic.

End to end, one differing element spoils a whole output; fed layer by layer, each counts once.
`python -m tests.corpus.layerwise` tabulates it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from xdsl.builder import Builder
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType, i8
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.rewriter import InsertPoint

from furiosa_ir.dialects.ftensor import TensorOp
from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.importers import load
from furiosa_ir.interpreter.run import Interpreter
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.passes import find_pass
from furiosa_ir.ir.segments import main_function
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering import Emitter, find_lowering
from tests.corpus.agreement import (
    ONNX_GENERATED,
    ONNX_TRAINED,
    exact_reference,
    inputs_of,
    path_of,
)


@dataclass
class Count:
    """What was compared.

    Attributes:
        operators: operators compared.
        elements: their results' elements.
        different: of these, how many differ.
        steps: the greatest difference.
        layers: names of the layers that differ somewhere.
    """

    operators: int = 0
    elements: int = 0
    different: int = 0
    steps: int = 0
    layers: tuple[str, ...] = ()


def stored_as_int8(array: Any) -> Any:
    return (array ^ np.uint8(0x80)).view(np.int8) if array.dtype == np.uint8 else array


def lowered(op: GraphOp, operands: Sequence[Any]) -> list[Any]:
    """The operator's results by its exact lowering, as int8."""
    values: dict[SSAValue, SSAValue] = {}
    inputs: dict[SSAValue, Any] = {}
    block = Block()
    emit = Emitter(Builder(InsertPoint.at_end(block)), values)
    for value, array in zip(op.operands, operands, strict=True):
        if not isinstance(value.owner, ConstantOp) and value not in values:
            argument = block.insert_arg(TensorType(i8, shape_of(value)), len(block.args))
            values[value] = argument
            inputs[argument] = stored_as_int8(array)
    lowering = find_lowering(op, "exact")
    assert lowering is not None
    results = lowering.function(op, emit)
    for inner in block.ops:
        made = cast("TensorOp", inner).evaluate(*[inputs[v] for v in inner.operands])
        inputs.update(zip(inner.results, made, strict=True))
    return [inputs[v] for v in ([results] if isinstance(results, SSAValue) else results)]


def compare(module: ModuleOp, x: Any, count: Count) -> None:
    """Adds one input's comparison to `count`."""
    values: dict[SSAValue, Any] = {main_function(module).body.block.args[0]: x}

    def watch(op: Operation, results: Sequence[Any]) -> None:
        values.update(zip(op.results, results, strict=True))
        quantised = all(quantization_of(v) is not None for v in (*op.operands, *op.results))
        if isinstance(op, ConstantOp | ReturnOp) or not quantised or not isinstance(op, GraphOp):
            return
        count.operators += 1
        for got, want in zip(lowered(op, [values[v] for v in op.operands]), results, strict=True):
            difference = np.abs(got.astype(int) - stored_as_int8(want).astype(int))
            count.elements += difference.size
            count.different += int((difference != 0).sum())
            count.steps = max(count.steps, int(difference.max(initial=0)))
            if difference.any():
                count.layers = (*count.layers, layer_name(op))

    Interpreter(module, watch=watch).run([x])


def layerwise(path: Path, count: int) -> Count:
    """Compares every quantised operator of a QDQ network on `count` inputs."""
    module = load(path)
    find_pass("graph-fold-quantization")().apply(Context(), module)
    _, entry = exact_reference(path)
    total = Count()
    for x in inputs_of(path.stem, count, entry):
        compare(module, x, total)
    return total


def main() -> None:
    """Prints the table for the networks named, or for all; `-n COUNT` inputs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[*ONNX_TRAINED, *ONNX_GENERATED])
    parser.add_argument("-n", "--inputs", type=int, default=3)
    arguments = parser.parse_args()
    print(
        f"{'network':40} {'operators':>9} {'elements':>11} {'differ':>7} {'steps':>5}  per million"
    )
    for name in arguments.names:
        inputs = 1 if name.startswith("ssd_resnet34") else arguments.inputs
        c = layerwise(path_of(name), inputs)
        rate = 1e6 * c.different / c.elements
        print(
            f"{name:40} {c.operators:9} {c.elements:11} {c.different:7} {c.steps:5}  {rate:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
