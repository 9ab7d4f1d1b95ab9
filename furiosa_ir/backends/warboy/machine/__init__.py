"""The machine as pure data: its parameters, and what each command costs on it."""

from furiosa_ir.backends.warboy.machine.cost import Cost, command_cost
from furiosa_ir.backends.warboy.machine.description import TARGETS, Machine, load_machine

__all__ = ["TARGETS", "Cost", "Machine", "command_cost", "load_machine"]
