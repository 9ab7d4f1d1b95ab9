"""What the machine's segments consist of. Its registers hold whole tensors of integers."""

from dataclasses import dataclass

from furiosa_ir.errors import FormatFailure
from furiosa_ir.program import DeviceSegment

CLOCK_HZ = 1_000_000
INSTRUCTIONS = ("add", "clamp", "conv", "matmul", "rescale", "reshape")  # those of `ftensor`


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction, whose result is the next register, for a layer of the program."""

    instruction: str
    operands: tuple[int, ...]
    immediates: dict[str, object]
    dtype: str
    shape: tuple[int, ...]
    layer: int
    macs: int


@dataclass(frozen=True, slots=True)
class ToySegment(DeviceSegment):
    """Registers hold the inputs, then the constants (nested), then what each step makes."""

    constants: tuple[object, ...]
    steps: tuple[Step, ...]


def check_segment(segment: ToySegment) -> None:
    """Refuses steps of other instructions or with registers to come; raises FormatFailure."""
    held = len(segment.inputs) + len(segment.constants)
    for number, step in enumerate(segment.steps, held):
        if step.instruction not in INSTRUCTIONS or not all(0 <= o < number for o in step.operands):
            raise FormatFailure(f"in {segment.name}, '{step.instruction}' is no step")
