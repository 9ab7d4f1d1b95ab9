"""Where to end, or to begin, a network that has operators which nobody knows.

For a refusal only: the file is read once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from furiosa_ir.dialects.graph import ONNX_OPERATORS
from furiosa_ir.errors import FuriosaError
from furiosa_ir.formats import Format, head_of, recognise
from furiosa_ir.host_kernels import find_kernel
from furiosa_ir.network_part import Part

_Failure = TypeVar("_Failure", bound=FuriosaError)

_MOST = 8
"""Names in a hint."""
_NAMED = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Operator sets that onnxruntime has kernels of, as a rule."""


@dataclass(frozen=True)
class _Step:
    """An operator of a network.

    Attributes:
        label: its layer.
        inputs, outputs: the values' names; of inputs, those that are computed or given.
        is_foreign: whether no framework knows it.
        is_unknown: whether nobody does, no plug-in either.
    """

    label: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    is_foreign: bool
    is_unknown: bool


def with_way_out(error: _Failure, source: Path | bytes, part: Part) -> _Failure:
    """A refusal of an operator that nobody knows, with the options that get around it.

    Args:
        error: the refusal, with the operator's layer.
        source: the network's file, or its content.
        part: of it, that was to be compiled.
    """
    read = _read(source, part)
    if read is None:
        return error
    steps, outputs = read
    unknown = [s for s in steps if s.is_unknown or (error.layer and s.label == error.layer)]
    hint = _hint(steps, unknown, outputs)
    hints = [h for h in (error.hint, hint, "--load gives it a kernel in Python") if h]
    return _with_hint(error, "; ".join(hints))


def with_way_around_foreign(error: _Failure, source: Path | bytes, part: Part) -> _Failure:
    """What a framework refuses, with the options that leave out what it does not know.

    Args:
        error: the refusal, which may have another reason: then it stays as it is.
        source: the network's file, or its content.
        part: of it, that the framework was given.
    """
    read = _read(source, part)
    hint = read and _hint(read[0], [s for s in read[0] if s.is_foreign], read[1])
    if hint is None:
        return error
    return _with_hint(error, "; ".join(h for h in (error.hint, hint) if h))


def _with_hint(error: _Failure, hint: str) -> _Failure:
    copy = type(error)(error.message, file=error.file, layer=error.layer, hint=hint)
    copy.diagnostics, copy.unlisted = error.diagnostics, error.unlisted
    return copy


def _hint(steps: Sequence[_Step], unknown: Sequence[_Step], outputs: Sequence[str]) -> str | None:
    """The values in front of what is unknown, or else those behind it, as options."""
    made = {o for s in steps for o in s.outputs}
    theirs = {o for s in unknown for o in s.outputs}
    left_out = set(map(id, unknown))
    spoilt = set(theirs)
    ends: dict[str, None] = {}
    behind: dict[str, None] = {}
    for step in steps:  # in order
        if id(step) not in left_out:
            if spoilt.isdisjoint(step.inputs):
                continue
            spoilt.update(step.outputs)
            behind |= dict.fromkeys(i for i in step.inputs if i in theirs)
        ends |= dict.fromkeys(i for i in step.inputs if i in made and i not in spoilt)
    if ends:  # and the outputs that are right
        ends |= dict.fromkeys(o for o in outputs if o in made and o not in spoilt)
        return f"--outputs {_listed(list(ends))} ends the network in front of it"
    return f"--inputs {_listed(list(behind))} begins the network behind it" if behind else None


def _listed(names: Sequence[str]) -> str:
    return ",".join(names[:_MOST]) + (",..." if len(names) > _MOST else "")


def _read(source: Path | bytes, part: Part) -> tuple[list[_Step], list[str]] | None:
    """The operators of a network in order, and the names of its outputs; None if it has a fault."""
    try:
        head = source if isinstance(source, bytes) else head_of(source)
        return (_tflite if recognise(head) is Format.TFLITE else _onnx)(source, part)
    except Exception:  # noqa: BLE001  # the refusal that it is read for is what matters
        return None


def _onnx(source: Path | bytes, part: Part) -> tuple[list[_Step], list[str]]:
    from furiosa_ir.importers.onnx.file import read_model  # noqa: PLC0415  # lazy frameworks
    from furiosa_ir.importers.onnx.node_order import needed_nodes, node_label, used_names  # noqa: PLC0415

    graph: Any = read_model(source, part).model.graph
    constants = {str(t.name) for t in graph.initializer}
    given = [*(str(i.name) for i in graph.input if i.name not in constants), *constants]
    steps: list[_Step] = []
    for node in needed_nodes(graph, given):
        names = [n for n in used_names(node) if n not in constants]
        key = f"{node.domain}::{node.op_type}"
        is_foreign = node.domain not in _NAMED
        is_known = key in ONNX_OPERATORS or find_kernel(key) is not None
        made = [str(o) for o in node.output if o]
        steps.append(_Step(node_label(node), names, made, is_foreign, is_foreign and not is_known))
    return steps, [str(o.name) for o in graph.output]


def _tflite(source: Path | bytes, part: Part) -> tuple[list[_Step], list[str]]:
    from furiosa_ir.importers.tflite.custom import has_kernel  # noqa: PLC0415  # lazy frameworks
    from furiosa_ir.importers.tflite.file import open_model, read_file  # noqa: PLC0415

    file = read_file(open_model(source), part)
    tensors = file.main.tensors
    steps: list[_Step] = []
    for record in file.main.operators:
        is_foreign = record.is_custom and not has_kernel(record.op_type)
        steps.append(
            _Step(
                tensors[record.outputs[0]].name if record.outputs else "",
                [tensors[i].name for i in record.inputs if i >= 0 and tensors[i].data is None],
                [tensors[i].name for i in record.outputs],
                is_foreign,
                is_foreign and find_kernel(record.op_type) is None,
            )
        )
    return steps, [tensors[i].name for i in file.main.outputs]
