"""Why an operator stays on the host: stable numbers and sentences.

Numbers never change meaning; a new reason gets a new number.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hint:
    """A reason with its number, and a way out."""

    number: int
    reason: str
    way_out: str = ""

    def __str__(self) -> str:
        text = f"Hint [{self.number}]: {self.reason}"
        return f"{text}; {self.way_out}" if self.way_out else text


def not_modelled(operator: str) -> Hint:
    """The operator has no NPU form here at all."""
    return Hint(1, f"{operator} cannot be accelerated by Warboy", "it runs on the host")


def not_quantized(operator: str) -> Hint:
    """Some operand or result is not 8-bit quantised."""
    return Hint(2, f"{operator} works on float data", "quantise the network to int8")


def dynamic_shape(operator: str) -> Hint:
    """A shape that only running the network tells."""
    return Hint(3, f"{operator} has a dynamic shape", "give it a static shape")


def form(operator: str, reason: str) -> Hint:
    """A form of the operator that the machine lacks."""
    return Hint(4, f"{operator} {reason} cannot be accelerated by Warboy")


def boundary(operator: str) -> Hint:
    """Quantize and Dequantize between the float world and the NPU."""
    return Hint(5, f"{operator} of float data runs on the host", "feed int8 data")
