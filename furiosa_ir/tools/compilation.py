"""What `furiosa compile` does around the compiler: cache, progress, output file, summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from furiosa_ir.backends import backend_for, default_backend, read_program
from furiosa_ir.batch_figures import BatchSize
from furiosa_ir.cache.compilation import Result, compile_cached
from furiosa_ir.cache.key import Inputs
from furiosa_ir.cache.settings import NO_CACHE, CacheSettings
from furiosa_ir.errors import FuriosaError
from furiosa_ir.files import check_writable, refuse_terminal, replacing, write_failure
from furiosa_ir.formats import Format, head_of, recognise
from furiosa_ir.ir.text_format import constants_path
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.pipeline_request import AS_EVER, PipelineRequest
from furiosa_ir.streams import Stream
from furiosa_ir.tools.compile_summary import print_summary, write_summary
from furiosa_ir.tools.file_compile import FileCompile
from furiosa_ir.tools.report_options import Reports
from furiosa_ir.tools.reproducer_options import NO_REPRODUCTION, Reproduction
from furiosa_ir.tools.search_options import Search
from furiosa_ir.tools.sources import check_outputs, plugin_files, shown
from furiosa_ir.tools.watch_options import Watch

if TYPE_CHECKING:
    from furiosa_ir.plugin_source import Plugin
    from furiosa_ir.program import Program
    from furiosa_ir.reports.pass_recorder import PassRecorder

# What imports numpy and xDSL is imported where it is used: a program that the cache has needs none.
# ruff: noqa: PLC0415


def compile_file(
    source: Path,
    output: Path | None,
    *,
    target: str | None,
    target_ir: str | None,
    batch_size: BatchSize,
    verify: bool,
    verbose: bool,
    verify_inputs: Path | None = None,
    part: Part = WHOLE,
    pipeline: PipelineRequest = AS_EVER,
    plugins: Sequence[Plugin] = (),
    cache: bool = True,
    verify_each: bool = False,
    watch: Watch | None = None,
    reports: Reports | None = None,
    reproduction: Reproduction = NO_REPRODUCTION,
    search: Search | None = None,
    generic: bool = False,
    color: str = "auto",
    quiet: bool = False,
    summary: Path | None = None,
) -> None:
    """Compiles a file to a file; the options of `furiosa compile` document the arguments.

    Raises:
        FuriosaError: it cannot be compiled, or verified, or written; no output file is left then.
    """
    started = time.perf_counter()
    watch, reports = watch or Watch(), reports or Reports()
    backend = default_backend() if target is None else backend_for(target, tuple(plugins))
    if search is not None:
        pipeline = search.request(pipeline, backend)
    inputs = Inputs(source, target, batch_size, pipeline, tuple(plugins), part)
    work = FileCompile(inputs, backend, target_ir, verbose, verify_each)
    # A text may be of another backend, which has such a level.
    if target is not None or recognise(head_of(source), plugins) is not Format.IR:
        backend.require_stop(target_ir)
    is_program = target_ir is None or target_ir == backend.container.name
    output = output or Path(f"output.{target_ir or backend.container.name}")
    stream = check_writable(output)
    export = backend.exports.get(output.suffix) if is_program and stream is None else None
    if is_program:
        refuse_terminal(stream)
    # Text that is written to a stream has no constants beside it.
    is_alone = (is_program and export is None) or stream is not None
    outputs = [output] if is_alone else [output, constants_path(output)]
    outputs += [*reports.files, *watch.files, *([summary] if summary else [])]
    others = [*plugin_files(plugins), *pipeline.files, *([verify_inputs] if verify_inputs else [])]
    check_outputs([*outputs, *reproduction.outputs], source, others)
    watch.files_are_checked()
    if verify_inputs is not None and not verify:
        raise FuriosaError("--verify-inputs are inputs for --verify", hint="give --verify, too")
    recorder = reports.recorder()
    if reports.files and not is_program:
        raise FuriosaError("reports are of programs", hint="leave --target-ir out")
    if verify:
        from furiosa_ir.tools.verification import VerifiedCompile

        work = VerifiedCompile(inputs, backend, target_ir, verbose, verify_each, verify_inputs)
    work.reproduction, work.quiet, work.search = reproduction, quiet, search
    result, size = None, None
    if watch.options.named_passes:
        from furiosa_ir.plugins import load_plugins

        load_plugins(plugins)  # which may declare them
    with watch.instruments(generic=generic, color=color) as instruments:
        work.instruments = (*instruments, *([recorder] if recorder else []))
        if is_program:
            # What the cache has, no pass would make again.
            watched = verify_each or watch.options.watches or reports.with_ir
            settings = None if cache and not watched else NO_CACHE
            report = partial(_report, work, reports, recorder)
            if export is None:
                result, size = _compile_program(work, output, settings, report)
            else:
                result, size = _export_program(work, output, settings, report, export)
        else:
            from furiosa_ir.ir.text import write_module

            work.choose_batch()
            module = work.compile().module
            work.verify(None)
            write_module(
                module,
                output,
                generic=generic,
                elide=watch.options.elide,
                paint=_paint(color, stream),
            )
    if summary is not None:
        write_summary(
            summary,
            source=source,
            output=output,
            level=target_ir or work.backend.container.name,
            seconds=time.perf_counter() - started,
            figures=None if result is None else result.metadata,
            size=size,
            from_cache=result is not None and result.from_cache,
        )
    if not quiet:
        click.echo(f"Written to {shown(output)}", err=True)


def compile_reproducer(
    file: Path,
    output: Path | None,
    reproduction: Reproduction,
    watch: Watch,
    plugins: Sequence[Plugin],
    *,
    is_alone: bool,
) -> None:
    """Does again what failed, and writes the program or the IR if it does not fail.

    Args:
        file: the reproducer.
        output: default: as of a compile.
        reproduction: whether its plug-ins may be run.
        watch: what is to be seen of it.
        plugins: those that the user loads.
        is_alone: whether no option says what to compile otherwise.

    Raises:
        FuriosaError: the file is no reproducer, or what fails in it.
    """
    from furiosa_ir.driver import CompileResult
    from furiosa_ir.files import check_distinct, write_whole
    from furiosa_ir.ir.text import write_module
    from furiosa_ir.plugins import load_plugins
    from furiosa_ir.tools.reproduction import reproduce

    if not is_alone:
        raise FuriosaError(
            "--run-reproducer runs what the file says, and takes no passes or shapes"
        )
    load_plugins(plugins)

    def write(result: CompileResult) -> None:
        name = "mlir"
        if result.program is not None:
            name = backend_for(result.program.target).container.name
        path = output or Path(f"output.{name}")
        check_distinct([path, constants_path(path)], [file])
        if result.enf is None:
            write_module(result.module, path)
        else:
            refuse_terminal(check_writable(path))
            write_whole(result.enf, path)
        click.echo(f"Written to {shown(path)}", err=True)

    reproduce(file, reproduction, watch, write)


def dump_pipeline_of(
    source: Path,
    pipeline: PipelineRequest,
    target: str | None,
    target_ir: str | None,
    batch_size: int | None,
    part: Part,
    plugins: Sequence[Plugin],
) -> None:
    """Prints the passes of a compile; the options of `furiosa compile` document the arguments.

    Raises:
        FuriosaError: the source cannot be read, or what is asked for is not there.
    """
    from furiosa_ir.plugins import load_plugins
    from furiosa_ir.tools.transform import Settings, pipeline_to_run

    load_plugins(plugins)
    backend = default_backend() if target is None else backend_for(target)
    settings = Settings(
        pipeline=pipeline,
        last=None if target_ir in (None, backend.container.name) else target_ir,
        target=target,
        batch_size=batch_size,
        part=part,
        plugins=tuple(plugins),
    )
    click.echo(pipeline_to_run(source, settings))


def _paint(color: str, stream: Stream | None) -> Callable[[str], str] | None:
    if stream is None:
        return None
    from furiosa_ir.tools.colors import is_colored, painted

    return painted if is_colored(color, is_terminal=stream.is_terminal) else None


def separated_inputs(
    inputs: tuple[str, ...], verify_inputs: Path | None, *, verify: bool
) -> tuple[tuple[str, ...], Path | None]:
    """`--inputs`, which once was the file of inputs for --verify, and `--verify-inputs`.

    Returns:
        The names of values, and the file.
    """
    if not verify or verify_inputs is not None or len(inputs) != 1:
        return inputs, verify_inputs
    path = Path(inputs[0])
    if not path.exists() or path.is_dir():
        return inputs, None
    click.echo(
        f"WARNING: --inputs {inputs[0]} is a file: --inputs are names of values now, and files "
        "of inputs for --verify are --verify-inputs",
        err=True,
    )
    return (), path


def _report(work: FileCompile, reports: Reports, recorder: PassRecorder | None, file: Path) -> None:
    """Writes the reports of a program that has been written; of a hit, no pass has run."""
    if reports.files:
        reports.write(read_program(file), work.source.name, recorder)


def _export_program(
    work: FileCompile,
    output: Path,
    settings: CacheSettings | None,
    report: Callable[[Path], None],
    export: Callable[[Program, Path], None],
) -> tuple[Result, int]:
    """What came out, and how many bytes the program has, which is written in another form."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="furiosa-") as folder:
        whole = Path(folder, "program")
        made = _compile_program(work, whole, settings, report)
        try:
            export(read_program(whole), output)
        except OSError as error:
            raise write_failure(output, error) from None
    return made


def _compile_program(
    work: FileCompile,
    output: Path,
    settings: CacheSettings | None,
    report: Callable[[Path], None],
) -> tuple[Result, int]:
    """What came out, and how many bytes the program has."""
    started = time.perf_counter()
    try:
        with replacing(output) as file:
            result = compile_cached(work.inputs, partial(work.compile_to, file), settings, file)
            chosen = result.metadata.batch_size
            if result.from_cache and chosen is not None:
                work.take_batch(result.metadata.batches, chosen)
            if result.from_cache and not work.quiet:
                seconds = time.perf_counter() - started
                if chosen is not None:
                    from furiosa_ir.tools.batch_table import print_batches

                    print_batches(result.metadata.batches, chosen)
                click.echo(f"✨  Found in the cache, finished in {seconds:.3g}s", err=True)
            work.verify(file)
            report(file)
            size = file.stat().st_size
    except OSError as error:
        raise write_failure(output, error) from None
    if not work.quiet:
        print_summary(result.metadata)
    return result, size
