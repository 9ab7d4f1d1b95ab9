"""Checks of a whole program: each command by itself, and what holds between commands."""

from __future__ import annotations

from furiosa_ir.backends.warboy.enf.records import Program
from furiosa_ir.backends.warboy.enf.validation import validate_program


def check_program(program: Program) -> None:
    """Raises VerificationFailure for a program that breaks a rule of the machine."""
    validate_program(program)
