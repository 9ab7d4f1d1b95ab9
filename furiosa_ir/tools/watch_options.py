"""The options that say what is to be seen of a compile, shared by the commands that compile."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from furiosa_ir.tools import launch
from furiosa_ir.tools.arguments import OUTPUT
from furiosa_ir.tools.command_line import OptionalValue
from furiosa_ir.tools.completion import complete_passes

if TYPE_CHECKING:
    from furiosa_ir.instrumentation.options import WatchOptions
    from furiosa_ir.instrumentation.timing import Timing
    from furiosa_ir.ir.pipeline import Instrumentation

# What only a command that runs needs is imported where it is used.
# ruff: noqa: PLC0415

ResultT = TypeVar("ResultT")

_ALL = "all passes"

_REMARK_KINDS = frozenset({"passed", "missed", "analysis"})
"""`ir.remarks.KINDS`, which the start of a command has no time to import."""


def _passes(_ctx: click.Context, option: click.Parameter, values: Sequence[str]) -> frozenset[str]:
    """The names that `a,b` and repeated options give, of passes around which IR is dumped."""
    for value in values:
        if Path(value).is_file():
            name = option.opts[0]
            raise click.BadParameter(
                f"'{value}' is a file, not a pass; {name}-all is around each pass"
            )
    return _names(values)


def _sources(
    _ctx: click.Context, _option: click.Parameter, values: Sequence[str]
) -> frozenset[str]:
    """Those whose remarks are shown: `PASS` or `PASS/NAME`."""
    return _names(values)


def _names(values: Sequence[str]) -> frozenset[str]:
    return frozenset(name.strip() for value in values for name in value.split(",") if name.strip())


def _remarks(
    _ctx: click.Context, _option: click.Parameter, value: str | None
) -> tuple[str, frozenset[str]] | None:
    """("text" or "json", kinds) of `missed,analysis,json`."""
    if value is None:
        return None
    words = {word.strip() for word in value.split(",")}
    kinds, forms = words & _REMARK_KINDS, words & {"text", "json"}
    if wrong := sorted(words - kinds - forms - {"all"}):
        raise click.BadParameter(
            f"'{wrong[0]}' is none of 'passed', 'missed', 'analysis', 'all', 'text', 'json'"
        )
    if len(forms) > 1:
        raise click.BadParameter("'text' and 'json' exclude each other")
    if "all" in words:
        kinds = _REMARK_KINDS
    return next(iter(forms), "text"), frozenset(kinds or {"missed"})


def _passes_option(name: str, what: str) -> Callable[[Any], Any]:
    return click.option(
        name,
        multiple=True,
        metavar="PASS,...",
        is_flag=False,
        flag_value=_ALL,
        callback=_passes,
        shell_complete=complete_passes,
        help=f"Dump the IR {what} these passes, on stderr; without a name: each.",
    )


_OPTIONS = (
    _passes_option("--print-ir-before", "before"),
    click.option("--print-ir-before-all", is_flag=True, help="Dump the IR before each pass."),
    _passes_option("--print-ir-after", "after"),
    click.option("--print-ir-after-all", is_flag=True, help="Dump the IR after each pass."),
    click.option(
        "--print-ir-after-change",
        cls=OptionalValue,
        alone="text",
        type=click.Choice(["text", "diff"]),
        help="Dump the IR after passes that changed it; =diff: what they changed.",
    ),
    click.option(
        "--print-ir-after-failure",
        is_flag=True,
        help="Dump the IR that a pass, a verifier or the assembly failed on.",
    ),
    click.option(
        "--print-ir-tree-dir",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Write dumps to numbered files there; alone: of the IR after each pass.",
    ),
    click.option(
        "--print-ir-scope",
        type=click.Choice(["module", "function"]),
        default="module",
        show_default=True,
        help="What a dump is of; after a pass, of functions that it changed.",
    ),
    click.option(
        "--only",
        multiple=True,
        metavar="LAYER",
        help="In dumps and logs, only the operations of this layer ('*' as in file names), with "
        "what they read and who reads them; may be repeated.",
    ),
    click.option(
        "--elide-constants",
        is_flag=True,
        help="Print IR without large constants: for people, it cannot be compiled.",
    ),
    click.option(
        "--log-rewrites",
        cls=OptionalValue,
        alone="text",
        type=click.Choice(["text", "json"]),
        help="Log each rule that fires, on stderr: pass, rule, root, layer, what it made.",
    ),
    click.option(
        "--remarks",
        cls=OptionalValue,
        alone="missed",
        metavar="passed|missed|analysis|all|json",
        callback=_remarks,
        help="Show what passes have to say of operations, on stderr: what was optimised, what was "
        "not and why (also alone), what was found; several of them with commas.",
    ),
    click.option(
        "--remarks-from",
        multiple=True,
        metavar="PASS,...",
        callback=_sources,
        shell_complete=complete_passes,
        help="Only remarks of these passes; PASS/NAME: only those of this name.",
    ),
    click.option(
        "--timing",
        cls=OptionalValue,
        alone="tree",
        type=click.Choice(["tree", "list", "json"]),
        help="Where the time of the process went, and its memory, on stderr.",
    ),
    click.option(
        "--statistics",
        cls=OptionalValue,
        alone="text",
        type=click.Choice(["text", "json"]),
        help="For each pass, operations before and after it and rules that fired, on stderr.",
    ),
    click.option(
        "--info-output-file",
        type=OUTPUT,
        metavar="FILE",
        help="All of this goes to FILE in place of stderr, once the command has ended, however.",
    ),
    click.option(
        "--check-numerics",
        cls=OptionalValue,
        alone="8",
        type=click.IntRange(min=1),
        metavar="[N]",
        help="Run the module on N inputs (8) before and after each pass; stop at the first pass, "
        "and rule, that changes a value.",
    ),
)


def watch_options(command: Callable[..., ResultT]) -> Callable[..., ResultT]:
    """Adds the options; the command is given them as `watch`, a `Watch`."""

    @wraps(command)
    def watched(
        *,
        print_ir_before: frozenset[str],
        print_ir_before_all: bool,
        print_ir_after: frozenset[str],
        print_ir_after_all: bool,
        print_ir_after_change: str | None,
        print_ir_after_failure: bool,
        print_ir_tree_dir: Path | None,
        print_ir_scope: str,
        only: tuple[str, ...],
        elide_constants: bool,
        log_rewrites: str | None,
        remarks: tuple[str, frozenset[str]] | None,
        remarks_from: frozenset[str],
        timing: str | None,
        statistics: str | None,
        info_output_file: Path | None,
        check_numerics: int | None,
        **others: Any,
    ) -> ResultT:
        from furiosa_ir.instrumentation.options import WatchOptions

        options = WatchOptions(
            before=print_ir_before_all or _ALL in print_ir_before or print_ir_before,
            after=print_ir_after_all or _ALL in print_ir_after or print_ir_after,
            after_change=print_ir_after_change,
            after_failure=print_ir_after_failure,
            tree_dir=print_ir_tree_dir,
            by_function=print_ir_scope == "function",
            only=only,
            elide=elide_constants,
            rewrites=log_rewrites,
            remarks=None if remarks is None else remarks[0],
            remark_kinds=frozenset() if remarks is None else remarks[1],
            remarks_from=remarks_from or None,
            timing=timing,
            statistics=statistics,
            numerics=check_numerics,
        )
        watch = Watch(options, info_output_file)
        if options.numerics is None:  # which copies modules time and again
            launch.without_collector()
        with watch.told(), watch.timed():
            return command(watch=watch, **others)

    result: Any = watched
    for option in reversed(_OPTIONS):
        result = option(result)
    return result


class Watch:
    """What a command was asked to show, and how it does.

    Attributes:
        options: what is asked for.
        file: where it is shown; None: on standard error.
    """

    def __init__(self, options: WatchOptions | None = None, file: Path | None = None) -> None:
        from furiosa_ir.instrumentation.options import NOTHING

        self.options = NOTHING if options is None else options
        self.file = file
        self._timing: Timing | None = None
        self._told: list[str] = []
        self._is_checked = False

    @property
    def files(self) -> list[Path]:
        """What is written beside the result."""
        return [] if self.file is None else [self.file]

    def files_are_checked(self) -> None:
        """`files` take the place of nothing that the command reads or writes."""
        self._is_checked = True

    @contextmanager
    def told(self) -> Generator[None]:
        """Within it things are shown; behind it they are in the file that is to have them.

        Raises:
            FuriosaError: it cannot be written.
        """
        try:
            yield
        finally:
            text = "".join(self._told)
            if self.file is not None and self._is_checked and text:
                from furiosa_ir.files import write_whole

                write_whole(text.encode("utf-8", "backslashreplace"), self.file)
            elif text:  # the command has come to an end before
                click.echo(text, err=True, nl=False)

    def show(self, text: str, paint: Callable[[str], str] | None = None) -> None:
        """Shows a text; `paint` gives it its colours, where they are wanted."""
        if self.file is not None:
            self._told.append(text)
        else:
            click.echo(text if paint is None else paint(text), err=True, nl=False, color=True)

    @contextmanager
    def timed(self) -> Generator[None]:
        """Within it the time is recorded, if that is asked for, and told in the end."""
        form = self.options.timing
        if form is None:
            yield
            return
        from furiosa_ir.instrumentation.timing import Timing

        self._timing = Timing()
        try:
            with self._timing.recording(launch.began()):
                yield
        finally:
            from furiosa_ir.instrumentation.timing import timing_text

            sys.stdout.flush()
            self.show(f"{timing_text(self._timing, form)}\n")

    @contextmanager
    def instruments(
        self, *, locations: bool = False, generic: bool = False, color: str = "auto"
    ) -> Generator[Sequence[Instrumentation]]:
        """The instruments that are asked for (`instrumentation.watching.watching`).

        Args:
            locations: whether dumps have layers' names.
            generic: whether they are in MLIR's generic form.
            color: "always", "never" or "auto", as of `tools.colors.is_colored`.
        """
        if not self.options.watches:
            yield ()
            return
        from furiosa_ir.instrumentation.watching import watching
        from furiosa_ir.ir.text_printer import Style

        style, shown = Style(locations, generic), _Shown(self, color)
        if self.options.numerics is None:
            with watching(self.options, shown, style, self._timing) as instruments:
                yield instruments
            return
        from furiosa_ir.debugging.numerics import Numerics
        from furiosa_ir.debugging.windows import change_of_part

        numerics = Numerics(self.options.numerics, parts=change_of_part)
        with (
            watching(self.options, shown, style, self._timing, [numerics]) as instruments,
            numerics.recording(),
        ):
            says = True
            try:
                yield instruments
            except BaseException:
                # That no pass changed anything would be said of passes that have not run.
                says = numerics.finding is not None or bool(numerics.compared)
                raise
            finally:
                for line in numerics.report() if says else ():
                    self.show(f"{line}\n")


class _Shown:
    """Shows what instruments see (`instrumentation.watching.Sink`)."""

    def __init__(self, watch: Watch, color: str) -> None:
        self._watch, self._color = watch, color

    def ir(self, text: str) -> None:
        from furiosa_ir.tools.colors import colored

        self._watch.show(text, lambda text: colored(text, self._color, sys.stderr))

    def difference(self, text: str) -> None:
        from furiosa_ir.tools.colors import colored_difference

        self._watch.show(text, lambda text: colored_difference(text, self._color, sys.stderr))

    def line(self, text: str) -> None:
        self._watch.show(f"{text}\n")
