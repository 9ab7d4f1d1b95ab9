"""What `furiosa doctor` says of one thing: what there is, and what is missing or broken of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["ok", "absent", "broken"]
"""`absent`: one may do without, and `advice` says what for; `broken`: something needs it."""


@dataclass(frozen=True)
class Finding:
    """A line of the report.

    Attributes:
        name: of what it is about.
        value: what there is, in a few words.
        state: whether that will do.
        advice: what is done about it, or what it costs; empty where nothing is to be said.
    """

    name: str
    value: str
    state: State = "ok"
    advice: str = ""
