"""docs/dialects.md and docs/instructions.md: operations and instructions, as they declare them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from furiosa_ir.backends import default_backend
from furiosa_ir.tools import catalogue


def dialects_page() -> Iterator[str]:
    """Every dialect: its operations with operands, results and properties; its attributes."""
    yield "# Dialects\n"
    yield (
        "What `furiosa list dialects` and `furiosa list ops` say, in one table a dialect. `?` "
        "marks what may be left out, `*` what may be several. `operators.md` says of `graph` "
        "which operators of ONNX and TFLite become what, `ftensor.md` what each operation of "
        "integers computes; `levels.md` shows all of them at work. `builtin` and `func` are "
        "upstream MLIR's, as xDSL has them."
    )
    # Without what plug-ins of this process declare.
    known = json.loads(catalogue.text_of_all())
    for dialect in known["dialects"]:
        if dialect["module"].startswith("xdsl."):
            continue
        yield f"\n## {dialect['name']}\n\n{dialect['summary']}\n"
        if attributes := dialect["attributes"]:
            yield f"Attributes and types: {', '.join(f'`{name}`' for name in attributes)}.\n"
        operations = [record for record in known["ops"] if record["dialect"] == dialect["name"]]
        if operations:
            yield "| operation | operands | results | properties | |\n|---|---|---|---|---|"
        yield from map(_operation_row, operations)


def _operation_row(record: dict[str, Any]) -> str:
    marks = {"one": "", "optional": "?", "any": "*"}
    shapes = [
        ", ".join(f"`{name}`{marks.get(count, '')}" for name, count in record[kind].items())
        for kind in ("operands", "results")
    ]
    properties = ", ".join(
        f"`{p['name']}`{'?' if p['is_optional'] else ''}" for p in record["properties"]
    )
    cells = [f"`{record['name']}`", *shapes, properties, record["summary"]]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') or ' ' for cell in cells)} |"


def instructions_page() -> Iterator[str]:
    """The machine's vector instructions, from their declarations."""
    backend = default_backend()
    engine = import_module(f"{backend.module}.vector_engine")
    yield "# Vector instructions\n"
    yield (
        f"What {backend.title}'s vector engine does with a kernel's accumulators and tiles, as "
        "this project defines it (the vendor's encoding is not public): declared once "
        "(`adding-an-instruction.md`), and read from there by the reader, the checker, the "
        "disassembler, the simulator and this page. Numbers are for ever. Operands are "
        "registers; an operand `table` is a table of 256 entries. `x[]` are one or more "
        "immediates, `x[n]` as many as the immediate `n` says. `enf.md` has their exact arithmetic."
    )
    yield "\n| code | instruction | what it does | operands | immediates | modes | by element |"
    yield "|--:|---|---|---|---|---|---|"
    instructions = sorted(engine.INSTRUCTIONS.values(), key=lambda i: i.code)
    for each in instructions:
        modes = ", ".join(f"`{name}` {code}" for name, code in each.modes.items() if name)
        cells = [
            str(each.code),
            f"`{each.name}`",
            each.description.split("\n\n")[0].replace("\n", " "),
            ", ".join(f"`{name}`" for name in each.operands),
            ", ".join(f"`{name}`" for name in each.immediates),
            f"{each.mode}: {modes}" if each.mode else "",
            "yes" if each.elementwise else "no",
        ]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') or ' ' for cell in cells)} |"
    for each in instructions:
        if "\n\n" in each.description:
            yield f"\n## {each.name}\n\n{inspect.cleandoc(each.description)}"
