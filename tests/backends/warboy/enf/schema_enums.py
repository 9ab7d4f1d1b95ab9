"""The enumerations of `enf.fbs`, from the tables that they follow: `python -m` this writes them.

`make schema` does, before flatc makes `schema/enf_generated.py` of the file.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from furiosa_ir.backends.warboy.enf import commands, layout, records

SCHEMA = Path(layout.__file__).with_name("enf.fbs")

ENUMS: dict[str, Sequence[str]] = {
    "Order": records.ORDERS,
    "Region": records.REGIONS,
    "PoolKind": records.POOL_KINDS,
    "Framework": layout.FRAMEWORKS,
    "Opcode": commands.OPCODES,
    "Mode": commands.MODES,
    "TextState": layout.TEXT_STATES,
    "CommandKind": layout.COMMAND_KINDS,
}
"""Name in the schema -> names of its values, whose places are their numbers."""

_RENAMED = {"": "none", "double": "double_"}
"""What FlatBuffers has another meaning for."""


def value_name(name: str) -> str:
    """What a value is called in the schema."""
    return _RENAMED.get(name, name)


def written(text: str) -> str:
    """A schema's text with the enumerations as they are now."""
    for name, values in ENUMS.items():
        inside = ", ".join(f"{value_name(v)}~=~{i}" for i, v in enumerate(values))
        line = f"enum {name} : ubyte {{ {inside} }}"
        if len(line) > 100:
            lines = textwrap.wrap(inside, 98, initial_indent="  ", subsequent_indent="  ")
            line = "\n".join([f"enum {name} : ubyte {{", *lines, "}"])
        line = line.replace("~", " ")
        text = re.sub(rf"enum {name} : ubyte \{{.*?\}}", line, text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    SCHEMA.write_text(written(SCHEMA.read_text(encoding="utf-8")), encoding="utf-8")
