"""The machine as pure data: its parameters."""

from furiosa_ir.backends.warboy.machine.description import TARGETS, Machine, load_machine

__all__ = ["TARGETS", "Machine", "load_machine"]
