"""One compile of a file, as `furiosa compile` asks for it, where the cache has nothing."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from furiosa_ir.backends import Backend
from furiosa_ir.batch_figures import AUTO, BatchFigures
from furiosa_ir.cache.compilation import Compiled, describe
from furiosa_ir.cache.key import Inputs
from furiosa_ir.errors import FuriosaError
from furiosa_ir.formats import head_of, recognise
from furiosa_ir.spans import span
from furiosa_ir.tools.lean_imports import import_libraries
from furiosa_ir.tools.reproducer_options import NO_REPRODUCTION, Reproduction, reading_options
from furiosa_ir.tools.search_options import Search, without_search

if TYPE_CHECKING:
    from furiosa_ir.batch_search import Comparison
    from furiosa_ir.driver import CompileResult
    from furiosa_ir.ir.pipeline import Instrumentation
    from furiosa_ir.program import Program
    from furiosa_ir.reproducer.recording import CrashRecorder

# The compiler and what else imports numpy and xDSL is imported where it is used: a program that
# the cache has needs none of it.
# ruff: noqa: PLC0415


@dataclass(eq=False, repr=False)
class FileCompile:
    """A compile to be.

    Attributes:
        inputs: what it is given; the source is a file.
        backend: of the target that is asked for, or the default one.
        target_ir: where it ends; None: at the program.
        verbose: whether to show each pass.
        verify_each: whether to verify after each pass.
        instruments: what the user wants to see of it.
        reproduction: whether to write down a failure.
        quiet: whether progress is not shown.
        search: the search for a schedule that `inputs.pipeline` has, if it has one.
    """

    inputs: Inputs
    backend: Backend
    target_ir: str | None = None
    verbose: bool = False
    verify_each: bool = False
    instruments: Sequence[Instrumentation] = field(default=(), kw_only=True)
    reproduction: Reproduction = field(default=NO_REPRODUCTION, kw_only=True)
    quiet: bool = field(default=False, kw_only=True)
    search: Search | None = field(default=None, kw_only=True)
    _recorder: CrashRecorder | None = field(default=None, init=False)
    _batches: tuple[BatchFigures, ...] = field(default=(), init=False)
    _is_cut_short: bool = field(default=False, init=False)

    @property
    def source(self) -> Path:
        """The file."""
        assert isinstance(self.inputs.source, Path)
        return self.inputs.source

    def compile(self) -> CompileResult:
        """Compiles, with progress on stderr."""
        import_libraries()
        return self.run()

    def verify(self, file: Path | None) -> None:
        """Verifies what was made, where that is asked for."""

    @property
    def is_watched(self) -> bool:
        """Whether a compile does more than to make the program."""
        options = (self.instruments, self.verbose, self.verify_each, self.search)
        return any(map(bool, options)) or self.reproduction.output is not None

    def choose_batch(self) -> Comparison | None:
        """Settles the best batch size: a row on stderr for each. None if nobody asks for it."""
        if self.inputs.batch_size != AUTO:
            return None
        from furiosa_ir.batch_search import compared_batches
        from furiosa_ir.driver import compile_source
        from furiosa_ir.tools.batch_table import print_end, print_header, print_row

        import_libraries()
        given = self.inputs
        passes = without_search(given.pipeline)  # which is for the one that is taken

        def compile_(size: int) -> Program:
            program = compile_source(
                given.source,
                target=given.target,
                batch_size=size,
                part=given.part,
                passes=passes,
                plugins=given.plugins,
            ).program
            assert program is not None
            return program

        if not self.quiet:
            print_header()
        comparison = compared_batches(compile_, None if self.quiet else print_row)
        # What cannot be compiled for one sample says so when it is compiled for good.
        self.take_batch(comparison.rows, comparison.best)
        if not self.quiet and comparison.rows:
            print_end(comparison.rows, comparison.best, comparison.obstacle)
        return comparison

    def take_batch(self, rows: tuple[BatchFigures, ...], size: int) -> None:
        """Goes on with the best batch size, which comparisons or the cache tell.

        Args:
            rows: what was compared.
            size: the best one.
        """
        self._batches = rows
        self.inputs = replace(self.inputs, batch_size=size)

    def run(self, instrumentation: Sequence[Instrumentation] = ()) -> CompileResult:
        """Compiles, watched by further instruments."""
        from furiosa_ir.driver import compile_source
        from furiosa_ir.pipeline_selection import require_level
        from furiosa_ir.tools.progress import Progress

        given = self.inputs
        assert given.batch_size != AUTO, "choose_batch comes first"
        # What the source is, the importer decides.
        kind = recognise(head_of(self.source)).value if self.source.is_file() else "file"
        progress = Progress(kind, self.backend, self.target_ir, verbose=self.verbose)
        if given.pipeline.text is not None:
            progress.is_one_step()
        with self._recorded():
            recorders = [self._recorder] if self._recorder else []
            shown = [] if self.quiet else [progress]
            with self._searching():
                result = compile_source(
                    given.source,
                    target=given.target,
                    batch_size=given.batch_size,
                    part=given.part,
                    target_ir=self.target_ir,
                    passes=given.pipeline,
                    plugins=given.plugins,
                    instrumentation=(*shown, *recorders, *instrumentation, *self.instruments),
                    verify_each=self.verify_each,
                )
            if given.pipeline.text is not None and result.program is None:
                assert self.target_ir is not None
                require_level(result.module, self.target_ir, self.backend, str(self.source))
        if not self.quiet:
            progress.finished()
        return result

    def compile_to(self, file: Path) -> Compiled:
        """Compiles to an existing, empty file.

        Raises:
            FuriosaError: it cannot be compiled.
            OSError: the file cannot be written.
        """
        from furiosa_ir.backends import write_program

        comparison = self.choose_batch()
        program = None if comparison is None or self.is_watched else comparison.take_best()
        with self._recorded():
            if program is None:
                program = self._compiled()
            with span("write"), file.open("r+b") as opened:
                write_program(program, opened)
        figures = describe(program)
        if self._batches:
            chosen = self.inputs.batch_size
            assert isinstance(chosen, int)
            figures = replace(figures, batches=self._batches, batch_size=chosen)
        return Compiled(file, program.source_hash, figures, is_final=not self._is_cut_short)

    def _compiled(self) -> Program:
        try:
            result = self.compile()
        except OSError as error:  # not of the output
            reason = error.strerror or type(error).__name__
            name = str(error.filename or self.source)
            raise FuriosaError(f"cannot be compiled: {reason}", file=name) from error
        program = result.program
        assert program is not None
        with span("release of the IR"):
            del result
        return program

    @contextmanager
    def _searching(self) -> Generator[None]:
        """A search within it goes as the options say."""
        if self.search is None:
            yield
            return
        with self.search.shown(quiet=self.quiet) as is_stopped:
            yield
            self._is_cut_short = is_stopped()

    @contextmanager
    def _recorded(self) -> Generator[None]:
        """What fails within it is written down, if that is asked for; once."""
        if self._recorder is not None:
            yield
            return
        given = self.inputs
        assert given.batch_size != AUTO, "choose_batch comes first"
        with self.reproduction.recording(
            self.source,
            to_program=self.target_ir in (None, self.backend.container.name),
            verify_each=self.verify_each,
            options=reading_options(given.target, given.batch_size, given.part),
            target_ir=self.target_ir,
        ) as self._recorder:
            yield
        self._recorder = None
