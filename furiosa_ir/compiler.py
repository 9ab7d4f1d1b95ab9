"""The compiler's entry points: a model in, a program (or IR) out.

`compile_model` looks into the cache first, `driver.compile_source` is what compiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from furiosa_ir.arguments import optional_text, positive_integer
from furiosa_ir.backends import backend_for, default_backend
from furiosa_ir.batch_figures import AUTO, BatchSize
from furiosa_ir.cache.compilation import compile_program
from furiosa_ir.cache.settings import CacheSettings
from furiosa_ir.driver import CompileResult, compile_source
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.model_source import Source, model_source
from furiosa_ir.network_part import PartArguments, part_of
from furiosa_ir.plugin_source import Plugin, plugin_list

if TYPE_CHECKING:
    from furiosa_ir.ir.pipeline import Pipeline

__all__ = ["CompileResult", "compile_model", "compile_source", "default_pipeline"]


def compile_model(
    source: Source,
    target: str | None = None,
    batch_size: BatchSize = None,
    cache: CacheSettings | None = None,
    plugins: Sequence[Plugin] = (),
    passes: str | Pipeline | None = None,
    **part: Unpack[PartArguments],
) -> bytes:
    """Compiles a model to a program, or finds it in the cache.

    Args:
        source: an ONNX or TFLite network or one of our IRs: a path, the file's content, a file
            that is open in binary mode, or an `onnx.ModelProto`.
        target: one of `backends.targets`. None: what IR text says, and the default target where
            nothing does.
        batch_size: how many samples the inputs hold, for a network whose batch is open or 1;
            None keeps it as the file has it, an open one as 1; "auto" compares 1, 2, 4, ... and
            takes the best (`batch_figures.best_batch`). The results are those of so many single
            runs, one behind the other.
        cache: where compiled programs are kept (`cache.settings.NO_CACHE`: nowhere); by default as
            the environment says.
        plugins: code that declares operators or backends, which is loaded first: Python files,
            folders of packages, or modules by their names (`furiosa_ir.plugins`).
        passes: a pipeline (`default_pipeline().insert_after("graph-partition", "my-pass")`), or the
            text of one, in place of the compiler's own passes.
        **part: `input_shapes` and `dims` fix extents that a network leaves open, `inputs` and
            `outputs` compile what is between them (`network_part.PartArguments`).

    Returns:
        The content of the program's file.

    Raises:
        FuriosaError: the model cannot be read or compiled.
    """
    if batch_size is not None and not (isinstance(batch_size, str) and batch_size == AUTO):
        batch_size = positive_integer(batch_size, "batch size", CompilationFailure)
    optional_text(target, "target", CompilationFailure)
    result = compile_program(
        model_source(source),
        target=target,
        batch_size=batch_size,
        settings=cache,
        plugins=plugin_list(plugins),
        part=part_of(**part),
        passes=passes,
    )
    program = result.program
    assert not isinstance(program, Path)
    return bytes(program)


def default_pipeline(target: str | None = None) -> Pipeline:
    """The passes that a compile runs where nobody says anything else; edits make others of it.

    Args:
        target: what is compiled for; None: the default target.

    Raises:
        CompilationFailure: there is no such target.
    """
    return (default_backend() if target is None else backend_for(target)).pipeline()
