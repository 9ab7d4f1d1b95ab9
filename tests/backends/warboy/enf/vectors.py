"""Writes docs/enf-vectors (docs/enf.md): `python -m tests.backends.warboy.enf.vectors`."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from furiosa_ir.backends.warboy.enf.commands import INSTRUCTION, PARAMETER, SRAM_TILE, kind_of
from furiosa_ir.backends.warboy.enf.disassembler import disassemble
from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.backends.warboy.enf.structs import Struct
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.program import HostSegment, Program
from furiosa_ir.runtime import Session
from tests.backends.warboy.enf.vector_programs import (
    engines,
    instructions,
    memory,
    whole,
)
from tests.backends.warboy.enf.vector_programs.declaration import MAKERS, TestVector

MODULES = (memory, instructions, engines, whole)
"""Each declares its vectors."""
FOLDER = Path(__file__).parents[4] / "docs" / "enf-vectors"
_ERRORS = {
    "a divisor is not positive": "E1",
    "a rescale's shift is not within 0 and 62": "E2",
    "a rescale's multiplier has more than 32 bits": "E3",
}
"""What a failed run says -> its name in the page."""


def files_of(vector: TestVector) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Name -> content of a vector's files, and its entry in the manifest."""
    data = write_program(vector.program)
    arrays: dict[str, np.ndarray] = {}
    runs: list[dict[str, str]] = []
    program = read_program(data)
    with Session(program) as session:
        for number, run in enumerate(vector.runs):
            arrays |= {f"run{number}_input{j}": x for j, x in enumerate(run)}
            try:
                outputs = session.run(list(run)).numpy()
            except ExecutionFailure as failure:
                runs.append({"error": _ERRORS[failure.message]})
                continue
            runs.append({})
            arrays |= {f"run{number}_output{j}": x for j, x in enumerate(outputs)}
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # pyright: ignore[reportArgumentType]
    return {
        f"{vector.name}.enf": data,
        f"{vector.name}.txt": ("\n".join(disassemble(program)) + "\n").encode(),
        f"{vector.name}.lst": ("\n".join(listing(program)) + "\n").encode(),
        f"{vector.name}.npz": packed.getvalue(),
    }, {"name": vector.name, "what": vector.what, "runs": runs}


def listing(program: Program) -> Iterator[str]:
    """The lines of section 14, from records."""
    for segment in program.segments:
        if isinstance(segment, HostSegment):
            names = ("operator", "layer", "hint", "reason")
            for number, row in enumerate(segment.operators):
                text = " ".join(f"{n}={v}" for n, v in zip(names, row, strict=True))
                yield f"{segment.name} {number} ({text})"
        elif isinstance(segment, NpuSegment):
            for number, command in enumerate(segment.commands):
                kind = kind_of(command)
                waits = _text(command.waits)
                text = _struct(command, kind.struct)
                yield (
                    f"{segment.name} {number} ({text} name={kind.name} layer={command.layer} "
                    f"waits={waits})"
                )


_LISTS = {"operands": SRAM_TILE, "parameters": PARAMETER, "instructions": INSTRUCTION}


def _struct(record: Any, struct: Struct) -> str:
    names = struct.dtype.names or ()
    return " ".join(f"{name}={_field(record, name, struct.dtype[name])}" for name in names)


def _field(record: Any, name: str, dtype: np.dtype[Any]) -> str:
    if name.startswith("has_"):
        return str(int(getattr(record, name.removeprefix("has_")) is not None))
    if name == "rank":
        return str(len(getattr(record, "shape", None) or record.extent))
    value = getattr(record, "program" if name == "instructions" else name)
    if value is None:  # no weight, no bias
        return f"({' '.join(f'{field}=0' for field in dtype.names or ())})"
    if name == "mode":
        return value or "none"
    return _text(value)


def _text(value: Any) -> str:
    if is_dataclass(value):
        struct = _STRUCTS.get(type(value).__name__)
        if struct is not None:
            return f"({_struct(value, struct)})"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{' '.join(map(_text, value))}]"
    return str(int(value)) if isinstance(value, bool) else str(value)


def _structs() -> Iterator[tuple[str, Struct]]:
    from furiosa_ir.backends.warboy.enf import commands

    for struct in vars(commands).values():
        if isinstance(struct, Struct):
            yield struct.record.__name__, struct


_STRUCTS = dict(_structs())


def all_files() -> dict[str, bytes]:
    """Name -> content of everything in the folder."""
    files: dict[str, bytes] = {}
    manifest: list[dict[str, Any]] = []
    for make in MAKERS.values():
        content, entry = files_of(make())
        files |= content
        manifest.append(entry)
    rows = ",\n".join(json.dumps(entry) for entry in manifest)
    return files | {"manifest.json": f"[\n{rows}\n]\n".encode()}


def main() -> None:
    files = all_files()
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.iterdir():
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        (FOLDER / name).write_bytes(content)
    print(f"{len(MAKERS)} vectors, {sum(map(len, files.values()))} bytes")


if __name__ == "__main__":
    main()
