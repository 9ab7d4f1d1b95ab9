"""The contract between the parts of a compile: what a module's attributes and functions are called.

    builtin.module attributes {graph.source = "onnx"} {
      func.func private @npu_0(%x: tensor<4xi8> {graph.name = "x", ...}) -> ...
        attributes {graph.placement = "npu", graph.operators = {conv1 = "conv+clip"}} { ... }
      func.func @main(...) { ... func.call @npu_0 ... }
    }

Importers write the network as `@main`; `graph-partition` makes segments of it, which `@main` calls.
"""

from __future__ import annotations

from xdsl.dialects.builtin import ArrayAttr, IntegerAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation

from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.location import layer_name

SOURCE = "graph.source"
"""Of a module: the framework that the network is of, "onnx" or "tflite"."""

SOURCE_HASH = "graph.source_hash"
"""Of a module: SHA-256 of the model file, as hexadecimal digits."""

KERNELS = "graph.kernels"
"""Of a module: "optimized" where LiteRT's reference resolver refuses the network."""

PLACEMENT = "graph.placement"
"""Of a segment's function: where it runs, `NPU` or `HOST`."""

NPU, HOST = "npu", "host"

OPERATORS = "graph.operators"
"""Of a lowered segment: layer name -> its operators in `graph` ("conv+clip")."""

HINT = "graph.hint"
"""Of an operation that stays on the host: a `hints.Hint`'s number, sentence and cause, if any."""

NAME = "graph.name"
"""Of an argument or result: what users call it."""

DTYPE, SCALE, ZERO_POINT = "graph.dtype", "graph.scale", "graph.zero_point"
"""Of an argument or result of a lowered segment: the quantised tensor that it stands for."""

EXACT, LITERT, LITERT_DEFAULT = "exact", "litert", "litert_default"
"""The numerics: exact arithmetic with one rounding (ONNX), LiteRT's reference kernels, and LiteRT's
default (optimised) kernels, for networks that its reference resolver refuses."""


def main_function(module: ModuleOp) -> FuncOp:
    """The module's `@main`.

    Raises:
        CompilationFailure: it has none, or only its declaration.
    """
    for op in module.ops:
        if isinstance(op, FuncOp) and op.sym_name.data == "main":
            body_of(op)
            return op
    raise CompilationFailure(
        "the module has no function @main", hint="@main is the network; others are its segments"
    )


def body_of(function: FuncOp) -> Block:
    """The operations of a network's function, which has no control flow.

    Raises:
        CompilationFailure: it is a declaration, or has several blocks.
    """
    if len(function.body.blocks) != 1:
        what = "no body" if function.is_declaration else "more than one block"
        raise CompilationFailure(f"the function @{function.sym_name.data} has {what}")
    return function.body.block


def is_npu(function: FuncOp) -> bool:
    """Whether the function is an NPU segment."""
    placement = function.attributes.get(PLACEMENT)
    return isinstance(placement, StringAttr) and placement.data == NPU


def numerics_of(module: ModuleOp) -> str:
    """Which arithmetic the module's framework means.

    "exact" (ONNX), "litert" (TFLite) or "litert_default" (TFLite, where the importer found that
    LiteRT's reference resolver refuses the network: `graph.kernels` is "optimized").
    """
    source, kernels = (module.attributes.get(key) for key in (SOURCE, KERNELS))
    if not isinstance(source, StringAttr) or source.data != "tflite":
        return EXACT
    optimized = isinstance(kernels, StringAttr) and kernels.data == "optimized"
    return LITERT_DEFAULT if optimized else LITERT


def hint_of(op: Operation) -> tuple[int, str, str]:
    """Number, sentence and cause of an operation's hint; 0 and no text where it has none.

    Raises:
        CompilationFailure: the attribute is something else.
    """
    hint = op.attributes.get(HINT)
    match hint:
        case None:
            return 0, "", ""
        case ArrayAttr(data=(IntegerAttr() as number, StringAttr() as sentence)):
            return number.value.data, sentence.data, ""
        case ArrayAttr(data=(IntegerAttr() as number, StringAttr() as sentence, StringAttr() as c)):
            return number.value.data, sentence.data, c.data
        case _:
            raise CompilationFailure(
                f"{HINT} is {hint}", layer=layer_name(op), hint="it is [number, sentence, cause]"
            )


def causes_of(module: ModuleOp) -> dict[str, str]:
    """Layer -> why it stays on the host, of those that know what in the network makes it so."""
    causes: dict[str, str] = {}
    for function in module.ops:
        if isinstance(function, FuncOp) and not is_npu(function):
            for op in function.body.walk():
                _, _, cause = hint_of(op)
                if cause:
                    causes.setdefault(layer_name(op), cause)
    return causes
