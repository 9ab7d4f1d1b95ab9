"""What a compiled program is, as plain data for tables, pages and JSON."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from furiosa_ir.backends.warboy.enf.reader import read_header, read_program
from furiosa_ir.backends.warboy.enf.records import (
    Dot,
    HostSegment,
    Layer,
    NpuSegment,
    Program,
    Tensor,
)
from furiosa_ir.backends.warboy.enf.shapes import accumulator_shape
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.simulator.timeline import TimelineEntry, timeline


def summary(source: str | os.PathLike[str] | bytes | memoryview | Program) -> dict[str, Any]:
    """A program as a dictionary that JSON can hold.

    `header`, `target`, `machine`, `inputs`, `outputs`, `variables` (what it keeps from run to run),
    `segments`; `summary` with `npu_mac_share`
    (0 to 1), `cycles`, `latency_us`, `sram_peak_bytes` (of all slices), `dram_bytes`,
    `weight_bytes`, `host_operators` (operator, layer, hint, reason); and `layers`, whose `cycles`
    are what each layer adds to the program's time, so that they sum to the program's. The
    multiply-accumulates of layers on the NPU are counted in their commands, and no layer has more
    weights than its segment has bytes for, whatever the file says.

    Args:
        source: path or content of an ENF file, or a program.

    Raises:
        FormatFailure: the file is damaged or not ours.
    """
    program = source if isinstance(source, Program) else read_program(source)
    program = replace(program, layers=_counted(program))
    entries = timeline(program)
    return {
        "header": _header(program),
        "target": program.target,
        "machine": dict(program.machine),
        "inputs": [_tensor(program.tensors[i]) for i in program.inputs],
        "outputs": [_tensor(t) for t in program.output_tensors],
        "variables": [
            _tensor(replace(program.tensors[v.before], name=v.name)) for v in program.variables
        ],
        "segments": [_segment(program, s) for s in program.segments],
        "summary": _figures(program, entries),
        "layers": _layers(program, entries),
    }


def vendor_header(data: bytes | memoryview) -> dict[str, Any] | None:
    """The header of a file that FuriosaAI's own compiler made; None for any other file.

    Its body is not public: nothing else can be said of it.

    Raises:
        FormatFailure: it is not an ENF file at all.
    """
    header = read_header(data)
    if not header.vendor:
        return None
    return {
        "format": "ENF",
        "maker": "FuriosaAI's compiler",
        "version": header.version.hex(" "),
        "checksum": f"0x{header.checksum:08x}",
        "checksum_valid": header.valid,
        "bytes": len(data),
    }


def _header(program: Program) -> dict[str, Any]:
    return {
        "format": "ENF",
        "compiler": program.compiler,
        "options": dict(program.options),
        "pipeline": program.pipeline,
        "resumed": [{"passes": r.passes, "text": r.text} for r in program.resumed],
        "source_framework": program.source_framework,
        "source_hash": program.source_hash,
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
    }
    if tensor.scale:
        entry |= {"scale": tensor.scale, "zero_point": tensor.zero_point}
    return entry


def _segment(program: Program, segment: NpuSegment | HostSegment) -> dict[str, Any]:
    if isinstance(segment, NpuSegment):
        return {
            "name": segment.name,
            "placement": "npu",
            "commands": len(segment.commands),
            "inputs": [program.tensors[b.tensor].name for b in segment.inputs],
            "outputs": [program.tensors[b.tensor].name for b in segment.outputs],
            "constant_bytes": len(segment.constants),
            "workspace_bytes": segment.workspace_bytes,
            "sram_slice_bytes": segment.sram_bytes,
        }
    return {
        "name": segment.name,
        "placement": "host",
        "framework": segment.framework,
        "operators": len(segment.operators),
        "inputs": [program.tensors[i].name for i in segment.inputs],
        "outputs": [program.tensors[i].name for i in segment.outputs],
        "model_bytes": len(segment.model),
    }


def _counted(program: Program) -> tuple[Layer, ...]:
    """The layers with figures that the program bears out."""
    products: list[dict[int, int]] = [{} for _ in program.layers]  # by what dilation divides them
    for segment in program.segments:
        if isinstance(segment, NpuSegment):
            for command in segment.commands:
                if isinstance(command, Dot):
                    inner = command.x.extent[3:] if command.batched else command.weight_shape[1:]
                    count = prod(accumulator_shape(command)) * prod(inner)
                    layer, spread = products[command.layer], prod(command.input_dilation)
                    layer[spread] = layer.get(spread, 0) + count
    layers: list[Layer] = []
    for layer, counts in zip(program.layers, products, strict=True):
        segment = program.segments[layer.segment]
        if isinstance(segment, NpuSegment):
            macs, most = sum(n // d for d, n in counts.items()), len(segment.constants)
        else:
            macs, most = layer.macs, len(segment.model)
        layers.append(replace(layer, macs=macs, weight_bytes=min(layer.weight_bytes, most)))
    return tuple(layers)


def _figures(program: Program, entries: list[TimelineEntry]) -> dict[str, Any]:
    machine = Machine.from_parameters(program.machine)
    npu = [s for s in program.segments if isinstance(s, NpuSegment)]
    macs = sum(layer.macs for layer in program.layers)
    npu_macs = sum(
        layer.macs
        for layer in program.layers
        if isinstance(program.segments[layer.segment], NpuSegment)
    )
    cycles = max((entry.end for entry in entries), default=0)
    return {
        "npu_mac_share": npu_macs / macs if macs else float(bool(npu)),
        "macs": macs,
        "cycles": cycles,
        "latency_us": cycles / machine.clock_hz * 1e6,
        "sram_peak_bytes": max((s.sram_bytes for s in npu), default=0) * machine.slices,
        "dram_bytes": sum(len(s.constants) for s in npu)
        + max((s.workspace_bytes for s in npu), default=0),
        "weight_bytes": sum(layer.weight_bytes for layer in program.layers),
        "host_operators": [
            {"operator": operator, "layer": layer, "hint": hint, "reason": reason}
            for segment in program.segments
            if isinstance(segment, HostSegment)
            for operator, layer, hint, reason in segment.operators
        ],
    }


@dataclass
class _Use:
    """What a layer's commands cost."""

    cycles: int = 0
    tiles: int = 0
    load: int = 0
    operate: int = 0
    store: int = 0


