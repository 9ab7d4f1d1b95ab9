"""The machine as pure data: its parameters."""

from furiosa_ir.backends.warboy.machine.description import (
    PE_SLICES,
    TARGETS,
    Machine,
    load_machine,
)

__all__ = ["PE_SLICES", "TARGETS", "Machine", "load_machine"]
