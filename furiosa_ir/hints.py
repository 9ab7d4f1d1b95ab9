"""Why an operator stays on the host: stable numbers and sentences.

Numbers never change meaning; a new reason gets a new number. `docs/hints.md` is made from here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

_DEVICE, _ON_HOST = "the NPU", "it runs on the host"


@dataclass(frozen=True)
class Hint:
    """A reason with its number, and a way out.

    Attributes:
        number: which reason, for ever.
        operator: the operator it concerns.
        reason: what follows the operator in the sentence.
        way_out: what the user can do about it.
        device: what cannot take the operator; empty where the reason is the network's own.
        cause: what in the network makes it so ("its weight is not quantised"); empty if unknown.
    """

    number: int
    operator: str
    reason: str
    way_out: str
    device: str = ""
    cause: str = ""

    @property
    def sentence(self) -> str:
        """The reason and the way out, without the number."""
        by = f" by {self.device}" if self.device else ""
        why = f", for {self.cause}" if self.cause else ""
        return f"{self.operator} {self.reason}{by}{why}; {self.way_out}"

    def called(self, operator: str, device: str) -> Hint:
        """The same hint with the operator's name in its framework, and the device's."""
        return replace(self, operator=operator, device=self.device and device)

    def __str__(self) -> str:
        return f"Hint [{self.number}]: {self.sentence}"


def not_modelled(operator: str) -> Hint:
    """The operator has no NPU form here at all."""
    return Hint(1, operator, "cannot be accelerated", _ON_HOST, _DEVICE)


def not_quantized(operator: str, cause: str = "") -> Hint:
    """Some operand or result is of floating-point numbers."""
    return Hint(2, operator, "works on float data", "quantise the network to int8", cause=cause)


def dynamic_shape(operator: str) -> Hint:
    """A shape that only running the network tells."""
    return Hint(3, operator, "has a dynamic shape", "give it a static shape")


def form(operator: str, reason: str) -> Hint:
    """A form of the operator that the machine lacks."""
    return Hint(4, operator, f"{reason} cannot be accelerated", _ON_HOST, _DEVICE)


def boundary(operator: str) -> Hint:
    """Quantize and Dequantize between the float world and the NPU."""
    return Hint(
        5, operator, "of float data runs on the host", "exchange int8 data with the network"
    )


def result_not_quantized(operator: str) -> Hint:
    """Its operands are dequantised, its result stays of floating-point numbers."""
    way_out = "put a QuantizeLinear behind it, or leave it to the host"
    return Hint(6, operator, "takes quantised data, but its result is not quantised", way_out)


REASONS = (not_modelled, not_quantized, dynamic_shape, form, boundary, result_not_quantized)
"""What makes the hints, in the order of their numbers."""
