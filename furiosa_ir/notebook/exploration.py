"""A compile pass by pass: the IR around each, and a page to step through them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.instrumentation.differences import unified
from furiosa_ir.instrumentation.view import View
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Instrumentation, Phase
from furiosa_ir.notebook.ir_text import difference_html, ir_html
from furiosa_ir.notebook.markup import fold, page, plain

_MOST_LINES = 400
"""Lines of one text in a notebook, which keeps every page that it has shown."""

_NUMBERS = count()


@dataclass(frozen=True)
class Step:
    """One pass.

    Attributes:
        name: the pass with its options, as a pipeline text has it.
        phase: the phase that it is in; empty for passes outside of any.
        before, after: the IR, without history and large constants; `after` is None if it failed.
        operations_before, operations_after: how many there are.
        seconds: how long it took.
        changed: whether it changed anything, constants included.
    """

    name: str
    phase: str
    before: str
    after: str | None
    operations_before: int
    operations_after: int
    seconds: float
    changed: bool

    @cached_property
    def difference(self) -> str:
        """What it changed, as a unified diff; "" where there is nothing to be seen."""
        return "" if self.after is None else unified(self.before, self.after, self.name)

    def __repr__(self) -> str:
        did = "failed" if self.after is None else "changed" if self.changed else "unchanged"
        return f"<Step {self.name}: {did}, {self.operations_before} -> {self.operations_after} ops>"


@dataclass
class Recorder(Instrumentation):
    """Records the steps of a pipeline.

    Attributes:
        steps: what has run, in order.
    """

    steps: list[Step] = field(default_factory=list[Step])
    _phase: str = ""
    _before: tuple[str, str, int] | None = None
    _running: str = ""

    @override
    def before_phase(self, phase: Phase, module: ModuleOp) -> None:
        self._phase = phase.name

    @override
    def before_pass(self, what: Pass, module: ModuleOp) -> None:
        self._running = str(what.spec())
        if self._before is None:  # else the last pass left it so
            self._before = _state(module)

    @override
    def after_pass(self, what: Pass, module: ModuleOp, seconds: float) -> None:
        assert self._before is not None
        (shown, whole, operations), self._before = self._before, _state(module)
        after, whole_after, operations_after = self._before
        self.steps.append(
            Step(
                self._running,
                self._phase,
                shown,
                after,
                operations,
                operations_after,
                seconds,
                whole != whole_after,
            )
        )
        self._running = ""

    @override
    def failed(self, what: str, module: ModuleOp) -> None:
        if self._running and self._before is not None:
            shown, _, operations = self._before
            step = Step(self._running, self._phase, shown, None, operations, 0, 0.0, changed=True)
            self.steps.append(step)
            self._running = ""


def _state(module: ModuleOp) -> tuple[str, str, int]:
    """The text to show, the text by which to tell whether anything changed, how many operations."""
    view = View()
    shown = view.comparable(module, elide=True)[""]
    whole = view.comparable(module, elide=False)[""]
    return shown, whole, sum(1 for _ in module.walk())


@dataclass(frozen=True)
class Exploration:
    """A pipeline that has run, to step through; a notebook shows it as a page.

    Attributes:
        steps: its passes, in order; after one that failed there are none.
        module: the IR behind the last pass that did not fail; None if one did.
        error: why it stopped, if a pass or a verifier failed.
    """

    steps: tuple[Step, ...]
    module: ModuleOp | None
    error: str | None = None

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __getitem__(self, name: int | str) -> Step:
        """A step by its number, or the first of a pass.

        Raises:
            KeyError: no such pass has run.
        """
        if isinstance(name, int):
            return self.steps[name]
        found = (s for s in self.steps if name in (s.name, s.name.partition("{")[0]))
        step = next(found, None)
        if step is None:
            raise KeyError(name)
        return step

    def html(self, most_lines: int | None = None) -> str:
        """The page: passes on the left, what the chosen one changed on the right; no scripts.

        Args:
            most_lines: of one text that are shown; None: all.
        """
        return exploration_page(self, most_lines)

    def _repr_html_(self) -> str:
        return self.html(_MOST_LINES)


def exploration_page(exploration: Exploration, most_lines: int | None) -> str:
    """The page of an exploration; `Exploration.html` documents it."""
    name = f"fi-explore-{next(_NUMBERS)}"  # several pages are in one notebook
    steps = exploration.steps
    chosen = next((i for i, s in enumerate(steps) if s.changed), 0)
    rules = "".join(
        f"#{name}-{i}:checked~.steps label[for={name}-{i}]{{background:var(--chosen)}}"
        f"#{name}-{i}:checked~.pages .step-{i}{{display:block}}"
        f"#{name}-{i}:focus-visible~.steps label[for={name}-{i}]{{outline:2px solid}}"
        for i in range(len(steps))
    )
    style = (
        f"<style>.{name}{{display:flex;flex-wrap:wrap;gap:1em}}"
        f".{name}>input{{position:absolute;opacity:0}}"
        f".{name} .steps{{flex:0 0 auto;max-height:40em;overflow-y:auto}}"
        f".{name} .steps label{{display:block;padding:.1em .6em;cursor:pointer}}"
        f".{name} .pages{{flex:1 1 30em;min-width:0}}"
        f".{name} .pages>div{{display:none}}"
        f".{name} .ir{{max-height:36em;overflow:auto}}{rules}</style>"
    )
    radios = "".join(
        f'<input type="radio" name="{name}" id="{name}-{i}"{" checked" * (i == chosen)}>'
        for i in range(len(steps))
    )
    pages = "".join(_step_page(i, s, most_lines) for i, s in enumerate(steps))
    error = (
        f'<p class="removed"><b>{plain(exploration.error, 2000)}</b></p>'
        if exploration.error
        else ""
    )
    return page(
        style,
        error,
        f'<div class="{name}">{radios}<div class="steps">{"".join(_labels(name, steps))}</div>'
        f'<div class="pages">{pages}</div></div>',
    )


def _labels(name: str, steps: tuple[Step, ...]) -> Iterator[str]:
    phase = ""
    for index, step in enumerate(steps):
        if step.phase != phase:
            phase = step.phase
            yield f'<div class="faint">{plain(phase)}</div>'
        grown = step.operations_after - step.operations_before
        note = "failed" if step.after is None else f"{grown:+d}" if grown else ""
        faint = "" if step.changed else ' class="faint"'
        text = plain(step.name, 60)
        yield f'<label for="{name}-{index}"{faint}>{text} <small>{note}</small></label>'


def _step_page(index: int, step: Step, most_lines: int | None) -> str:
    title = (
        f"<b>{plain(step.name, 400)}</b> "
        f'<span class="faint">{step.operations_before:,} → {step.operations_after:,} operations, '
        f"{step.seconds * 1000:.1f} ms</span>"
    )
    if step.after is None:
        content = f"<p>It failed.</p>{fold('IR before', ir_html(step.before, most_lines))}"
    elif not step.changed:
        content = "<p>It changed nothing.</p>"
    else:
        difference = step.difference or "// only elements of constants, which are left out here"
        content = (
            difference_html(difference, most_lines)
            + fold("IR before", ir_html(step.before, most_lines))
            + fold("IR after", ir_html(step.after, most_lines))
        )
    return f'<div class="step-{index}">{title}{content}</div>'
