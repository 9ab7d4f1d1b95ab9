"""`--log-rewrites`: each rule that fired, what it matched, of which layer, what it made.

    graph-fold-quantization: fold: graph.quantize of layer Conv_1 in @main
      -> graph.conv : tensor<1x64x112x112x!quant.uniform<...>>

As JSON, one object a line, with the fields of `entry`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.traits import Pure

from furiosa_ir.errors import readable
from furiosa_ir.instrumentation.layers import LayerFilter
from furiosa_ir.ir.location import layer_name, layer_names
from furiosa_ir.ir.pipeline import Instrumentation
from furiosa_ir.ir.rewrite_watch import Application, enclosing_function
from furiosa_ir.ir.text_printer import brief_text

_LONGEST = 120
"""Letters of a list of layers in text; JSON has all."""


@dataclass
class RewriteLog(Instrumentation):
    """Logs rewrites.

    Attributes:
        write: is given a line, or the lines, of each.
        as_json: whether they are JSON.
        layers: log only what has to do with these layers.
    """

    write: Callable[[str], None]
    as_json: bool = False
    layers: LayerFilter | None = None

    @override
    def before_pipeline(self, module: ModuleOp) -> None:
        if self.layers is not None:
            self.layers.check(module)

    @override
    def after_rule(self, rule: str, application: Application | None) -> None:
        if application is None:
            return
        if self.layers is not None:
            made = (name for op in application.made for name in layer_names(op))
            if not self.layers.matches((*application.layers, *made)):
                return
        if self.as_json:
            self.write(json.dumps(entry(application), ensure_ascii=False))
        else:
            self.write(text(application))


def entry(application: Application) -> dict[str, Any]:
    """What JSON says of a rule that fired.

    Returns:
        `pass`, `rule`, `root` (the operation's name), `layers` and `function` of the root, `made`
        (operations, each with `op`, `types` of its results, `layers` and `function`),
        `replaced_by`: what makes each value that stands for the root's results.
    """
    return {
        "pass": application.pass_name,
        "rule": application.rule,
        "root": application.root,
        "layers": list(application.layers),
        "function": application.function,
        "made": [
            {
                "op": op.name,
                "types": [brief_text(result.type) for result in op.results],
                "layers": list(layer_names(op)),
                "function": enclosing_function(op) or application.function,
            }
            for op in application.made
        ],
        "replaced_by": [_maker(value) for value in application.values],
    }


def text(application: Application) -> str:
    """What a person reads of a rule that fired."""
    layer = readable("+".join(application.layers), _LONGEST)
    of = f" of layer {layer}" if layer else ""
    where = f" in @{readable(application.function)}" if application.function else ""
    head = f"{application.pass_name}: {application.rule}: {application.root}{of}{where}"
    # Constants are what an operation is made with.
    made = [op for op in application.made if not _is_constant(op)] or list(application.made)
    described = Counter(_described(op, application.function) for op in made)
    lines = [f"  -> {op}{f', {n} times' if n > 1 else ''}" for op, n in described.items()]
    if not lines:
        lines = [f"  -> {_value(value)}, which was there" for value in application.values]
    return "\n".join([head, *lines])


def _is_constant(op: Operation) -> bool:
    return not op.operands and op.has_trait(Pure)


def _described(op: Operation, function: str = "") -> str:
    """An operation and its types, with its function if that is another than the one given."""
    types = ", ".join(brief_text(result.type) for result in op.results)
    own = enclosing_function(op)
    where = f" in @{readable(own)}" if function and own not in ("", function) else ""
    return f"{op.name} : {types}{where}" if types else f"{op.name}{where}"


def _value(value: SSAValue) -> str:
    owner = value.owner
    if not isinstance(owner, Operation):
        return f"an argument : {brief_text(value.type)}"
    layer = readable(layer_name(owner), _LONGEST)
    return f"{_described(owner)}{f' of layer {layer}' if layer else ''}"


def _maker(value: SSAValue) -> str:
    return value.owner.name if isinstance(value.owner, Operation) else "argument"
