"""Stepping through the passes of a compile."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.api.modules import load, run_passes
from furiosa_ir.driver import failures_named
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.pipeline import Pipeline
from furiosa_ir.model_source import Source
from furiosa_ir.notebook.exploration import Exploration, Recorder
from furiosa_ir.plugin_source import Plugin, plugin_list
from furiosa_ir.plugins import load_plugins
from furiosa_ir.verification.trace import copy_module


def explore(
    source: ModuleOp | Source,
    passes: str | Pipeline | None = None,
    *,
    target: str | None = None,
    plugins: Sequence[Plugin] = (),
) -> Exploration:
    """Runs passes and keeps the IR around each; a notebook shows a page to step through.

    What fails is part of the result: its steps end with the pass that failed, and `error` says why.

    Args:
        source: a module, which stays as it is, or what `load` takes.
        passes: a pipeline, or the text of one; None: what is left of the compiler's own.
        target: what it is for; None: what the module says, and the default where it says nothing.
        plugins: code that declares operators and passes, which is loaded first.

    Raises:
        FuriosaError: the source cannot be read, or there is no such pass or target.
    """
    load_plugins(plugin_list(plugins))
    module = copy_module(source, {}) if isinstance(source, ModuleOp) else load(source)
    recorder = Recorder()
    error: str | None = None
    try:
        with failures_named():
            run_passes(module, passes, target=target, instrumentation=[recorder])
    except FuriosaError as failure:
        if not recorder.steps:
            raise
        error = str(failure)
    return Exploration(tuple(recorder.steps), None if error else module, error)
