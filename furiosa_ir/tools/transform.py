"""What `furiosa-opt` does: reads a module, runs passes on it, writes it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
from xdsl.dialects.builtin import FileLineColLoc, IntAttr, ModuleOp, StringAttr, UnknownLoc

from furiosa_ir.backends import (
    backend_for,
    default_backend,
    look_for_installed,
    read_program,
)
from furiosa_ir.backends.target import backend_of
from furiosa_ir.errors import CompilationFailure, FuriosaError, ImportFailure, joined
from furiosa_ir.files import check_distinct, check_writable, write_whole
from furiosa_ir.formats import Format, recognise
from furiosa_ir.importers import load
from furiosa_ir.input_files import open_input
from furiosa_ir.ir.constant_file import read_constants
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.history import resume
from furiosa_ir.ir.pipeline import Instrumentation, Phase, Pipeline, run_pipeline
from furiosa_ir.ir.positions import Positions
from furiosa_ir.ir.text import (
    parse_module,
    print_module,
    write_module,
)
from furiosa_ir.ir.text_format import constants_path, constants_to_read, split_parts
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.passes.assign_target import with_target
from furiosa_ir.pipeline_request import AS_EVER, PipelineRequest
from furiosa_ir.pipeline_selection import edited_phases, phases_asked_for
from furiosa_ir.plugin_source import Plugin
from furiosa_ir.spans import span
from furiosa_ir.streams import descriptor_at
from furiosa_ir.tools.colors import colored
from furiosa_ir.tools.diagnostics import Diagnostic, expectations, mismatches
from furiosa_ir.tools.reproducer_options import NO_REPRODUCTION, Reproduction, reading_options
from furiosa_ir.tools.sources import check_outputs, plugin_files
from furiosa_ir.tools.watch_options import Watch

# What only some of the options need is imported by the functions that need it.


@dataclass(frozen=True)
class Settings:
    """What the command line asks for; the options of `furiosa-opt` document the fields.

    Attributes:
        instruments: made of `watch`, for as long as it watches.
    """

    pipeline: PipelineRequest = AS_EVER
    first: str | None = None
    last: str | None = None
    target: str | None = None
    batch_size: int | None = None
    part: Part = WHOLE
    verify_each: bool = True
    watch: Watch = field(default_factory=Watch)
    instruments: Sequence[Instrumentation] = ()
    debuginfo: bool = False
    generic: bool = False
    color: str = "auto"
    split: bool = False
    diagnostics: bool = False
    constants: Path | None = None
    plugins: tuple[Plugin, ...] = ()
    reproduction: Reproduction = NO_REPRODUCTION


def transform_file(file: Path, output: Path | None, settings: Settings) -> None:
    """Reads FILE, runs what is asked for, and writes the result.

    Raises:
        FuriosaError: the file cannot be read, a pass fails, or the output cannot be written.
    """
    check_pipeline(settings)
    if settings.target is not None:
        backend_for(settings.target)
    with (
        settings.watch.instruments(
            locations=settings.debuginfo, generic=settings.generic, color=settings.color
        ) as watching,
        settings.reproduction.recording(
            file,
            to_program=False,
            verify_each=settings.verify_each,
            options=reading_options(settings.target, settings.batch_size, settings.part),
            target_ir=_first_level(settings),
        ) as recorder,
    ):
        instruments = (*([recorder] if recorder else []), *watching)
        _transform_file(file, output, replace(settings, instruments=instruments))


def _first_level(settings: Settings) -> str:
    backend = default_backend() if settings.target is None else backend_for(settings.target)
    return backend.levels[0]


def run_reproducer_file(file: Path, output: Path | None, settings: Settings) -> None:
    """Does again what failed, and writes what comes of it if it does not fail.

    Raises:
        FuriosaError: the file is no reproducer, or what fails in it.
    """
    from furiosa_ir.tools.reproduction import reproduce  # noqa: PLC0415  # few runs need it

    asked = (settings.first, settings.last, settings.target, settings.batch_size)
    if settings.pipeline != AS_EVER or any(asked) or settings.part != WHOLE:
        raise FuriosaError(
            "--run-reproducer runs what the file says, and takes no passes, target or shapes",
            hint="unzip it, and run furiosa-opt on its module.mlir for something else",
        )
    if output is not None:
        check_distinct([output, constants_path(output)], [file])
        check_writable(output)
    reproduce(
        file,
        settings.reproduction,
        settings.watch,
        lambda result: _write(result.module, output, settings),
        generic=settings.generic,
        color=settings.color,
    )


def check_pipeline(settings: Settings) -> None:
    """Refuses options of `furiosa-opt` that exclude each other."""
    if (settings.first or settings.last) and settings.pipeline.text is not None:
        raise FuriosaError("--pipeline goes with neither --from nor --to")


def _transform_file(file: Path, output: Path | None, settings: Settings) -> None:
    if output is not None:
        check_writable(output)
    data = _read(file)
    _check_replacing(data, file, output, settings)
    settings.watch.files_are_checked()
    if recognise(data, settings.plugins) is Format.PROGRAM:
        _show_program(data, file, settings, output)
    elif settings.split or settings.diagnostics:
        if output is not None:
            raise FuriosaError("--output goes with neither --split-input-file nor diagnostics")
        _run_text(data, file, settings)
    else:
        _write(_transform(data, file, settings), output, settings)


def _check_replacing(data: bytes, file: Path, output: Path | None, settings: Settings) -> None:
    """Refuses to replace what is read, but for IR text by what becomes of it, as mlir-opt does."""
    outputs: list[Path] = []
    if output is not None:
        # Text that is written to a stream has no constants beside it.
        outputs = [output] if check_writable(output) else [output, constants_path(output)]
    beside = [*settings.reproduction.outputs, *settings.watch.files]
    if not outputs and not beside:
        return
    read = [*plugin_files(settings.plugins), *settings.pipeline.files]
    read += [settings.constants] if settings.constants else []
    is_stream = str(file) == "-"
    is_in_place = recognise(data) is Format.IR and output is not None and _is_file(output, file)
    if is_stream or is_in_place:
        check_distinct([*outputs[:1], *beside] if is_in_place else [*outputs, *beside], read)
        if not is_stream:
            check_outputs(beside, file, read)
    else:
        check_outputs([*outputs, *beside], file, read)


def _is_file(output: Path, file: Path) -> bool:
    return str(file) != "-" and output.exists() and output.samefile(file)


def _read(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        # A pipe that is open already has a writer: `furiosa-opt <(furiosa compile ... -o -)`.
        descriptor = descriptor_at(file)
        with open_input(file) if descriptor is None else file.open("rb") as stream:
            return stream.read()
    except OSError as error:
        text = error.strerror or type(error).__name__
        raise ImportFailure(text[:1].lower() + text[1:], file=str(file)) from None


def _name(file: Path) -> str:
    return "<stdin>" if str(file) == "-" else str(file)


def _transform(data: bytes, file: Path, settings: Settings) -> ModuleOp:
    """Reads one module and runs what is asked for on it."""
    module, positions = _load(data, file, settings)
    _run(module, settings, positions)
    return module


def _load(data: bytes, file: Path, settings: Settings) -> tuple[ModuleOp, Positions | None]:
    """One module, and where its operations stand in a text."""
    if recognise(data) is not Format.IR:
        _begin("import", settings)
        path = data if str(file) == "-" else file
        module = load(path, settings.batch_size, settings.part)
        _begin("passes", settings)
        return module, None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ImportFailure("is not text in UTF-8", file=_name(file)) from None
    _refuse_change("IR", file, settings)
    positions = Positions()
    return _parse(text, file, settings, positions), positions


def _begin(stage: str, settings: Settings) -> None:
    for watch in settings.instruments:
        watch.before_stage(stage)


def pipeline_to_run(file: Path | None, settings: Settings) -> str:
    """The pipeline that would run, as -p takes it; where none is asked for, all that is left of it.

    Args:
        file: what it would run on; None: any network.
        settings: as of `transform_file`.

    Raises:
        FuriosaError: the file cannot be read, or what is asked for is not there.
    """
    module = ModuleOp([])  # as a network is that has been through nothing
    if file is not None:
        data = _read(file)
        if recognise(data, settings.plugins) is Format.PROGRAM:
            raise FuriosaError("a compiled program cannot be transformed", file=_name(file))
        module, _ = _load(data, file, settings)
    backend = backend_of(module) if settings.target is None else backend_for(settings.target)
    if settings.last is None:
        settings = replace(settings, last=backend.levels[-1])
    phases = _asked_for(module, settings)
    if file is not None or settings.target is not None:
        phases = with_target(phases, module, settings.target)
    return Pipeline("command line", phases).text


def _refuse_change(what: str, file: Path, settings: Settings) -> None:
    if settings.batch_size is not None:
        raise ImportFailure(
            f"the batch size of {what} cannot be changed",
            file=_name(file),
            hint="give the batch size where the ONNX or TFLite network is read",
        )
    settings.part.require_whole(f"the shapes of {what}", _name(file))


def _parse(text: str, file: Path, settings: Settings, positions: Positions) -> ModuleOp:
    look_for_installed()
    beside = settings.constants or (None if str(file) == "-" else constants_to_read(file))
    table = None
    if beside is not None and (beside.exists() or settings.constants):
        with span("read"):
            table = read_constants(beside)
    return parse_module(text, table, name=_name(file), positions=positions)


def _phases(module: ModuleOp, settings: Settings) -> tuple[Phase, ...]:
    """What is to run, `assign-target` in front if the module needs it."""
    return with_target(_asked_for(module, settings), module, settings.target)


def _asked_for(module: ModuleOp, settings: Settings) -> tuple[Phase, ...]:
    backend = backend_of(module) if settings.target is None else backend_for(settings.target)
    pipeline, first, last = settings.pipeline, settings.first, settings.last
    if pipeline.text is not None:
        return phases_asked_for(pipeline, module, last, backend)
    if first is None and last is None and not pipeline.edits:
        return ()
    phases = backend.pipeline().between(first, last).phases
    if first is None:
        return phases_asked_for(pipeline, module, phases[-1].name, backend)
    return edited_phases(phases, pipeline.edits, backend, module)


def _run(module: ModuleOp, settings: Settings, positions: Positions | None = None) -> None:
    """Runs what is asked for on a module, which may have been read from text."""
    try:
        _run_phases(module, settings, positions)
    except RecursionError:
        raise CompilationFailure("the network is nested too deeply") from None
    except FuriosaError as error:
        if positions is None:
            raise
        raise positions.placed(error) from error.__cause__


def _run_phases(module: ModuleOp, settings: Settings, positions: Positions | None) -> None:
    with span("choice of passes"):
        phases = _phases(module, settings)
        if positions is not None:
            resume(module, positions.text, always=bool(phases))
    if not phases:
        return
    for watch in settings.instruments:
        watch.before_pipeline(module)
    run_pipeline(
        make_context(),
        module,
        Pipeline("command line", phases),
        instrumentation=settings.instruments,
        verify_each=settings.verify_each,
    )


def _write(module: ModuleOp, output: Path | None, settings: Settings) -> None:
    if output is not None:
        write_module(
            module,
            output,
            locations=settings.debuginfo,
            generic=settings.generic,
            elide=settings.watch.options.elide,
        )
    else:
        _print(f"{_text(module, settings)}\n", settings)


def _text(module: ModuleOp, settings: Settings) -> str:
    return print_module(
        module,
        locations=settings.debuginfo,
        generic=settings.generic,
        elide=settings.watch.options.elide,
    )


def _print(text: str, settings: Settings) -> None:
    """To standard output, in UTF-8 as in a file, whatever the locale."""
    with span("write"):
        click.echo(colored(text, settings.color, sys.stdout).encode(), nl=False, color=True)


def _run_text(data: bytes, file: Path, settings: Settings) -> None:
    """Text in parts, with or without expected errors."""
    _refuse_change("IR", file, settings)
    text = data.decode("utf-8-sig", "replace")
    failures: list[str] = []
    outputs: list[str] = []
    errors: list[FuriosaError] = []
    for part in _parts(text) if settings.split else [text]:
        positions = Positions()
        occurred: list[Diagnostic] = []
        try:
            outputs.append(_transform_part(part, file, settings, positions))
        except FuriosaError as error:
            if settings.reproduction.output is not None:
                raise  # it is of the part that ran last
            errors.append(error)
            occurred.extend(Diagnostic.of(error, positions))
        if settings.diagnostics:
            failures.extend(mismatches(expectations(part), occurred, _name(file)))
    _print("// -----\n".join(f"{o}\n" for o in outputs), settings)
    if errors and not settings.diagnostics:
        raise joined(errors) from errors[0]
    if failures:
        for failure in failures:
            click.echo(f"ERROR: {failure}", err=True)
        sys.exit(1)


def _parts(text: str) -> list[str]:
    """The parts between `// -----` lines, with empty lines in front that keep the line numbers."""
    return ["\n" * text.count("\n", 0, begin) + part for begin, part in split_parts(text)]


def _transform_part(text: str, file: Path, settings: Settings, positions: Positions) -> str:
    module = _parse(text, file, settings, positions)
    if settings.diagnostics:
        _locate(file, positions)
    _run(module, settings, positions)
    return _text(module, settings)


def _locate(file: Path, positions: Positions) -> None:
    """Operations without a location get their line, so that errors of passes have one too."""
    name = StringAttr(_name(file))
    for op in positions:
        at = positions.of(op)
        if at is not None and isinstance(op.location, UnknownLoc):
            op.location = FileLineColLoc(name, IntAttr(at.line), IntAttr(at.column))


def _show_program(data: bytes, file: Path, settings: Settings, output: Path | None) -> None:
    """A program is the end of the road: its disassembly can be read, not transformed."""
    name = _name(file)
    _refuse_change("a compiled program", file, settings)
    if settings.pipeline != AS_EVER or settings.first or settings.last:
        raise FuriosaError("a compiled program cannot be transformed", file=name)
    try:
        program = read_program(data)
        text = "\n".join(backend_for(program.target).container.disassemble(program))
    except FuriosaError as error:
        raise error.at(file=name) from error
    if output is not None:
        write_whole(text.encode(), output)
    else:
        _print(f"{text}\n", settings)
