"""`--remarks`: what passes have to say of operations: what was done, what was not, and why.

REMARK: missed: layer relu: ftensor-fold-clamps/clamp: it is no range of the rescale before it, ...
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.errors import readable
from furiosa_ir.instrumentation.layers import LayerFilter
from furiosa_ir.ir.pipeline import Instrumentation
from furiosa_ir.ir.remarks import KINDS
from furiosa_ir.ir.rewrite_watch import Remark

_LONGEST = 120
"""Letters of a list of layers in text; JSON has all."""


@dataclass
class Remarks(Instrumentation):
    """Shows remarks.

    Attributes:
        write: is given a line for each.
        as_json: whether they are JSON, with the fields of `entry`.
        layers: show only what is of these layers.
        kinds: show only these of "passed", "missed" and "analysis".
        passes: show only what these passes say, or, of `PASS/NAME`, these remarks; None: all.
    """

    write: Callable[[str], None]
    as_json: bool = False
    layers: LayerFilter | None = None
    kinds: frozenset[str] = frozenset(KINDS)
    passes: frozenset[str] | None = None

    @override
    def before_pipeline(self, module: ModuleOp) -> None:
        if self.layers is not None:
            self.layers.check(module)

    @override
    def remarked(self, remark: Remark) -> None:
        if remark.kind not in self.kinds:
            return
        names = {remark.pass_name, _full_name(remark)}
        if self.passes is not None and not names & self.passes:
            return
        if self.layers is not None and not self.layers.matches(remark.layers):
            return
        if self.as_json:
            self.write(json.dumps(entry(remark), ensure_ascii=False))
        else:
            # Names come from models.
            self.write(readable(text(remark), 2000))


def entry(remark: Remark) -> dict[str, Any]:
    """What JSON says: the names of `rewrite_log.entry` where they mean the same."""
    return {
        "kind": remark.kind,
        "pass": remark.pass_name,
        "name": remark.name,
        "op": remark.operation,
        "layers": list(remark.layers),
        "function": remark.function,
        "hint": remark.number,
        "message": remark.message,
        "way_out": remark.way_out,
        "figures": dict(remark.figures),
    }


def text(remark: Remark) -> str:
    """What a person reads."""
    layers = readable("+".join(remark.layers), _LONGEST)
    where = f"layer {layers}" if layers else remark.operation
    if remark.function and not layers:
        where = f"{where} in @{remark.function}"
    number = f"Hint [{remark.number}]: " if remark.number else ""
    way_out = f"; {remark.way_out}" if remark.way_out else ""
    said = f"{number}{remark.message}{way_out}"
    return f"REMARK: {remark.kind}: {where}: {_full_name(remark)}: {said}"


def _full_name(remark: Remark) -> str:
    return f"{remark.pass_name}/{remark.name}"
