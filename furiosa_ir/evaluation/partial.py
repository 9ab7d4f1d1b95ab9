"""What an evaluation has done so far, in a JSON file that the next one goes on from."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from furiosa_ir.errors import FuriosaError
from furiosa_ir.files import check_writable, write_whole
from furiosa_ir.input_files import open_input
from furiosa_ir.limits import limit, way_out

FORMAT = 1
_SECONDS = 5.0
"""Between two times that the file is written, at least."""
_SHARE = 20
"""The file takes no more than one of so many seconds."""


@dataclass
class Partial:
    """Results of samples, and the file that keeps them.

    Attributes:
        file: it; None: they are kept nowhere.
        identity: of the evaluation: what the results depend on, by name.
        values: of the samples that are done.
    """

    file: Path | None
    identity: Mapping[str, str]
    values: dict[int, Any] = field(default_factory=dict[int, Any])
    _next: float = field(default_factory=lambda: time.monotonic() + _SECONDS)
    _kept: int = 0

    def add(self, index: int, value: Any) -> None:
        """A sample is done; writes the file now and then.

        Raises:
            FuriosaError: it cannot be written.
        """
        self.values[index] = value
        if time.monotonic() >= self._next:
            self.save()

    def save(self) -> None:
        """Writes what the file does not have yet, whole or not at all.

        Raises:
            FuriosaError: it cannot be written.
        """
        if self.file is None or len(self.values) == self._kept:
            return
        began = time.monotonic()
        content = {
            "format": FORMAT,
            "what": "results of a `furiosa evaluate` that is not done; run it again to go on",
            "evaluation": dict(self.identity),
            "values": {str(index): value for index, value in self.values.items()},
        }
        write_whole(json.dumps(content, separators=(",", ":")).encode(), self.file)
        self._kept = len(self.values)
        now = time.monotonic()
        self._next = now + max(_SECONDS, _SHARE * (now - began))

    def finish(self, samples: int) -> None:
        """All is done: takes the file away, unless other samples than these are in it.

        Args:
            samples: how many there were to do.
        """
        if len(self.values) > samples:
            self.save()
        elif self.file is not None:
            self.file.unlink(missing_ok=True)


def short_identity(identity: Mapping[str, str]) -> str:
    """Eight digits that tell an evaluation from others, for the name of its file."""
    text = json.dumps(dict(identity), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def open_partial(
    file: Path | None,
    identity: Mapping[str, str],
    count: int,
    is_sound: Callable[[Any], bool],
    *,
    anew: bool,
) -> Partial:
    """What is in the file, if there is one.

    Args:
        file: it.
        identity: of the evaluation that is to go on.
        count: how many samples there are.
        is_sound: whether something can be the result of a sample.
        anew: begin from the beginning, whatever is in it.

    Raises:
        FuriosaError: it cannot be read or written, is damaged, or is another evaluation's.
    """
    if file is None:
        return Partial(None, identity)
    check_writable(file)
    if anew or not file.exists():
        return Partial(file, identity)
    try:
        with open_input(file) as stream:
            text = stream.read(limit("TEXT_BYTES") + 1)
        if len(text) > limit("TEXT_BYTES"):
            raise FuriosaError("is too long", file=str(file), hint=way_out("TEXT_BYTES"))
        content = json.loads(text, parse_constant=_refused)
    except OSError as error:
        raise FuriosaError(f"cannot be read: {error.strerror}", file=str(file)) from None
    except (ValueError, RecursionError):
        raise _unsound(file) from None
    if not isinstance(content, dict) or "evaluation" not in content:
        raise _unsound(file)
    fields = cast("dict[str, Any]", content)
    if fields.get("format") != FORMAT or fields["evaluation"] != dict(identity):
        other = fields["evaluation"]
        names = [n for n in identity if not isinstance(other, dict) or other.get(n) != identity[n]]
        raise FuriosaError(
            f"it holds the results of another evaluation ({_listed(names)})",
            file=str(file),
            hint="--restart begins anew, and replaces it; --partial names another file",
        )
    values = fields.get("values")
    if not isinstance(values, dict):
        raise _unsound(file)
    kept: dict[int, Any] = {}
    for name, value in cast("dict[str, Any]", values).items():
        is_index = name.isascii() and name.isdigit() and len(name) < 19 and int(name) < count
        if not is_index or not is_sound(value):
            raise _unsound(file)
        kept[int(name)] = value
    return Partial(file, identity, kept, _kept=len(kept))


def _refused(constant: str) -> float:
    raise ValueError(constant)  # NaN and infinities, which JSON has not


def _listed(names: list[str]) -> str:
    return f"its {' and '.join(names[:3])} differ{'s' * (len(names) == 1)}" if names else "its form"


def _unsound(file: Path) -> FuriosaError:
    return FuriosaError(
        "is no file of results of an evaluation",
        file=str(file),
        hint="--restart replaces it, --partial names another one",
    )
