"""Watching a compile for the case that it fails, and writing down what it needs to fail again.

What is written is the module in front of the pass that failed, and from there the passes to the end
of its phase, as mlir-opt's local reproducer does. Before it is called one, it is tried: it has to
fail in the same way. If it does not (the failure depends on what text does not say, or an earlier
pass left something unsound), the module from the beginning of the phase is tried, then the one that
was read; that one is kept whatever it does.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.backends.target import backend_of
from furiosa_ir.cache.external_data import external_locations
from furiosa_ir.errors import FuriosaError
from furiosa_ir.formats import Format, head_of, recognise
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Instrumentation, Phase, Pipeline
from furiosa_ir.ir.text import write_module
from furiosa_ir.ir.text_format import constants_path
from furiosa_ir.leftovers import temporary_folder
from furiosa_ir.plugins import PluginFiles, files_of_plugins
from furiosa_ir.reproducer.container import (
    CONSTANTS,
    MODULE,
    NETWORK,
    WATCHING,
    WITH_NETWORK,
    Failure,
    PluginCopy,
    Reproducer,
    write_reproducer,
)
from furiosa_ir.reproducer.running import opened_reproducer, run_reproducer, versions

_FILE = "the program's file"
_VARYING = re.compile(r"0x[0-9a-f]+|\d{8,}")
"""What of a message may be another each time: addresses."""
_MOST_CODE = 1 << 20
"""Bytes of a plug-in's file that is put into a reproducer."""


