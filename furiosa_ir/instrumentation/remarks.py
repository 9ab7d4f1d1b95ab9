"""`--remarks`: what passes have to say of operations, such as why one stays on the host.

REMARK: layer logits: graph-partition: Hint [2]: Gemm works on float data; quantise the network
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
from furiosa_ir.ir.rewrite_watch import Remark


@dataclass
class Remarks(Instrumentation):
    """Shows remarks.

    Attributes:
        write: is given a line for each.
        as_json: whether they are JSON, with the fields of `entry`.
        layers: show only what is of these layers.
    """

    write: Callable[[str], None]
    as_json: bool = False
    layers: LayerFilter | None = None

    @override
    def before_pipeline(self, module: ModuleOp) -> None:
        if self.layers is not None:
            self.layers.check(module)

    @override
    def remarked(self, remark: Remark) -> None:
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
        "pass": remark.pass_name,
        "op": remark.operation,
        "layers": list(remark.layers),
        "function": remark.function,
        "hint": remark.number,
        "message": remark.message,
    }


def text(remark: Remark) -> str:
    """What a person reads."""
    where = f"layer {'+'.join(remark.layers)}" if remark.layers else remark.operation
    number = f"Hint [{remark.number}]: " if remark.number else ""
    return f"REMARK: {where}: {remark.pass_name}: {number}{remark.message}"