def _layers(program: Program, entries: list[TimelineEntry]) -> list[dict[str, Any]]:
    uses = [_Use() for _ in program.layers]
    reached = 0
    for entry in sorted(entries, key=lambda e: (e.end, e.start)):
        segment = program.segments[entry.segment]
        assert isinstance(segment, NpuSegment)
        command = segment.commands[entry.command]
        use = uses[command.layer]
        kind = type(command).__name__
        use.cycles += max(0, entry.end - reached)
        reached = max(reached, entry.end)
        busy = entry.end - entry.start
        if entry.engine == "npu":
            use.tiles += 1
            use.operate += busy
        elif kind == "Load":
            use.load += busy
        else:
            use.store += busy
    rows: list[dict[str, Any]] = []
    for layer, use in zip(program.layers, uses, strict=True):
        on_npu = isinstance(program.segments[layer.segment], NpuSegment)
        rows.append(
            {
                "name": layer.name,
                "operator": layer.operator,
                "placement": "npu" if on_npu else "host",
                "segment": program.segments[layer.segment].name,
                "tiles": use.tiles if on_npu else None,
                "cycles": use.cycles if on_npu else None,
                "load_cycles": use.load if on_npu else None,
                "operate_cycles": use.operate if on_npu else None,
                "store_cycles": use.store if on_npu else None,
                "macs": layer.macs,
                "weight_bytes": layer.weight_bytes,
            }
        )
    return rows
