"""Where a process's time goes, and how much memory it takes there: what `--timing` reports.

Stages name themselves (`spans`); rules are heard of through `RuleTiming`. Spans of one name within
one span are one line with a count. What the import of modules takes is a line wherever it happens.
"""

from __future__ import annotations

import builtins
import gc
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import get_ident
from typing import Any

from furiosa_ir.spans import recording_spans

IMPORTS = "imports"
COLLECTOR = "garbage collection"
REST = "rest"

_SHORT = 0.001
"""Seconds below which the collector has no line of its own in the tree."""


@dataclass
class Span:
    """What took place under one name within one span.

    Attributes:
        name: of a stage, a pass, a rule ("rule fold").
        seconds: wall time, inner spans included.
        count: how often.
        peak_bytes: the most resident memory of the process meanwhile; 0 where nobody looked.
        children: inner spans, in the order of their first beginning.
    """

    name: str
    seconds: float = 0.0
    count: int = 0
    peak_bytes: int = 0
    children: dict[str, Span] = field(default_factory=dict[str, "Span"])

    @property
    def rest(self) -> float:
        """Seconds that no inner span accounts for."""
        return max(0.0, self.seconds - sum(c.seconds for c in self.children.values()))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        entry: dict[str, Any] = {"name": self.name, "seconds": round(self.seconds, 6)}
        entry["count"] = self.count
        if self.peak_bytes:
            entry["peak_bytes"] = self.peak_bytes
        if self.children:
            entry["rest_seconds"] = round(self.rest, 6)
            entry["spans"] = [child.as_dict() for child in self.children.values()]
        return entry


class Timing:
    """Records spans (`spans.SpanRecorder`).

    Of the thread that made it, alone.

    Attributes:
        root: everything; its seconds are known once the recording has ended.
    """

    def __init__(self) -> None:
        self.root = Span("total")
        self._open: list[tuple[Span, float, bool]] = []
        self._memory = _Memory()
        self._thread = get_ident()

    @contextmanager
    def recording(self, began: float | None = None) -> Generator[Timing]:
        """What takes place within it is recorded.

        Args:
            began: when this process's main program began, as `time.perf_counter`, if it does
                nothing else than what is recorded: what lies before counts, too.
        """
        now = time.perf_counter()
        if began is not None:
            self._add("start of Python", max(0.0, _seconds_of_process() - (now - began)))
            self._add("command line", now - began)
        before = sum(c.seconds for c in self.root.children.values())
        self._open = [(self.root, now - before, True)]
        try:
            with recording_spans(self), _hooked_imports(self), _watched_collector(self):
                yield self
        finally:
            self.end(0)

    def _add(self, name: str, seconds: float) -> None:
        self.root.children[name] = Span(name, seconds, 1, self._memory.peak())

    def begin(self, name: str, *, memory: bool = True) -> int:
        """A span begins; of rules, which are many, nobody looks at the memory."""
        if memory:
            self._note_peak()
        parent = self._open[-1][0]
        node = parent.children.get(name)
        if node is None:
            node = parent.children[name] = Span(name)
        self._open.append((node, time.perf_counter(), memory))
        return len(self._open) - 1

    def end(self, mark: int) -> None:
        """The span of that mark ends, and what is open within it."""
        now = time.perf_counter()
        if any(memory for _, _, memory in self._open[mark:]):
            self._note_peak()
        while len(self._open) > mark:
            node, began, _ = self._open.pop()
            node.seconds += now - began
            node.count += 1

    @property
    def is_here(self) -> bool:
        """Whether this is the thread that is recorded."""
        return get_ident() == self._thread

    @property
    def current(self) -> str:
        """The name of the span that is open."""
        return self._open[-1][0].name

    def _note_peak(self) -> None:
        peak = self._memory.peak()
        for node, _, memory in self._open:
            if memory:
                node.peak_bytes = max(node.peak_bytes, peak)

    def lines(self) -> Iterator[str]:
        """The tree as text."""
        yield _HEADING
        yield from _tree(self.root, self.root.seconds, 0)
        yield _line(self.root.seconds, self.root.seconds, self.root.peak_bytes, "total")

    def flat_lines(self) -> Iterator[str]:
        """Names with their own time, inner spans' left out, the longest first."""
        yield _HEADING
        own: dict[str, Span] = {}
        _collect(self.root, own)
        own[REST] = Span(REST, self.root.rest, 1)
        for node in sorted(own.values(), key=lambda s: -s.seconds):
            yield _line(node.seconds, self.root.seconds, node.peak_bytes, _label(node))
        yield _line(self.root.seconds, self.root.seconds, self.root.peak_bytes, "total")

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the tree, and the share of the time that has a name."""
        total = self.root.seconds
        share = 1.0 - self.root.rest / total if total else 1.0
        return {"accounted": round(share, 4), **self.root.as_dict()}


_HEADING = f"{'time':>9} {'share':>8} {'memory':>9}  where"


def _tree(node: Span, total: float, depth: int) -> Iterator[str]:
    shown = [c for c in node.children.values() if c.name != COLLECTOR or c.seconds >= _SHORT]
    for child in shown:
        label = f"{'  ' * depth}{_label(child)}"
        yield _line(child.seconds, total, child.peak_bytes, label)
        yield from _tree(child, total, depth + 1)
    if shown and node.rest >= 0.00005:
        yield _line(node.rest, total, 0, f"{'  ' * depth}{REST}")


def _label(node: Span) -> str:
    return node.name if node.count == 1 else f"{node.name} ({node.count})"


def _line(seconds: float, total: float, peak: int, label: str) -> str:
    memory = f"{peak / 1e6:6.0f} MB" if peak else ""
    return f"{seconds:7.4f} s {seconds / total if total else 0.0:8.1%} {memory:>9}  {label}"


def _collect(node: Span, own: dict[str, Span]) -> None:
    """Adds up what is inside of a span by name, without what is further inside."""
    for child in node.children.values():
        entry = own.setdefault(child.name, Span(child.name))
        entry.seconds += child.rest
        entry.count += child.count
        entry.peak_bytes = max(entry.peak_bytes, child.peak_bytes)
        _collect(child, own)


class _Memory:
    """The peak of the resident memory since it was last asked for, where the system can forget it.

    Linux can (`/proc/self/clear_refs`, proc(5)); elsewhere it is that of the whole process so far.
    """

    _UNIT = 1 if sys.platform == "darwin" else 1024

    def peak(self) -> int:
        """In bytes."""
        try:
            with open("/proc/self/status", "rb") as status:  # noqa: PTH123  # read time and again
                found = status.read().partition(b"VmHWM:")[2].split(None, 1)[0]
            with open("/proc/self/clear_refs", "wb", buffering=0) as forget:  # noqa: PTH123
                forget.write(b"5")
            return int(found) * 1024
        except (OSError, IndexError, ValueError):
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * self._UNIT


def _seconds_of_process() -> float:
    """How long ago this process began; 0 where the system does not tell."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks = int(fields[19]) + 0.5  # of a whole tick, as it is rounded down
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (AttributeError, OSError, IndexError, ValueError):
        return 0.0


