"""What a store of compiled programs does; a directory and Redis are the two there are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from furiosa_ir.cache.entry import Entry, Metadata, Payload

KEY = "[0-9a-f]{64}"
"""What a key looks like. Under another name lies no entry: it is neither listed nor printed."""
LONGEST_WAIT = 900.0
"""Seconds to wait for another process that compiles the same; then both do."""


class StoreFailure(Exception):
    """A store that cannot be used as wished; the message is a clause that says why."""


@dataclass(frozen=True)
class StoredEntry:
    """A line of `furiosa cache list`.

    Attributes:
        key: 64 hexadecimal digits.
        size: bytes that it takes.
        created: seconds since 1970.
        used: when it was last read or written, likewise.
    """

    key: str
    size: int
    created: float
    used: float


@dataclass(frozen=True)
class Pruned:
    """What `Store.prune` threw away.

    Attributes:
        expired: keys of entries past their lifetime.
        evicted: keys of entries that the greatest size left no room for, least recently used first.
        orphans: names of what killed processes left behind.
        freed: bytes.
    """

    expired: list[str] = field(default_factory=list[str])
    evicted: list[str] = field(default_factory=list[str])
    orphans: list[str] = field(default_factory=list[str])
    freed: int = 0


class Store(Protocol):
    """Compiled programs by key. Any process may use a store at any time."""

    def get(self, key: str, lifetime: int, file: Path | None = None) -> Entry | None:
        """The entry of a key; None if there is none that is sound and valid.

        What is damaged or expired is thrown away, with a warning if it is damaged.

        Args:
            key: 64 hexadecimal digits.
            lifetime: seconds that it is valid for; less than 0: for ever.
            file: where the program may be copied to, whatever becomes of it; else it comes in
                memory.

        Raises:
            StoreFailure: the store cannot be read, or something damaged not be thrown away.
        """
        ...

    def put(self, key: str, metadata: Metadata, program: Payload, lifetime: int) -> None:
        """Stores an entry, whole or not at all, in place of an older one.

        Raises:
            StoreFailure: the store cannot be written.
        """
        ...

    def compiling(self, key: str, lifetime: int) -> AbstractContextManager[bool]:
        """Held while a key is compiled: one process at a time.

        Entered at once, or after another process's compile: then the value is true, and its entry
        is worth a look. If it stored none, all who have waited for it enter at once. Of those who
        wait for a process that dies, one enters. Never fails: a store without locks lets everybody
        compile.
        """
        ...

    def entries(self) -> Iterator[StoredEntry]:
        """Every entry, sound or not.

        Raises:
            StoreFailure: the store cannot be read.
        """
        ...

    def damage(self, key: str, file: Path | None = None) -> str | None:
        """What is wrong with an entry; None if it is sound.

        Args:
            key: 64 hexadecimal digits.
            file: where its program is copied to, if it is there and sound.

        Raises:
            StoreFailure: the store cannot be read.
        """
        ...

    def delete(self, key: str) -> None:
        """Throws an entry away, if it is there.

        Raises:
            StoreFailure: the store cannot be written.
        """
        ...

    def prune(self, lifetime: int, max_size: int | None = None) -> Pruned:
        """Throws away what is expired, what killed processes left, and what is too much.

        Args:
            lifetime: seconds; less than 1: nothing is expired.
            max_size: bytes that may stay; the least recently used entries go first.

        Raises:
            StoreFailure: the store cannot be written.
        """
        ...

    def clear(self) -> Pruned:
        """Throws everything away, also what killed processes left.

        Raises:
            StoreFailure: the store cannot be written.
        """
        ...

    def close(self) -> None:
        """Gives connections back."""
        ...


def is_valid(created: float, lifetime: int) -> bool:
    """Whether an entry of that age may be used.

    A clock may have been wrong: an entry from the future is valid no longer than one from the past.

    Args:
        created: seconds since 1970.
        lifetime: seconds; 0: nothing is valid; less: everything.
    """
    return lifetime < 0 or abs(time.time() - created) < lifetime


def superfluous(
    entries: list[StoredEntry], lifetime: int, max_size: int | None
) -> tuple[list[StoredEntry], list[StoredEntry]]:
    """What `Store.prune` throws away: (expired, then least recently used) entries."""
    expired = [e for e in entries if lifetime > 0 and not is_valid(e.created, lifetime)]
    gone = {e.key for e in expired}
    kept = [e for e in entries if e.key not in gone]
    return expired, [] if max_size is None else least_recently_used(kept, max_size)


def pruned(
    expired: list[StoredEntry], evicted: list[StoredEntry], orphans: list[tuple[str, int]]
) -> Pruned:
    """The account of what was thrown away; of orphans, (name, bytes)."""
    return Pruned(
        [e.key for e in expired],
        [e.key for e in evicted],
        [name for name, _ in orphans],
        sum(e.size for e in (*expired, *evicted)) + sum(size for _, size in orphans),
    )


def least_recently_used(entries: list[StoredEntry], max_size: int) -> list[StoredEntry]:
    """Which entries have to go for the rest to fit into so many bytes."""
    excess = sum(e.size for e in entries) - max_size
    victims: list[StoredEntry] = []
    for entry in sorted(entries, key=lambda e: (e.used, e.key)):
        if excess <= 0:
            break
        victims.append(entry)
        excess -= entry.size
    return victims