@dataclass
class CrashRecorder(Instrumentation):
    """Keeps what a compile may fail on: copies of the module, which cost some milliseconds each.

    Attributes:
        path: the file that a failure is written to.
        to_program: whether the compile makes a program.
        verify_each: whether it verifies each pass.
        source: the file that is compiled.
        options: how it is read (`container.Reproducer`).
        target_ir: the level of IR that is compiled to; None: a program.
    """

    path: Path
    to_program: bool
    verify_each: bool = False
    source: Path = Path("-")
    options: dict[str, str] = field(default_factory=dict[str, str])
    target_ir: str | None = None
    _is_importing: bool = False
    _start: ModuleOp | None = None
    _phases: list[Phase] = field(default_factory=list[Phase])
    _before_phase: ModuleOp | None = None
    _passes: int = 0
    _before_pass: ModuleOp | None = None
    _end: ModuleOp | None = None
    _where: str | None = None

    @override
    def before_stage(self, name: str) -> None:
        self._is_importing = name == "import"

    @override
    def before_pipeline(self, module: ModuleOp) -> None:
        self.forget()
        self._is_importing = False
        self._start = module.clone()

    @override
    def before_phase(self, phase: Phase, module: ModuleOp) -> None:
        self._phases.append(phase)
        self._before_phase, self._passes, self._end = module.clone(), 0, None

    @override
    def before_pass(self, what: Pass, module: ModuleOp) -> None:
        self._before_pass = module.clone() if self._passes else self._before_phase
        self._passes += 1

    @override
    def after_phase(self, phase: Phase, module: ModuleOp, seconds: float) -> None:
        self._end = module.clone()

    @override
    def failed(self, what: str, module: ModuleOp) -> None:
        self._where = what

    def forget(self) -> None:
        """What fails from here on is nothing of the compile's."""
        self._start = self._before_phase = self._before_pass = self._end = self._where = None
        self._phases.clear()

    def write(self, error: Exception | SystemExit) -> Reproducer | None:
        """Writes what failed.

        Args:
            error: what the compile has raised; a pass of a plug-in may end the process.

        Returns:
            What was written; None if there is nothing: no pass had begun, and the source is no
            network of one file.

        Raises:
            FuriosaError: the file cannot be written, or the IR is so unsound that it has no text.
        """
        if self._is_importing:
            return self._write_network(error)
        if self._start is None or not self._phases:
            return None
        where, text = self._found_in(error), _traceback(error)
        failure = Failure(where, type(error).__name__, _message(error), text)
        candidates = list(self._candidates(failure))
        if failure.is_of_watching:  # nothing watches a trial
            del candidates[1:]
        for made, module in candidates:
            is_last = made is candidates[-1][0]
            try:
                written = self._write(made, module, error, is_last=is_last)
            except FuriosaError:
                if is_last:
                    raise
            except Exception as unsound:  # of printing what a pass has left
                if is_last:
                    text = f"the IR cannot be printed, {type(unsound).__name__}: {unsound}"
                    raise FuriosaError(text) from unsound
            else:
                if written is not None:
                    return written
        return None

    def _write(
        self, made: Reproducer, module: ModuleOp, error: BaseException, *, is_last: bool
    ) -> Reproducer | None:
        """Writes the file if it fails as it should, or is the last."""
        with temporary_folder() as folder:
            text = folder / MODULE
            write_module(module, text)
            beside = constants_path(text)
            members = {MODULE: text} | ({CONSTANTS: beside} if beside.exists() else {})
            trial = folder / "trial"
            write_reproducer(made, members, trial)
            # What took all memory once would do so again.
            is_worth_it = not (isinstance(error, MemoryError) or made.failure.is_of_watching)
            fails = is_worth_it and fails_so(trial, made.failure)
            if not fails and not is_last:
                return None
            made = replace(made, is_tried=fails)
            write_reproducer(made, members, self.path)
            return made

    def _write_network(self, error: BaseException) -> Reproducer | None:
        """Writes the network that could not be imported."""
        source = self.source
        if not source.is_file() or recognise(head_of(source)) not in (Format.ONNX, Format.TFLITE):
            return None
        if external_locations(source.read_bytes()):  # of a TFLite file: None
            return None
        failure = Failure("the import", type(error).__name__, _message(error), _traceback(error))
        made = replace(self._whole(failure), begins=WITH_NETWORK, target_ir=self.target_ir)
        members = {NETWORK: source}
        with temporary_folder() as folder:
            write_reproducer(made, members, folder / "trial")
            if not isinstance(error, MemoryError) and fails_so(folder / "trial", failure):
                made = replace(made, is_tried=True)
        write_reproducer(made, members, self.path)
        return made

    def _whole(self, failure: Failure) -> Reproducer:
        return Reproducer(
            failure,
            begins="as it was read",
            pipeline=Pipeline("", tuple(self._phases)).text if self._phases else "",
            target_ir=None,
            verify_each=self.verify_each,
            source=self.source.name,
            command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            options=self.options,
            versions=versions(),
            plugins=tuple(map(_copy, files_of_plugins())),
        )

    def _found_in(self, error: BaseException) -> str:
        if self._where is not None:
            return self._where
        if self._end is not None:
            return _FILE
        phase = self._phases[-1]
        what = f"the phase '{phase.name}'"
        if self._passes:
            what = f"the pass '{phase.resolve()[self._passes - 1].name}'"
        # Of what ends the process nobody is told.
        return f"{WATCHING}{what}" if isinstance(error, Exception) else what

    def _candidates(self, failure: Failure) -> Iterator[tuple[Reproducer, ModuleOp]]:
        """What may be written, the least first."""
        whole = self._whole(failure)
        makes_program = self.to_program and self._end is not None
        for begins, pipeline, module in self._beginnings():
            level = None if makes_program else backend_of(module).levels[-1]
            text = whole.pipeline if pipeline is None else pipeline
            yield replace(whole, begins=begins, pipeline=text, target_ir=level), module

    def _beginnings(self) -> Iterator[tuple[str, str | None, ModuleOp]]:
        """(where a module is from, what runs on it or None for all, the module)."""
        assert self._start is not None
        if self._end is not None:
            yield "behind all passes", "", self._end
        elif self._before_phase is not None:
            phase = self._phases[-1]
            if self._before_pass is not None and self._passes:
                left = phase.resolve()[self._passes - 1 :]
                text = replace(phase, passes=left).text
                yield f"before the pass '{left[0].name}'", text, self._before_pass
            yield f"before the phase '{phase.name}'", phase.text, self._before_phase
        yield "as it was read", None, self._start


def fails_so(path: Path, failure: Failure) -> bool:
    """Whether a reproducer fails as it should.

    Args:
        path: its file.
        failure: what it should fail with.
    """
    try:
        with opened_reproducer(path) as (reproducer, module):
            run_reproducer(reproducer, module)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever, it is compared
        return is_same(error, failure)
    return False


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def is_same(error: BaseException, failure: Failure) -> bool:
    """Whether an error is the one that a reproducer is of."""
    messages = (_VARYING.sub("", text) for text in (_message(error), failure.message))
    return type(error).__name__ == failure.type and len(set(messages)) == 1


def _message(error: BaseException) -> str:
    return error.message if isinstance(error, FuriosaError) else str(error)


def _copy(plugin: PluginFiles) -> PluginCopy:
    digests = {name: digest.hex() for name, (_, digest) in plugin.files.items()}
    texts: dict[str, str] = {}
    for name, (path, digest) in plugin.files.items():
        with suppress(OSError, UnicodeDecodeError):
            data = path.read_bytes() if plugin.is_files and name.endswith(".py") else b""
            if data and len(data) <= _MOST_CODE and hashlib.sha256(data).digest() == digest:
                texts[name] = data.decode()
    return PluginCopy(plugin.name, plugin.main, digests, texts)
