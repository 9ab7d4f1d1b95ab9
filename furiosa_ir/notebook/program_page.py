"""A program, or a session of one, in a notebook: what it takes and gives, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence

from furiosa_ir.backends import backend_for
from furiosa_ir.costs import npu_mac_share
from furiosa_ir.notebook.markup import facts, fold, page, plain, table
from furiosa_ir.program import HostSegment, Program, Tensor
from furiosa_ir.reports.units import format_value

_MOST_ROWS = 200


def program_page(program: Program, size: int | None = None) -> str:
    """The summary of a program.

    Args:
        program: it.
        size: of its file, in bytes.
    """
    backend = backend_for(program.target)
    costs = backend.costs(program)
    figures: list[tuple[str, object]] = [
        ("estimated latency", format_value(costs.latency.total_latency_us, "latency")),
        ("on the NPU", format_value(costs.latency.npu_latency_us, "latency")),
        ("cycles", format_value(costs.cycles, "count")),
        ("MACs on the NPU", format_value(npu_mac_share(program, costs), "share")),
        ("SRAM at its peak", format_value(costs.sram_peak_bytes, "bytes")),
        ("DRAM", format_value(costs.dram_bytes, "bytes")),
    ]
    if size is not None:
        figures.append(("file", format_value(size, "bytes")))
    layers = (
        (
            layer.name,
            layer.operator,
            _placement(program, layer.segment),
            None if (cost := costs.layers.get(index)) is None else f"{cost.cycles:,}",
            f"{layer.macs:,}",
        )
        for index, layer in enumerate(program.layers[:_MOST_ROWS])
    )
    count = len(program.layers)
    shown = f"the first {_MOST_ROWS} of {count} layers" if count > _MOST_ROWS else f"{count} layers"
    return page(
        f"<b>{plain(backend.container.title)} program for {plain(program.target)}</b>",
        facts(figures),
        _tensors(program),
        table(
            ("segment", "placement", "#layers"),
            (
                (s.name, _placement(program, i), sum(row.segment == i for row in program.layers))
                for i, s in enumerate(program.segments[:_MOST_ROWS])
            ),
        ),
        fold(shown, table(("layer", "operator", "placement", "#cycles added", "#MACs"), layers)),
    )


def session_page(program: Program | None, worker_num: int) -> str:
    """A session.

    Args:
        program: what it runs; None: it is closed.
        worker_num: how many runs go on at once.
    """
    if program is None:
        return page("<b>closed session</b>")
    rows: list[tuple[str, object]] = [("runs at once", worker_num)]
    if program.variables:
        rows.append(("keeps between runs", ", ".join(v.name for v in program.variables)))
    return page(f"<b>session for {plain(program.target)}</b>", facts(rows), _tensors(program))


def _placement(program: Program, segment: int) -> str:
    return "host" if isinstance(program.segments[segment], HostSegment) else "npu"


def _tensors(program: Program) -> str:
    inputs = [("input", program.tensors[index]) for index in program.inputs]
    outputs = [("output", tensor) for tensor in program.output_tensors]
    return table(("", "name", "type", "quantised"), map(_row, inputs + outputs))


def _row(entry: tuple[str, Tensor]) -> Sequence[object]:
    kind, tensor = entry
    extents = " x ".join(str(n) if n >= 0 else "?" for n in tensor.shape)
    quantised = f"{tensor.scale:.6g} * (x - {tensor.zero_point})" if tensor.scale else ""
    return kind, tensor.name, f"{tensor.dtype} {extents}".rstrip(), quantised
