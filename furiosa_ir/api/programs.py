"""Compiled networks: what a compile makes, as an object to look at, to save and to run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Unpack

from xdsl.dialects.builtin import ModuleOp

from furiosa_ir import program as tables
from furiosa_ir.backends import backend_for, read_program
from furiosa_ir.batch_figures import BatchSize
from furiosa_ir.cache.settings import NO_CACHE
from furiosa_ir.compiler import compile_model
from furiosa_ir.driver import compile_module, failures_named, garbage_collection_paused
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.files import write_whole
from furiosa_ir.formats import Format, head_of, recognise
from furiosa_ir.ir.pipeline import Pipeline
from furiosa_ir.model_source import Source, model_source
from furiosa_ir.network_part import PartArguments
from furiosa_ir.notebook.program_page import program_page
from furiosa_ir.numerics.array import Array
from furiosa_ir.plugin_source import Plugin, plugin_list
from furiosa_ir.plugins import load_plugins
from furiosa_ir.runtime.model import Inputs, Model
from furiosa_ir.runtime.session import Session, create
from furiosa_ir.runtime.tensor import TensorDesc
from furiosa_ir.verification.trace import copy_module


class Program:
    """A compiled network: the content of a program's file, read and checked.

    `bytes(program)` is that content; `session.create` takes it as well.

    Args:
        content: of a file that a compile made.
        plugins: code that declares its backend, which is loaded if nobody else has its format.

    Raises:
        FormatFailure: it is damaged, or no program.
    """

    def __init__(self, content: bytes, plugins: Sequence[Plugin] = ()) -> None:
        self._content = content
        self._plugins = tuple(plugin_list(plugins))
        self.tables: tables.Program = read_program(content, self._plugins)
        """Tensors, segments, layers: what the file says, as records."""

    def __bytes__(self) -> bytes:
        return self._content

    def __len__(self) -> int:
        return len(self._content)

    def __eq__(self, other: object) -> bool:
        return self._content == other._content if isinstance(other, Program) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._content)

    @property
    def target(self) -> str:
        """What it was compiled for."""
        return self.tables.target

    @cached_property
    def _model(self) -> Model:
        return Model.of(self.tables)

    @property
    def inputs(self) -> list[TensorDesc]:
        """The network's inputs, in order."""
        return self._model.inputs()

    @property
    def outputs(self) -> list[TensorDesc]:
        """The network's outputs, in order."""
        return self._model.outputs()

    def save(self, path: Path | str) -> None:
        """Writes the file, whole or not at all.

        Raises:
            FuriosaError: it cannot be written.
        """
        write_whole(self._content, Path(path))

    def session(self, worker_num: int | None = None) -> Session:
        """A session that runs it: `with program.session() as running: running.run(x)`.

        Raises:
            FuriosaError: it breaks a rule of the machine.
        """
        return create(self._content, worker_num=worker_num, plugins=self._plugins)

    def disassemble(self) -> str:
        """The program as text, a line a command."""
        return "\n".join(backend_for(self.target).container.disassemble(self.tables))

    def __repr__(self) -> str:
        title = backend_for(self.target).container.title
        layers, segments = len(self.tables.layers), len(self.tables.segments)
        return (
            f"<Program: {title} for {self.target}, {layers} layers in {segments} "
            f"segment{'s' * (segments != 1)}, {len(self._content)} bytes>"
        )

    def _repr_html_(self) -> str:
        return program_page(self.tables, len(self._content))


def compile_network(
    source: Source | ModuleOp,
    target: str | None = None,
    *,
    batch_size: BatchSize = None,
    passes: str | Pipeline | None = None,
    plugins: Sequence[Plugin] = (),
    use_cache: bool = True,
    **part: Unpack[PartArguments],
) -> Program:
    """Compiles a network, or a module from where it is.

    Args:
        source: what `load` takes, or a module, which stays as it is.
        target: one of `furiosa list targets`. None: what the module or text says, and the default
            target where nothing does.
        batch_size: how many samples the inputs hold; None keeps the file's batch, an open one as 1;
            "auto" compares 1, 2, 4, ... and takes the best (docs/batch-size.md).
        passes: a pipeline (`default_pipeline().insert_after("graph-partition", "my-pass")`), or the
            text of one, in place of the compiler's own.
        plugins: code that declares operators, passes or backends, which is loaded first.
        use_cache: whether a network's program may come from the compiler cache, and is kept there,
            as the environment says (docs/cache.md). Modules are always compiled.
        **part: `input_shapes` and `dims` fix extents that a network leaves open, `inputs` and
            `outputs` compile what is between them.

    Raises:
        FuriosaError: it cannot be read or compiled.
    """
    if not isinstance(source, ModuleOp):
        cache = None if use_cache else NO_CACHE
        content = compile_model(
            source, target, batch_size, cache=cache, plugins=plugins, passes=passes, **part
        )
        return Program(content, plugins)
    if batch_size is not None or any(value is not None for value in part.values()):
        raise CompilationFailure(
            "batch size and shapes of a module cannot be changed",
            hint="give them where the network is read: load(..., batch_size=...)",
        )
    load_plugins(plugin_list(plugins))
    with failures_named(), garbage_collection_paused():
        result = compile_module(copy_module(source, {}), target=target, passes=passes)
        assert result.enf is not None
        return Program(result.enf, plugins)


def load_program(source: Source, *, plugins: Sequence[Plugin] = ()) -> Program:
    """The program of a file that a compile made.

    Args:
        source: its path, its content, or a file that is open in binary mode.
        plugins: code that declares its backend.

    Raises:
        FuriosaError: it cannot be read, is damaged, or is no program.
    """
    data = model_source(source)
    if isinstance(data, Path):
        read_program(data, plugin_list(plugins))  # whose messages have the file
        data = data.read_bytes()
    return Program(data, plugins)


def program_of(source: Program | Source | ModuleOp, *, plugins: Sequence[Plugin] = ()) -> Program:
    """The program that something is, or is compiled to.

    Raises:
        FuriosaError: as `compile`.
    """
    if isinstance(source, Program):
        return source
    if not isinstance(source, ModuleOp):
        data = model_source(source)
        head = data if isinstance(data, bytes) else head_of(data)
        if recognise(head, plugin_list(plugins)) is Format.PROGRAM:
            return load_program(data, plugins=plugins)
        source = data
    return compile_network(source, plugins=plugins)


def simulate(
    program: Program | Source | ModuleOp, inputs: Inputs, *, plugins: Sequence[Plugin] = ()
) -> dict[str, Array]:
    """Runs a program once, bit for bit as the device does; host segments on their framework.

    A session keeps what running again can use: `with program.session() as running`.

    Args:
        program: a program; a network or a module is compiled first.
        inputs: one array, several in order, or arrays by name.
        plugins: code that declares backends, operators, or kernels of custom ones.

    Returns:
        Output name -> array, in order.

    Raises:
        FuriosaError: it cannot be compiled; or an input is missing or has another shape or dtype.
    """
    found = program_of(program, plugins=plugins)
    with create(bytes(found), plugins=plugins) as session:
        names = [each.name for each in session.outputs()]
        return dict(zip(names, session.run(inputs).numpy(), strict=True))
