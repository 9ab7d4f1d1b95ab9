"""What may be asked for, as data: what `furiosa-opt` and `furiosa compile` take as options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

Passes = bool | frozenset[str]
"""All passes, none, or those of these names."""


@dataclass(frozen=True)
class WatchOptions:
    """What is to be seen of a compile; the options of the command lines document the fields.

    Attributes:
        before, after: dump the IR before or after these passes.
        after_change: "text" or "diff": only where the pass changed something; without `after`,
            after each pass.
        after_failure: dump what a pass, a verifier or the assembly failed on.
        tree_dir: the folder whose files take the dumps.
        by_function: each function by itself, and of what a pass changed only the changed ones.
        only: names of layers, or patterns of them: their operations alone.
        elide: dumps have no large constants.
        rewrites: "text" or "json": log each rule that fires.
        remarks: "text" or "json": what passes have to say of operations.
        remark_kinds: of these, "passed", "missed" and "analysis".
        remarks_from: of these passes; None: of all. `PASS/NAME` is one of a pass's remarks.
        timing: "tree", "list" or "json".
        statistics: "text" or "json".
        numerics: inputs to run before and after each pass (`debugging.numerics`).
    """

    before: Passes = False
    after: Passes = False
    after_change: str | None = None
    after_failure: bool = False
    tree_dir: Path | None = None
    by_function: bool = False
    only: tuple[str, ...] = ()
    elide: bool = False
    rewrites: str | None = None
    remarks: str | None = None
    remark_kinds: frozenset[str] = frozenset({"missed"})
    remarks_from: frozenset[str] | None = None
    timing: str | None = None
    statistics: str | None = None
    numerics: int | None = None

    @property
    def dumps(self) -> bool:
        """Whether IR is to be dumped."""
        asked = self.before or self.after or self.after_change or self.after_failure
        return bool(asked or self.tree_dir)

    @property
    def named_passes(self) -> frozenset[str]:
        """The passes that are asked for by name."""
        before, after = (
            frozenset[str]() if isinstance(passes, bool) else passes
            for passes in (self.before, self.after)
        )
        remarked = {name.partition("/")[0] for name in self.remarks_from or ()}
        return before | after | remarked

    @property
    def watches(self) -> bool:
        """Whether a compile has to take place: what a cache has shows nothing."""
        logs = self.rewrites or self.remarks or self.timing or self.statistics
        return bool(self.dumps or logs or self.numerics or self.only or self.remarks_from)


NOTHING = WatchOptions()
"""Nobody watches."""
