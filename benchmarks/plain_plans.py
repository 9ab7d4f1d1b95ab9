"""Passes without those that keep all slices busy and hide transfers, to compare plans with.

`PLAIN` finds plans as, for all that is known, the vendor's compiler does, `BEFORE` as ours once
did: every run loads all weights as well.
"""

from __future__ import annotations

from furiosa_ir.pipeline_request import Edit, EditKind, PipelineRequest


def _without(options: str) -> PipelineRequest:
    passes = ("split-batch", "copy-parts", "split-columns", "pair-kernels")
    skipped = [Edit(EditKind.SKIP, name) for name in passes]
    plan = Edit(EditKind.REPLACE, "plan-tiles", f"plan-tiles{{{options}}}")
    return PipelineRequest(edits=(*skipped, plan))


PLAIN = _without("overlap=false apart=false")
BEFORE = _without("pin=false overlap=false apart=false")
