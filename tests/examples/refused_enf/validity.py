"""Files whose program is not valid: V."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np

from furiosa_ir.backends.warboy.enf import writer
from furiosa_ir.backends.warboy.enf.records import (
    Copy,
    Dot,
    Load,
    Pool,
    Store,
    Vector,
)
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.program import Tensor, Variable
from tests.backends.warboy.enf.vector_builder import Builder, op
from tests.examples.refused_enf.programs import with_machine, with_tensor
from tests.examples.refused_enf.whole import (
    Files,
    breaks,
    changed,
    first,
    moved,
    whole,
    with_command,
    with_segment,
)


@breaks("V1")
def _() -> Files:
    with_two = writer._program_row

    def twice(field: str) -> bytes:
        def row(*arguments: Any) -> Any:
            made = with_two(*arguments)
            made[field] = [*made[field], *made[field][:1]]
            return made

        with patch.object(writer, "_program_row", row):
            return write_program(replace(whole(), options={"a": "b"}))

    yield twice("machine")
    yield twice("options")
    yield with_machine(unknown=1)
    yield with_machine(vector_lanes=0)
    yield write_program(
        replace(whole(), machine={k: v for k, v in whole().machine.items() if k != "num_pe"})
    )
    yield with_machine(clock_hz=1 << 40)


@breaks("V2")
def _() -> Files:
    yield write_program(replace(whole(), source_framework="caffe"))
    yield write_program(replace(whole(), layers=(replace(whole().layers[0], segment=7),)))
    yield with_tensor(scale=-1.0)
    yield with_tensor(shape=(1,) * 65)
    yield write_program(replace(whole(), output_names=("one",)))


@breaks("V3")
def _() -> Files:
    (variable,) = whole().variables
    yield write_program(replace(whole(), variables=(replace(variable, initial=bytes(511)),)))
    yield write_program(replace(whole(), variables=(replace(variable, after=0),)))
    tensors = (*whole().tensors, Tensor("again", "int4", (1,)))
    other = Variable("state", len(tensors) - 1, len(tensors) - 1, bytes(1))
    yield write_program(replace(whole(), tensors=tensors, variables=(variable, other)))
    named = replace(other, name="other")
    yield write_program(replace(whole(), tensors=tensors, variables=(variable, named)))


@breaks("V4")
def _() -> Files:
    from onnx import ModelProto

    npu, host = whole().segments
    foreign = replace(host, model=b"0123ORTM" + bytes(50))
    yield write_program(replace(whole(), segments=(npu, foreign)))
    model = ModelProto.FromString(bytes(host.model))  # type: ignore[attr-defined]
    tensor = model.graph.initializer.add()
    tensor.name, tensor.data_location = "w", 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    yield write_program(
        replace(whole(), segments=(npu, replace(host, model=model.SerializeToString())))
    )


@breaks("V5")
def _() -> Files:
    yield write_program(with_segment(sram_bound=1 << 20))
    yield write_program(with_segment(workspace_bound=1 << 20))


@breaks("V6")
def _() -> Files:
    yield changed(Dot, waits=(99,))
    number, _ = first(Dot)
    yield changed(Dot, waits=(number,))
    yield changed(Dot, waits=(0,))
    yield with_command(0, replace(first(Load)[1], waits=(0,)))


@breaks("V7")
def _() -> Files:
    number, copy = first(Copy)
    yield with_command(number, replace(copy, target=replace(copy.target, strides=(0,))))
    number, store = first(Store)
    strides = (0, 128, 32, 3)
    yield with_command(number, replace(store, target=replace(store.target, strides=strides)))


@breaks("V8")
def _() -> Files:
    yield changed(Dot, beside=True)
    yield changed(Pool, result=replace(first(Pool)[1].result, first=0))
    yield changed(Pool, result=replace(first(Pool)[1].result, first=62))
    yield changed(Vector, beside=True)


@breaks("V9")
def _() -> Files:
    x = first(Dot)[1].x
    yield changed(Dot, x=replace(x, address=x.address + 2048))


@breaks("V10")
def _() -> Files:
    yield write_program(with_segment(sram_bytes=64))


@breaks("V11")
def _() -> Files:
    yield changed(Dot, waits=())
    yield changed(Store, waits=())


@breaks("V12")
def _() -> Files:
    x = first(Dot)[1].x
    yield changed(Dot, result=replace(x, order="HWC"))
    yield changed(Dot, result=x)
    b = Builder()
    tile = b.input(np.ones((1, 2, 3, 4), np.int8))
    b.vector([tile], [op("gather", 0, immediates=(3, 3, 2, 1, 0))], result=tile)
    b.output(tile)
    yield write_program(b.program())


@breaks("V13")
def _() -> Files:
    pinned = first(Load)[1].target
    yield moved(address=pinned.address)


@breaks("V14")
def _() -> Files:
    b = Builder("warboy-2pe")
    x = b.input(np.ones((1, 2, 2, 4), np.int8))
    y = b.input(np.ones((1, 2, 2, 4), np.int8), first=64)
    result = b.tile((1, 2, 2, 4), first=0)
    b.add(Vector((x,), (), (), result, 0))
    other = replace(y, address=b.tile((1, 2, 2, 4)).address)
    b.add(Vector((result,), (), (), other, 0, beside=True))
    b.output(result)
    yield write_program(b.program())


@breaks("V15")
def _() -> Files:
    number, copy = first(Copy)
    source = replace(copy.source, address=copy.target.address)
    yield with_command(number, replace(copy, source=source))


@breaks("V16")
def _() -> Files:
    yield changed(Store, target=replace(first(Store)[1].target, address=0))
