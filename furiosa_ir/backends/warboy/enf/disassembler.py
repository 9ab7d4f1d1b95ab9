"""A program as text, one line a command."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from furiosa_ir.backends.warboy.enf.commands import kind_of
from furiosa_ir.backends.warboy.enf.records import NpuSegment, is_beside
from furiosa_ir.backends.warboy.enf.section import section_size
from furiosa_ir.program import HostSegment, Program, Tensor


def disassemble(program: Program) -> Iterator[str]:
    """The program's lines, without line ends: a head, then each segment with its commands.

    A command's line is `index  operation  operands  ; waits  layer`, `; beside  waits  layer` of
    one that does not wait for the end of the NPU's command in front of it. Memory is written
    `sram[address]`, tiles with their window (N, H, W, C), slices Ho x Co and order.
    """
    yield f"program {program.target}"
    if program.compiler:
        yield f"compiler {program.compiler}"
    if program.source_hash:
        yield f"source {program.source_framework} {program.source_hash}"
    for index in program.inputs:
        yield f"input {_tensor(program.tensors[index])}"
    for tensor in program.output_tensors:
        yield f"output {_tensor(tensor)}"
    for variable in program.variables:
        before, after = program.tensors[variable.before], program.tensors[variable.after]
        yield f"variable {_tensor(replace(before, name=variable.name))} <- {after.name}"
    for segment in program.segments:
        yield ""
        if isinstance(segment, NpuSegment):
            yield from _npu(program, segment)
        elif isinstance(segment, HostSegment):
            yield from _host(program, segment)


def _tensor(tensor: Tensor) -> str:
    shape = "x".join("?" if size < 0 else str(size) for size in tensor.shape)
    quantised = f" scale {tensor.scale:.9g} zp {tensor.zero_point}" if tensor.scale else ""
    return f"{tensor.name}: {tensor.dtype}[{shape}]{quantised}"


def _host(program: Program, segment: HostSegment) -> Iterator[str]:
    size = memoryview(segment.model).nbytes
    yield f"host segment {segment.name}: {segment.framework} model of {size} bytes"
    for word, indices in (("input", segment.inputs), ("output", segment.outputs)):
        for index in indices:
            yield f"    {word} {_tensor(program.tensors[index])}"
    for operator, layer, hint, reason in segment.operators:
        yield f"    {operator} '{layer}': Hint [{hint}]: {reason}"


def _npu(program: Program, segment: NpuSegment) -> Iterator[str]:
    constants = section_size(segment.constants)
    yield (
        f"npu segment {segment.name}: workspace {segment.workspace_bytes}, "
        f"sram {segment.sram_bytes}, constants {constants} bytes, set-up {segment.setup}"
    )
    for word, bindings in (("input", segment.inputs), ("output", segment.outputs)):
        for binding in bindings:
            tensor = _tensor(program.tensors[binding.tensor])
            yield f"    {word} {tensor} at workspace[{binding.address:#x}]"
    width = len(str(len(segment.commands)))
    for index, command in enumerate(segment.commands):
        waits = f"waits {','.join(map(str, command.waits))}  " if command.waits else ""
        waits = f"beside  {waits}" if is_beside(command) else waits
        layer = program.layers[command.layer].name
        yield f"    {index:{width}}  {kind_of(command).text(command)}  ; {waits}{layer}"
