"""What a program's file says of itself before all of it is read: what a hit in the cache looks at.

Apart from the other records of a program, which take longer to import than a hit has time for.
"""

from __future__ import annotations

from typing import NamedTuple


class Head(NamedTuple):
    """The beginning of a program's file.

    Attributes:
        target: what it was compiled for.
        source_hash: SHA-256 of the model that it was made from, as hexadecimal digits.
    """

    target: str
    source_hash: str
