"""What a module has been through: the passes that ran, and where it was read from text.

`furiosa.history` is an attribute of the module, so text carries it too:

    builtin.module attributes {furiosa.history = ["graph-fold-quantization", "<edited text>",
      "graph-partition"]} {
      ...
    }
    // furiosa.digest: 0f6c5f3d2b1a4e88

An imported network begins with an empty one; `ir.pipeline.run_pass` adds each pass as a pipeline
text has it; whoever goes on from text adds a mark (`resume`). A phase that ends without some of its
own passes, because somebody has taken them out, adds a mark for each (`<without fuse-kernels>`).

The last line of a text is a digest of what stands before it, by which an edited text is told from
one as it was written. Blanks and comments do not count. It is no protection: who edits a text can
write the line anew.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr
from xdsl.ir import Attribute

from furiosa_ir.errors import CompilationFailure

HISTORY = "furiosa.history"
"""The module attribute: pass specifications and marks, in order."""

NOTHING_RAN: ArrayAttr[StringAttr] = ArrayAttr([])
"""The history of a network that has just been imported."""

UNEDITED, EDITED, FOREIGN = "unedited", "edited", "foreign"
"""Text as it was written here; changed since; written by hand or by another tool."""

_MARKS = {"<text>": UNEDITED, "<edited text>": EDITED, "<foreign text>": FOREIGN}
_MARK_OF = {state: mark for mark, state in _MARKS.items()}

_WITHOUT = r"<without ([\w.-]++)>"

_DIGEST = r"(?m)^// furiosa\.digest: ([0-9a-f]{16})[ \t\r]*$"

# Strings keep their blanks; the possessive quantifiers make hostile text linear.
_INSIGNIFICANT = r'("(?:[^"\\\n]++|\\.)*+")|(?://[^\n]*+|\s++)++'


@dataclass(frozen=True, slots=True)
class Resumption:
    """A place where a module was read from text.

    Attributes:
        passes: how many passes had run before.
        text: `UNEDITED`, `EDITED` or `FOREIGN`.
    """

    passes: int
    text: str


@dataclass(frozen=True)
class History:
    """What a module has been through.

    Attributes:
        passes: each pass that ran, as a pipeline text has it, in order.
        resumed: where the module was read from text.
        left_out: the names of passes that phases ended without, because somebody wanted it so.
    """

    passes: tuple[str, ...] = ()
    resumed: tuple[Resumption, ...] = ()
    left_out: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """The names of the passes that ran."""
        return frozenset(spec.partition("{")[0] for spec in self.passes)


def history_of(module: ModuleOp) -> History:
    """The module's history; an empty one if it has none.

    Raises:
        CompilationFailure: its attribute is not a history.
    """
    passes: list[str] = []
    resumed: list[Resumption] = []
    left_out: set[str] = set()
    for entry in _entries(module):
        if entry in _MARKS:
            resumed.append(Resumption(len(passes), _MARKS[entry]))
        elif mark := re.fullmatch(_WITHOUT, entry):
            left_out.add(mark[1])
        else:
            passes.append(entry)
    return History(tuple(passes), tuple(resumed), frozenset(left_out))


def record_pass(module: ModuleOp, spec: str) -> None:
    """Notes that a pass has run."""
    _write(module, (*_entries(module), spec))


def record_left_out(module: ModuleOp, names: Iterable[str]) -> None:
    """Notes passes that a phase has ended without, but for those that ran elsewhere."""
    history = history_of(module) if names else None
    if history is not None:
        without = [name for name in names if name not in history.names | history.left_out]
        if without:
            _write(module, (*_entries(module), *(f"<without {name}>" for name in without)))


def resume(module: ModuleOp, text: str, *, always: bool = True) -> None:
    """Notes that the module was read from this text, and whether that had been edited.

    Args:
        module: what the text says.
        text: all of it.
        always: whether to note unedited text, and that of others, too: not if nothing will run.
    """
    state = _state(module, text)
    if not always and state != EDITED:
        return
    entries = _entries(module)
    if entries and entries[-1] in _MARKS:
        # Nothing ran in between: once edited, it stays so.
        state = max(_MARKS[entries[-1]], state, key=(UNEDITED, EDITED, FOREIGN).index)
        entries = entries[:-1]
    _write(module, (*entries, _MARK_OF[state]))


def with_digest(module: ModuleOp, text: str) -> str:
    """The text of a module with the line that tells later whether it was edited.

    Modules without a history come from elsewhere and print without.
    """
    if HISTORY not in module.attributes:
        return text
    return f"{text}\n// furiosa.digest: {_digest(text)}"


def _state(module: ModuleOp, text: str) -> str:
    if HISTORY not in module.attributes:
        return FOREIGN
    written = re.findall(_DIGEST, text)
    return UNEDITED if written and written[-1] == _digest(text) else EDITED


def _digest(text: str) -> str:
    significant = re.sub(_INSIGNIFICANT, lambda m: m[1] or " ", text.removeprefix("\ufeff"))
    return hashlib.sha256(significant.strip().encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _entries(module: ModuleOp) -> tuple[str, ...]:
    attribute = module.attributes.get(HISTORY)
    if attribute is None:
        return ()
    if isinstance(attribute, ArrayAttr):
        entries = cast("ArrayAttr[Attribute]", attribute).data
        texts = [entry.data for entry in entries if isinstance(entry, StringAttr)]
        if len(texts) == len(entries):
            return tuple(texts)
    raise CompilationFailure(f"the module's '{HISTORY}' is not a list of texts")


def _write(module: ModuleOp, entries: Iterable[str]) -> None:
    module.attributes[HISTORY] = ArrayAttr([_entry(text) for text in entries])


@lru_cache(maxsize=1 << 8)
def _entry(text: str) -> StringAttr:
    """One for all times that a list which has it is written: after each pass."""
    return StringAttr(text)
