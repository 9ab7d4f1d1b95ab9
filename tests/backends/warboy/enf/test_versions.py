"""A version of the format is one layout: what changes it needs another (docs/enf.md, section 15).

Tables and enumerations may grow at their end, and new structs may come; what is known here stays.
"""

from __future__ import annotations

import hashlib

from furiosa_ir.backends.warboy.enf import head, layout
from furiosa_ir.backends.warboy.enf.commands import MODES, OPCODES
from furiosa_ir.backends.warboy.enf.records import ORDERS, POOL_KINDS, REGIONS

KNOWN = {
    "01 01 00": {
        "structs": (17, "e118c0b77e947171"),
        "fields": (
            {
                "NpuSegment": 23,
                "HostOperator": 4,
                "HostSegment": 6,
                "Segment": 2,
                "Tensor": 5,
                "Layer": 5,
                "MachineParameter": 2,
                "Option": 2,
                "Resumption": 2,
                "OutputName": 1,
                "Variable": 4,
                "Program": 15,
            },
            "9c2772644460a57b",
        ),
        "numbers": ({"opcode": 12, "mode": 9, "kind": 7}, "ca07322fe2852317"),
    }
}
"""Version -> how much of each it had first, and a digest of that."""


def digest(*lines: object) -> str:
    return hashlib.sha256("\n".join(map(str, lines)).encode()).hexdigest()[:16]


def known() -> dict[str, object]:
    return KNOWN[head.VERSION.hex(" ")]  # a new version has an entry of its own


def test_structs() -> None:
    count, expected = known()["structs"]
    structs = list(layout.STRUCTS.items())[:count]
    assert digest(*[(name, dtype.itemsize, dtype.descr) for name, dtype in structs]) == expected


def test_tables() -> None:
    counts, expected = known()["fields"]
    fields = [
        (name, f.name, f.kind, f.table, f.dtype.str)
        for name, count in counts.items()
        for f in layout.TABLES[name][:count]
    ]
    assert digest(*fields) == expected


def test_enumerations() -> None:
    counts, expected = known()["numbers"]
    names = {"opcode": OPCODES, "mode": MODES, "kind": layout.COMMAND_KINDS}
    whole = (ORDERS, REGIONS, POOL_KINDS, layout.FRAMEWORKS, layout.TEXT_STATES)
    first = [tuple(names[what][:count]) for what, count in counts.items()]
    assert (
        digest(
            *first,
            *[tuple(names[:count]) for names, count in zip(whole, (2, 2, 2, 2, 3), strict=True)],
        )
        == expected
    )
