"""What a compiled program is, as plain data for tables, pages and JSON."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from furiosa_ir.backends import backend_for, read_program
from furiosa_ir.costs import Costs, LayerCost, host_operators, npu_mac_share
from furiosa_ir.program import DeviceSegment, HostSegment, Layer, Program, Tensor
from furiosa_ir.reports.columns import layer_row
from furiosa_ir.reports.profile import Profile


def inspection(profile: Profile) -> dict[str, Any]:
    """A profile as a dictionary that JSON can hold: `summary`, with all that is known of layers.

    Each of `layers` has the columns of `reports.columns`; `summary` the times and what would help
    (`advice`) as well.
    """
    content = summary(profile.program)
    memory = profile.memory
    content["summary"] |= {
        **profile.latency.figures(),
        "utilisation": profile.utilisation,
        "sram_least_bytes": None if memory is None else memory.least,
        "advice": [each.text for each in profile.advice],
    }
    content["layers"] = [layer_row(profile, layer) for layer in profile.layers]
    return content


def summary(source: str | os.PathLike[str] | bytes | memoryview | Program) -> dict[str, Any]:
    """A program as a dictionary that JSON can hold.

    `header`, `target`, `machine`, `inputs`, `outputs`, `variables` (what it keeps from run to run),
    `segments`; `summary` with `npu_mac_share` (0 to 1), `cycles`, the latencies of
    `furiosa_ir.latency.Latency`, `bound_us` (on the NPU; no plan goes below), `dram_traffic_bytes`
    of a run and how many of these no plan avoids (`dram_compulsory_bytes`), `sram_peak_bytes`
    and `dram_bytes` with what no addresses undercut (`sram_bound_bytes`, `dram_bound_bytes`; null:
    not known), `weight_bytes`, `host_operators` (operator, layer, hint, reason); and `layers`,
    whose `cycles` are what each layer adds to the program's time, so that they sum to the
    program's. What runs on the device is told by its commands (`furiosa_ir.costs`), whatever the
    file says.

    Args:
        source: path or content of a program's file, or a program.

    Raises:
        FormatFailure: the file is damaged or not ours.
    """
    program = source if isinstance(source, Program) else read_program(source)
    backend = backend_for(program.target)
    costs = backend.costs(program)
    layers = [_layer(program, costs, i, layer) for i, layer in enumerate(program.layers)]
    return {
        "header": {"format": backend.container.title, **_header(program)},
        "target": program.target,
        "machine": dict(program.machine),
        "inputs": [_tensor(program.tensors[i]) for i in program.inputs],
        "outputs": [_tensor(t) for t in program.output_tensors],
        "variables": [
            _tensor(replace(program.tensors[v.before], name=v.name)) for v in program.variables
        ],
        "segments": [_segment(program, costs, i, s) for i, s in enumerate(program.segments)],
        "summary": {
            "npu_mac_share": npu_mac_share(program, costs),
            "macs": sum(layer["macs"] for layer in layers),
            "cycles": costs.cycles,
            **costs.latency.figures(),
            "bound_us": costs.bound_us,
            "dram_traffic_bytes": costs.dram_traffic_bytes,
            "dram_compulsory_bytes": costs.dram_compulsory_bytes,
            "sram_peak_bytes": costs.sram_peak_bytes,
            "sram_bound_bytes": costs.sram_bound_bytes,
            "dram_bytes": costs.dram_bytes,
            "dram_bound_bytes": costs.dram_bound_bytes,
            "weight_bytes": sum(layer["weight_bytes"] or 0 for layer in layers),
            "host_operators": [
                {"operator": operator, "layer": layer, "hint": hint, "reason": reason}
                for operator, layer, hint, reason in host_operators(program)
            ],
        },
        "layers": layers,
    }


def _header(program: Program) -> dict[str, Any]:
    return {
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


def _segment(
    program: Program, costs: Costs, index: int, segment: DeviceSegment | HostSegment
) -> dict[str, Any]:
    inputs = [program.tensors[i].name for i in segment.reads]
    outputs = [program.tensors[i].name for i in segment.makes]
    if isinstance(segment, HostSegment):
        return {
            "name": segment.name,
            "placement": "host",
            "framework": segment.framework,
            "operators": len(segment.operators),
            "inputs": inputs,
            "outputs": outputs,
            "model_bytes": len(segment.model),
        }
    cost = costs.segments[index]
    return {
        "name": segment.name,
        "placement": "npu",
        "commands": cost.commands,
        "inputs": inputs,
        "outputs": outputs,
        "constant_bytes": cost.constant_bytes,
        "workspace_bytes": cost.workspace_bytes,
        **cost.figures,
    }


def _layer(program: Program, costs: Costs, index: int, layer: Layer) -> dict[str, Any]:
    segment = program.segments[layer.segment]
    cost = costs.layers.get(index)
    figures = _on_host(layer, segment) if cost is None else _on_device(cost)
    return {
        "name": layer.name,
        "operator": layer.operator,
        "placement": "host" if cost is None else "npu",
        "segment": segment.name,
        **figures,
    }


def _on_device(cost: LayerCost) -> dict[str, int | None]:
    return {
        "tiles": cost.tiles,
        "cycles": cost.cycles,
        "load_cycles": cost.load_cycles,
        "operate_cycles": cost.operate_cycles,
        "store_cycles": cost.store_cycles,
        "macs": cost.macs,
        "weight_bytes": cost.weight_bytes,
    }


def _on_host(layer: Layer, segment: DeviceSegment | HostSegment) -> dict[str, int | None]:
    """The file's own figures; no layer has more weights than its sub-model has bytes.

    Where it says that there are none, they are the sub-model's.
    """
    most = len(segment.model) if isinstance(segment, HostSegment) else layer.weight_bytes
    unknown = ("tiles", "cycles", "load_cycles", "operate_cycles", "store_cycles")
    return {
        **dict.fromkeys(unknown),
        "macs": layer.macs,
        "weight_bytes": min(layer.weight_bytes, most) or None,
    }
