"""The words of IR text that have colours: on terminals, in notebooks, in editors."""

from __future__ import annotations

import re
from functools import cache

from furiosa_ir.ir.extensions import dialects

KINDS = ("string", "comment", "value", "symbol", "type", "attribute", "operation")
"""The groups of `token_pattern`."""

_TOKENS = (
    r'(?P<string>"(?:[^"\\\n]|\\.)*+")|(?P<comment>//[^\n]*)'
    r"|(?P<value>%[\w$.-]+)|(?P<symbol>@[\w$.-]+)"
    r"|(?P<type>![\w$.]+|\btensor(?=<)|(?<=[x<])\w*[fiu]\d+(?=>))"
    r"|(?P<attribute>#[\w$.]+)"
    r"|(?P<operation>\b(?:DIALECTS)\.\w+|\bloc\b)"
)


def token_pattern() -> re.Pattern[str]:
    """Matches a word that has a colour; the group that it is in says which (`KINDS`)."""
    return _pattern(tuple(dialects()))


@cache
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(_TOKENS.replace("DIALECTS", "|".join(map(re.escape, names))))