@contextmanager
def _hooked_imports(timing: Timing) -> Generator[None]:
    """Within it, modules that are imported for the first time have a span."""
    statement, function = builtins.__import__, importlib.import_module

    def timed(original: Callable[..., Any]) -> Callable[..., Any]:
        def import_(name: str, *arguments: Any, **options: Any) -> Any:
            # What a package imports of itself by a relative name is a part of its own import.
            is_relative = len(arguments) == 4 and arguments[3] > 0
            is_known = name in sys.modules or is_relative or timing.current == IMPORTS
            if is_known or not timing.is_here:
                return original(name, *arguments, **options)
            mark = timing.begin(IMPORTS)
            try:
                return original(name, *arguments, **options)
            finally:
                timing.end(mark)

        return import_

    builtins.__import__, importlib.import_module = timed(statement), timed(function)
    try:
        yield
    finally:
        builtins.__import__, importlib.import_module = statement, function


@contextmanager
def _watched_collector(timing: Timing) -> Generator[None]:
    """Within it, each search of Python's for unreachable cycles has a span."""
    marks: list[int] = []

    def collected(phase: str, _info: dict[str, int]) -> None:
        if not timing.is_here:
            return
        if phase == "start":
            marks.append(timing.begin(COLLECTOR, memory=False))
        elif marks:
            timing.end(marks.pop())

    gc.callbacks.append(collected)
    try:
        yield
    finally:
        gc.callbacks.remove(collected)


def timing_text(timing: Timing, form: str) -> str:
    """What `--timing` prints in the end: "tree", "list" or "json"."""
    if form == "json":
        return json.dumps(timing.as_dict())
    return "\n".join(timing.flat_lines() if form == "list" else timing.lines())
