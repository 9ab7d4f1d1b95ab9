"""Files whose program or NPU segment breaks a rule: P and S."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np

from furiosa_ir.backends.warboy.enf import layout, writer
from furiosa_ir.backends.warboy.enf.records import (
    Dot,
)
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.program import Tensor
from tests.examples.refused_enf.whole import (
    Files,
    breaks,
    changed,
    whole,
    with_segment,
)
from tests.fuzz.hostile_enf import PROGRAMS


@breaks("P1")
def _() -> Files:
    yield write_program(replace(whole(), target="renegade"))
    yield write_program(replace(whole(), target=""))


def with_machine(**values: int) -> bytes:
    return write_program(replace(whole(), machine=whole().machine | values))


@breaks("P2")
def _() -> Files:
    for name in ("num_slices", "size_actual_sram_slice", "size_dram"):
        yield with_machine(**{name: 0})
        yield with_machine(**{name: -1})
        left = {k: v for k, v in whole().machine.items() if k != name}
        yield write_program(replace(whole(), machine=left))


@breaks("P3")
def _() -> Files:
    yield with_machine(mac_width=64)
    yield with_machine(num_slices=1 << 20)


@breaks("P4")
def _() -> Files:
    with patch.object(layout, "FRAMEWORKS", ("a", "b", "onnx")):
        yield write_program(whole())


def with_tensor(**fields: Any) -> bytes:
    tensors = list(whole().tensors)
    tensors.append(replace(Tensor("more", "int8", (1,)), **fields))
    return write_program(replace(whole(), tensors=tuple(tensors)))


@breaks("P5")
def _() -> Files:
    yield with_tensor(dtype="int9")
    yield with_tensor(shape=(1, -2))
    yield with_tensor(scale=float("nan"))
    yield with_tensor(scale=float("inf"))


@breaks("P6")
def _() -> Files:
    yield write_program(replace(whole(), inputs=(99,)))
    yield write_program(replace(whole(), outputs=(99,)))
    (variable,) = whole().variables
    yield write_program(replace(whole(), variables=(replace(variable, after=99),)))
    npu, host = whole().segments
    yield write_program(replace(whole(), segments=(npu, replace(host, inputs=(99,)))))
    binding = replace(npu.inputs[0], tensor=99)
    yield write_program(with_segment(inputs=(binding, *npu.inputs[1:])))


@breaks("P7")
def _() -> Files:
    row = writer._segment_row
    with patch.object(writer, "_segment_row", lambda *_: {}):
        yield write_program(whole())
    both: dict[str, Any] = {}

    def of_both(*arguments: Any) -> dict[str, Any]:
        both.update(row(*arguments))
        return dict(both)

    with patch.object(writer, "_segment_row", of_both):
        yield write_program(whole())


@breaks("P8")
def _() -> Files:
    add = writer._Sections.add
    for edit in (
        lambda offset, size: (offset + 1, size),
        lambda offset, size: (offset, size + (1 << 20)),
        lambda offset, size: (offset + (1 << 62), size),
        lambda offset, size: (0, 8512),
    ):
        with patch.object(writer._Sections, "add", lambda *a, edit=edit: edit(*add(*a))):
            yield write_program(whole())
    yield PROGRAMS["shared_section"]()


@breaks("P9")
def _() -> Files:
    npu, host = whole().segments
    yield write_program(replace(whole(), inputs=(0, 0)))
    yield write_program(replace(whole(), inputs=()))
    yield write_program(replace(whole(), segments=(host, npu)))
    yield write_program(replace(whole(), segments=(npu, host, host)))
    (variable,) = whole().variables
    unmade = len(whole().tensors)
    with_one = replace(whole(), tensors=(*whole().tensors, Tensor("no", "int32", (1, 4, 4, 8))))
    yield write_program(replace(with_one, outputs=(unmade,)))
    yield write_program(replace(with_one, variables=(replace(variable, after=unmade),)))


@breaks("S1")
def _() -> Files:
    yield write_program(with_segment(workspace_bytes=1 << 40))
    yield with_machine(size_dram=1000)


@breaks("S2")
def _() -> Files:
    yield write_program(with_segment(sram_bytes=(256 << 10) + 32))


@breaks("S3")
def _() -> Files:
    npu = whole().segments[0]
    tensors = list(whole().tensors)
    shapes = ({"shape": (1, -1)}, {"shape": (1, 0)}, {"shape": (0, 1 << 62, 1 << 62)})
    for fields in ({"dtype": "float32"}, {"dtype": "int16"}, *shapes):
        tensors[npu.inputs[0].tensor] = replace(whole().tensors[npu.inputs[0].tensor], **fields)
        yield write_program(replace(whole(), tensors=tuple(tensors)))
    beyond = replace(npu.inputs[0], address=npu.workspace_bytes)  # type: ignore[attr-defined]
    yield write_program(with_segment(inputs=(beyond, *npu.inputs[1:])))


@breaks("S4")
def _() -> Files:
    yield write_program(with_segment(setup=1000))


def with_vectors(edit: Callable[[dict[str, Any]], Any]) -> bytes:
    """The program after an edit of its commands' vectors."""

    def write(commands: Sequence[Any]) -> dict[str, Any]:
        vectors = made(commands)
        edit(vectors)
        return vectors

    made = writer.write_commands
    with patch.object(writer, "write_commands", write):
        return write_program(whole())


@breaks("S5")
def _() -> Files:
    names = ("waits", "load_tiles", "dots", "operands", "parameters", "instructions", "registers")
    for name in (*names, "immediates"):
        yield with_vectors(lambda v, n=name: v.update({n: v[n][:-1]}))
        yield with_vectors(lambda v, n=name: v.update({n: np.concatenate([v[n], v[n][-1:]])}))


@breaks("S6")
def _() -> Files:
    yield changed(Dot, layer=99)


@breaks("S7")
def _() -> Files:
    def set_to(vector: str, value: int, *fields: str) -> bytes:
        def edit(vectors: dict[str, Any]) -> None:
            place = vectors[vector]
            for field in fields[:-1]:
                place = place[field]
            place[fields[-1]] = value

        return with_vectors(edit)

    yield set_to("commands", 7, "kind")
    yield set_to("load_tiles", 2, "target", "order")
    yield set_to("load_tiles", 2, "source", "region")
    yield set_to("copies", 2, "source", "region")
    yield set_to("pools", 2, "kind")
    yield set_to("instructions", 12, "opcode")
    yield set_to("instructions", 9, "mode")
    for rank in (0, 9):
        yield set_to("copies", rank, "source", "rank")
    for rank in (0, 5):
        yield set_to("parameters", rank, "rank")
