"""Programs for upstream's tools: the text of all device segments, the parameters beside it."""

from __future__ import annotations

from pathlib import Path

from furiosa_ir.backends.mlir.segment import MlirSegment, module_of
from furiosa_ir.errors import readable
from furiosa_ir.files import write_whole
from furiosa_ir.ir.constant_file import constants_of, write_constants
from furiosa_ir.ir.constants import ConstantTable
from furiosa_ir.ir.text_format import constants_path
from furiosa_ir.program import HostSegment, Program


def write_text(program: Program, path: Path) -> None:
    """Writes one module to a file, and what its globals hold to the safetensors file beside it.

    In front stands, as a comment, what the functions are given and in which order they run; what
    runs on the host in between is named there, and nowhere else.

    Raises:
        OSError: a file cannot be written.
    """
    segments = [s for s in program.segments if isinstance(s, MlirSegment)]
    # Where constants stand in the text, there is nothing beside it.
    if any(segment.parameters for segment in segments):
        table = ConstantTable()
        for segment in segments:
            constants_of(memoryview(segment.parameters), table)
        write_constants(table, constants_path(path))
    text = "".join([*(f"// {line}\n" for line in _order(program)), module_of(segments)])
    write_whole(text.encode(), path)


def _order(program: Program) -> list[str]:
    """What runs when, and on what."""
    names = [tensor.name for tensor in program.tensors]
    lines = [f"{program.compiler}: {program.source_framework} {program.source_hash}"]
    for segment in program.segments:
        operators = ""
        if isinstance(segment, HostSegment):
            operators = f": {', '.join(dict.fromkeys(row[0] for row in segment.operators))}"
        given, made = ([names[t] for t in side] for side in (segment.reads, segment.makes))
        lines.append(f"@{segment.name}({', '.join(given)}) -> ({', '.join(made)}){operators}")
    return [readable(line) for line in lines]
