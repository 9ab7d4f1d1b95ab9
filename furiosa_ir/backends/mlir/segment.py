"""What a device segment of this backend is: a module of upstream's dialects, and its parameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from furiosa_ir.program import DeviceSegment


@dataclass(frozen=True, slots=True)
class MlirSegment(DeviceSegment):
    """A public function of the segment's name, over dense tensors.

    The address of an input or output is its number among the function's arguments or results.

    Attributes:
        globals_: the lines of text that declare the module's globals, one each.
        function: the text of the function.
        parameters: a safetensors file of the globals' elements, by their digests.
    """

    globals_: tuple[str, ...]
    function: str
    parameters: memoryview | bytes

    @property
    def text(self) -> str:
        """The whole module, which upstream's tools take as it is."""
        return module_of([self])


def module_of(segments: list[MlirSegment]) -> str:
    """The text of one module with the functions of several segments."""
    declared = [line for segment in segments for line in segment.globals_]
    return text_of(declared, [segment.function for segment in segments])


def text_of(globals_: Iterable[str], functions: Iterable[str]) -> str:
    """The text of a module from those of its globals, some of which may be the same, and others."""
    return "\n".join(["module {", *dict.fromkeys(globals_), *functions, "}", ""])
