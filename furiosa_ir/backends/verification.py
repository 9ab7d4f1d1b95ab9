"""What `furiosa compile --verify` asks a backend: how to look into its device segments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from furiosa_ir.comparison import Coverage
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import DeviceSegment, Program


class SegmentCheck(Protocol):
    """Compares a device segment of a program with the operations that it was made of."""

    def run(
        self, inputs: Mapping[int, Array], values: Mapping[SSAValue, Array], coverage: Coverage
    ) -> Mapping[int, Array]:
        """Runs the segment on one input; its outputs by tensor index.

        Args:
            inputs: by tensor index.
            values: every value of the segment's function on the same inputs, by the interpreter.
            coverage: is added to.

        Raises:
            Disagreement: what is made on the way is another than the function's.
        """
        ...


@dataclass(frozen=True)
class Verification:
    """How `furiosa compile --verify` looks into the device segments of a backend's programs.

    Attributes:
        commands_by: the pass that makes commands, which the interpreter gives no meaning, of the
            operations in front of it.
        has_commands: whether a module is commands already, as text may be.
        segment_checks: from a program to what compares one of its device segments, given its index
            and its function in front of `commands_by`.
        check_same_segment: compares a program's segment with the one of a source that was commands
            already: (program, segment, the source's segment, coverage). Raises Disagreement.
    """

    commands_by: str
    has_commands: Callable[[ModuleOp], bool]
    segment_checks: Callable[[Program], Callable[[int, FuncOp], SegmentCheck]]
    check_same_segment: Callable[[Program, DeviceSegment, DeviceSegment, Coverage], None]
