"""The parameters of a Warboy target, read from `warboy.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

from furiosa_ir.errors import CompilationFailure, FormatFailure

TARGETS = ("warboy", "warboy-2pe")
"""One PE (64 slices), and two PEs fused into one (128 slices)."""

PE_SLICES = 64
"""Slices of one PE (data sheet)."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A target's parameters: the vendor's names and values, then the data sheet's, then our own.

    Fields up to `profiling_frequency_in_mhz` are the vendor's parameter file, `clock_hz` to
    `link_bytes_per_second` its data sheet; the rest is derived from published figures, or fitted
    (see `warboy.toml`, which says where each comes from). Properties are derived.
    """

    num_slices: int
    num_pe: int
    num_registers: int
    size_dram: int
    size_dram_bulk: int
    size_actual_sram_slice: int
    size_sram_slice_address_space: int
    size_instruction_memory: int
    num_operands: int
    operand_queue_depth: int
    num_tasks: int
    scalar_alignment: int
    io_alignment: int
    hop_cycles: int
    ctrl_delay: int
    shift_register_width: int
    gat_data_width: int
    gat_hop_cycles: int
    mac_width: int
    mac_height: int
    num_table_ports: int
    sram_access_width: int
    register_file_size: int
    accumulator_size: int
    ve_register_file_size: int
    ve_max_access_width: int
    warmup_base: int
    fetch_network_width: int
    sfr_io_width: int
    te_io_width: int
    completion_tag_width: int
    io_queue_depth: int
    profiling_frequency_in_mhz: int
    clock_hz: int
    dram_bytes_per_second: int
    link_bytes_per_second: int
    link_latency_ns: int
    dma_latency_cycles: int
    dma_descriptor_cycles: int
    vector_lanes: int
    vector_stages: int
    host_bytes_per_second: int
    host_macs_per_second: int
    dot_efficiency_percent: int
    lookup_port_cycles: int
    host_elements_per_second: int

    @property
    def slices(self) -> int:
        """Slices that work in lockstep: 64, or 128 when two PEs are fused."""
        return self.num_slices

    @property
    def slice_bytes(self) -> int:
        """SRAM of one slice in bytes (256 KiB)."""
        return self.size_actual_sram_slice

    @property
    def sram_bytes(self) -> int:
        """SRAM of all slices in bytes: 16 MiB for one PE, 32 MiB for two."""
        return self.num_slices * self.size_actual_sram_slice

    @property
    def dram_bytes(self) -> int:
        """The card's DRAM in bytes (16 GiB)."""
        return self.size_dram

    @property
    def line_bytes(self) -> int:
        """What tiles are aligned and their innermost extents rounded to, in bytes.

        32: the MAC array's width, in published layouts the unit of the innermost axis.
        """
        return self.mac_width

    @property
    def dram_bytes_per_cycle(self) -> int:
        """DRAM bandwidth in bytes per clock cycle: 66 GB/s at 2 GHz is 33 (inferred)."""
        return self.dram_bytes_per_second // self.clock_hz

    @property
    def fetch_width(self) -> int:
        """Bytes the fetch network brings to each slice in a cycle (16)."""
        return self.fetch_network_width

    @property
    def commit_width(self) -> int:
        """Bytes the commit unit writes to each slice's SRAM in a cycle (8)."""
        return self.te_io_width

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates of all slices in a cycle.

        32 x 4 per slice is inferred: 64 slices x 128 x 2 operations x 2 GHz are the 32 TOPS per PE
        of the data sheet.
        """
        return self.num_slices * self.mac_width * self.mac_height

    def parameters(self) -> dict[str, int]:
        """All fields by name, as an ENF program carries them."""
        return asdict(self)

    @staticmethod
    def from_parameters(parameters: Mapping[str, int]) -> Machine:
        """The machine a program was compiled for.

        Raises:
            FormatFailure: a parameter is missing, unknown or not positive, or a cycle brings no
                whole byte of DRAM.
        """
        names = {field.name for field in fields(Machine)}
        if missing := sorted(names - parameters.keys()):
            raise FormatFailure(f"the machine's parameter '{missing[0]}' is missing")
        if unknown := sorted(parameters.keys() - names):
            raise FormatFailure(f"the machine has an unknown parameter '{unknown[0]}'")
        for name, value in parameters.items():
            if value <= 0:
                raise FormatFailure(f"the machine's parameter '{name}' is {value}, not positive")
        machine = Machine(**parameters)
        if machine.dram_bytes_per_cycle < 1:
            raise FormatFailure(
                f"the machine's clock of {machine.clock_hz} Hz is too fast for a DRAM of "
                f"{machine.dram_bytes_per_second} bytes a second"
            )
        return machine


@cache
def load_machine(target: str) -> Machine:
    """The parameters of "warboy" or "warboy-2pe".

    Raises:
        CompilationFailure: there is no such target.
    """
    text = Path(__file__).with_name("warboy.toml").read_text(encoding="utf-8")
    family = tomllib.loads(text)
    targets: dict[str, dict[str, int]] = family["targets"]
    if target not in targets:
        raise CompilationFailure(
            f"there is no target '{target}'", hint=f"choose one of {', '.join(targets)}"
        )
    constants = (family[source] for source in ("published", "datasheet", "derived", "fitted"))
    return Machine(**{k: v for each in (*constants, targets[target]) for k, v in each.items()})
