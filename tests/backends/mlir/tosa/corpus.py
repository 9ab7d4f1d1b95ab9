"""TFLite networks in TOSA: which texts both upstream tools read, which are exact on the model.

Usage: python -m tests.backends.mlir.tosa.corpus [MODEL ...] [--inputs N] [--everything]

Prints the table of docs/mlir.md. Without arguments: every TFLite network of ../shared/models. A
network counts as exact if each of its device segments makes, on Arm's reference model, what the
operations of `ftensor` are defined to make, in every element of every input: random bytes. With
--everything, what is computed on the way is compared as well.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from xdsl.dialects.builtin import FunctionType
from xdsl.dialects.func import FuncOp, ReturnOp

from furiosa_ir.backends.mlir.segment import MlirSegment, module_of
from furiosa_ir.backends.mlir.tosa.lowering.conversion import convert_function
from furiosa_ir.backends.mlir.tosa.text import function_text
from furiosa_ir.dialects.ftensor import ConstantOp, TensorOp
from furiosa_ir.driver import compile_source
from furiosa_ir.errors import FuriosaError
from furiosa_ir.interpreter import Interpreter
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import Binding
from tests.backends.mlir.tosa.reference_model import iree_opt, model_of, run_tool, tools
from tests.conftest import SHARED


def row(model: Path, inputs: int, *, everything: bool) -> list[str]:
    """A network's row: its name, operations, readers, elements, and what differs."""
    try:
        program = compile_source(model, target="tosa").program
    except FuriosaError as error:
        return [model.stem, "-", "-", "-", "-", f"refused: {error}"]
    segments = [s for s in program.segments if isinstance(s, MlirSegment)]
    count = sum(s.function.count('"tosa.') - s.function.count('"tosa.const') for s in segments)
    return [
        model.stem,
        str(count),
        *(read_by(segments)),
        *exact(model, segments, inputs, everything=everything),
    ]


def read_by(segments: Sequence[MlirSegment]) -> list[str]:
    """Whether `iree-opt` and `tosa-opt` read the whole text."""
    folder, reader = tools(), iree_opt()
    answers: list[str] = []
    with TemporaryDirectory() as made:
        path = Path(made) / "net.mlir"
        path.write_text(module_of(list(segments)))
        for tool in (reader, None if folder is None else folder / "tosa-opt"):
            fault = "not installed" if tool is None else run_tool(tool, path, "-o", "/dev/null")
            answers.append(fault.strip().splitlines()[0] if fault else "yes")
    return answers


def exact(
    model: Path, segments: Sequence[MlirSegment], inputs: int, *, everything: bool
) -> list[str]:
    """How many elements were compared, and whether all are equal."""
    compared, different = 0, 0
    try:
        for segment, made, wanted in results(model, segments, inputs, everything=everything):
            for got, expected in zip(made, wanted, strict=True):
                assert got.shape == expected.shape, segment.name
                compared += expected.size
                different += int((got != expected).sum())
    except AssertionError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        return [str(compared), f"the model refuses: {lines[0] if lines else error}"]
    return [f"{compared:,}", f"{different:,} differ" if different else "yes"]


def results(
    model: Path, segments: Sequence[MlirSegment], inputs: int, *, everything: bool
) -> Iterator[tuple[MlirSegment, list[Array], list[Array]]]:
    """Of each segment and input: what the reference model makes, and what is defined."""
    module = compile_source(model, target="tosa", target_ir="ftensor").module
    interpreter = Interpreter(module)
    rng = np.random.default_rng(zlib.crc32(model.stem.encode()))
    for segment in segments:
        function = interpreter.function(segment.name)
        compared = with_everything(segment, function) if everything else segment
        with model_of(compared) as reference:
            for _ in range(inputs):
                given = [random_input(rng, function, i) for i in range(len(segment.inputs))]
                yield segment, reference.run(given), interpreter.call(function, given)


def with_everything(segment: MlirSegment, function: FuncOp) -> MlirSegment:
    """A segment that gives all that its function computes, which does so from now on."""
    return_everything(function)
    lowered = function.clone()
    convert_function(lowered)
    outputs = tuple(Binding(i, i) for i in range(len(lowered.function_type.outputs)))
    return replace(segment, outputs=outputs, function=function_text(lowered))


def return_everything(function: FuncOp) -> None:
    """Has a function give whatever it computes on the way."""
    block = function.body.block
    assert isinstance(block.last_op, ReturnOp)
    made = [
        result
        for op in block.ops
        if isinstance(op, TensorOp) and not isinstance(op, ConstantOp)
        for result in op.results
    ]
    block.last_op.detach()
    block.add_op(ReturnOp(*made))
    function.function_type = FunctionType.from_lists(
        [a.type for a in block.args], [v.type for v in made]
    )


def random_input(rng: np.random.Generator, function: FuncOp, index: int) -> Array:
    """Bytes that differ smoothly along half of the tensor, as images do, and at random."""
    shape = shape_of(function.body.block.args[index])
    noise = rng.integers(-128, 128, shape)
    smooth = np.linspace(-128, 127, max(prod(shape), 1)).astype(np.int64).reshape(shape)
    return np.where(rng.random(shape) < 0.5, noise, smooth).astype(np.int8)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--inputs", type=int, default=3)
    parser.add_argument("--everything", action="store_true")
    options = parser.parse_args()
    models = options.models or sorted((SHARED / "models").rglob("*.tflite"))
    print("| network | operations | iree-opt | tosa-opt | elements | exact |")
    print("|---|---|---|---|---|---|")
    for model in models:
        print(
            "|",
            " | ".join(row(model, options.inputs, everything=options.everything)),
            "|",
            flush=True,
        )


if __name__ == "__main__":
    main()
