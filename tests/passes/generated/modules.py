"""Small modules that a rule may apply to, drawn from what it matches."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Region, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.quantization import QuantizeOp
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.rewriting import remove_dead_operations
from furiosa_ir.ir.segments import NPU, PLACEMENT
from tests.passes.generated import forms, products
from tests.passes.generated.draw import Draw, Unsuitable, is_real
from tests.passes.generated.kinds import is_scalar
from tests.passes.generated.pattern import Wanted
from tests.passes.generated.site import operation

DECLARING = (forms, products)
"""The modules that say how operations are drawn."""

ATTEMPTS = 200
"""Draws until a module is legal; nearly always a few."""


@dataclass(frozen=True)
class Drawn:
    """A module, and where it came from.

    Attributes:
        module: `@main`, which is an NPU segment as well.
        seed: what was drawn.
        whole: whether each argument's first dimension is to have every 8-bit value.
    """

    module: ModuleOp
    seed: str
    whole: bool


def drawn_module(wanted: Wanted, source: str, seed: str) -> Drawn:
    """Draws a module around an operation that is wanted.

    Args:
        wanted: the operation, and what is to define its operands.
        source: whose numerics: "onnx" or "tflite".
        seed: of the random numbers; the same module for the same seed.

    Raises:
        AssertionError: nothing legal was found.
    """
    generator = random.Random(f"{seed} {source}")
    for _ in range(ATTEMPTS):
        draw = Draw(generator, source, is_scalar(wanted))
        try:
            module = _module(draw, wanted)
            module.verify()
        except (Unsuitable, VerificationFailure):
            continue
        return Drawn(module, f"{seed} {source}", draw.whole)
    raise AssertionError(f"nothing legal in {ATTEMPTS} draws of {wanted} ({seed}, {source})")


def _module(draw: Draw, wanted: Wanted) -> ModuleOp:
    root = operation(draw, wanted)
    ops = list(draw.block.ops)
    outputs = [end for result in root.results for end in _ends(draw, result)]
    # Other results, and other uses of what the rule takes away.
    for op in ops:
        unused = [r for r in op.results if r.first_use is None and op is not root]
        outputs.extend(end for r in unused if draw.chance(0.5) for end in _ends(draw, r))
        if op is not root and op.operands and draw.chance(0.1):
            outputs.append(draw.choice(op.results))
    draw.add(ReturnOp(*outputs))
    types = draw.block.arg_types, [v.type for v in outputs]
    main = FuncOp("main", types, Region(draw.block))
    main.attributes[PLACEMENT] = StringAttr(NPU)
    module = ModuleOp([main], {"graph.source": StringAttr(draw.source)})
    remove_dead_operations(module)
    return module


def _ends(draw: Draw, value: SSAValue) -> Iterator[SSAValue]:
    """What is returned of a value: of floats mostly a quantisation, as networks have it."""
    if is_real(value) and draw.chance(0.75):
        yield draw.add(QuantizeOp.make([value], [draw.element("stored")])).results[0]
    elif isinstance(value.owner, GraphOp) or not is_real(value):
        yield value
