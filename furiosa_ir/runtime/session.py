"""Sessions: load a program and run it."""

from __future__ import annotations

import logging
import os
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

import numpy as np
from numpy.typing import ArrayLike

from furiosa_ir.arguments import positive_integer
from furiosa_ir.backends import backend_for, read_program
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.formats import Format, head_of, recognise
from furiosa_ir.latency import Latency
from furiosa_ir.model_source import Source, model_source
from furiosa_ir.network_part import PartArguments, part_of
from furiosa_ir.numerics.array import Array
from furiosa_ir.plugin_source import Plugin, find_plugin, plugin_list
from furiosa_ir.plugins import load_plugins, raise_plugin_failure
from furiosa_ir.program import DeviceSegment, HostSegment, Program
from furiosa_ir.runtime.device import target_of
from furiosa_ir.runtime.engines import engine_asked_for, host_engine
from furiosa_ir.runtime.errors import SessionClosed
from furiosa_ir.runtime.host import HostEngine, MakeEngine, check_declared, engine_here
from furiosa_ir.runtime.model import Described, Inputs, Model
from furiosa_ir.runtime.state import State
from furiosa_ir.runtime.tensor import Tensor, TensorArray

if TYPE_CHECKING:
    from furiosa_ir.backends import Executor

_LOG = logging.getLogger(__name__)

ModelSource = Source
"""A path, the content of a file, an open file or an `onnx.ModelProto`."""


def create(
    model: ModelSource,
    device: str | None = None,
    worker_num: int | None = None,
    batch_size: int | None = None,
    compiler_config: Mapping[str, Any] | None = None,
    compiler_hints: bool = True,
    plugins: Sequence[Plugin] = (),
    **part: Unpack[PartArguments],
) -> Session:
    """A session for a model; what is no program is compiled first.

    Args:
        model: a program, an ONNX or TFLite file or IR text (recognised by its content): its path,
            its content as bytes, a file that is open in binary mode; or an `onnx.ModelProto`.
        device: what to compile for: a device as its backend specifies it (`Backend.devices`), or a
            target. None: what a program or IR text is for, and the default target where nothing
            says so.
        worker_num: how many runs go on at once, and so how many times there is memory for one;
            further threads wait. As many as there are CPUs for this process, if it is None.
        batch_size: what the batch dimension of the inputs becomes.
        compiler_config: accepted for the vendor's signature; no setting of it applies here.
        compiler_hints: print to stderr why operators stay on the host, when compiling.
        plugins: code that declares operators or backends, loaded when compiling, or kernels of
            custom ones (`furiosa_ir.host_kernels`): Python files, folders of packages, or modules
            by their names.
        **part: `input_shapes` and `dims` fix extents that a network leaves open, `inputs` and
            `outputs` take what is between them (`network_part.PartArguments`).

    Raises:
        FuriosaError: the model cannot be read or compiled.
    """
    if worker_num is not None:
        worker_num = positive_integer(worker_num, "number of workers", ExecutionFailure)
    if batch_size is not None:
        batch_size = positive_integer(batch_size, "batch size", ExecutionFailure)
    if compiler_config:
        _warn_of_settings(compiler_config)
    plugins = plugin_list(plugins)
    for plugin in plugins:  # also where nothing has to be compiled, a wrong name is told
        find_plugin(plugin)
    target = target_of(device, plugins)
    source, chosen = model_source(model), part_of(**part)
    head = source if isinstance(source, bytes) else head_of(source)
    if recognise(head, plugins) is Format.PROGRAM:
        session = Session(_with_kernels(read_program(source, plugins), plugins), worker_num)
        if batch_size is not None:
            session.require_batch(batch_size)
        if target is not None:
            session.require_target(target)
        name = None if isinstance(source, bytes) else str(source)
        chosen.require_whole("the shapes of a program", name)
        return session
    # A session of a program needs neither the cache nor the compiler.
    from furiosa_ir.cache.compilation import compile_program  # noqa: PLC0415

    result = compile_program(
        source, target=target, batch_size=batch_size, plugins=plugins, part=chosen
    )
    session = Session(_with_kernels(read_program(result.program, plugins), plugins), worker_num)
    if compiler_hints:
        session.print_hints()
    return session


def _with_kernels(program: Program, plugins: Sequence[Plugin]) -> Program:
    """The program, with the plug-ins loaded whose kernels its host segments may need."""
    if any(isinstance(segment, HostSegment) for segment in program.segments):
        load_plugins(plugins)
    return program


def _warn_of_settings(given: object) -> None:
    if not isinstance(given, Mapping):
        raise ExecutionFailure(f"the compiler_config is of type {type(given).__name__}, no mapping")
    names = ", ".join(map(str, cast("Mapping[object, object]", given)))
    _LOG.warning("compiler_config has no effect here: %s", names)


@dataclass(frozen=True)
class _Loaded:
    """What runs a program.

    Attributes:
        program: the program, whose constants lie in the mapped file.
        executor: of its device segments; None if it has none.
        hosts: of its host segments, by index.
        make_engine: what made those.
        state: its variables.
    """

    program: Program
    executor: Executor | None
    hosts: Mapping[int, HostEngine]
    make_engine: MakeEngine
    state: State


def _load(program: Program, make_engine: MakeEngine) -> _Loaded:
    executor = None
    if not all(isinstance(s, HostSegment) for s in program.segments):
        executor = backend_for(program.target).executor(program)
    return _Loaded(program, executor, _hosts(program, make_engine), make_engine, State(program))


def _hosts(program: Program, make_engine: MakeEngine) -> dict[int, HostEngine]:
    return {
        index: host_engine(segment, make_engine)
        for index, segment in enumerate(program.segments)
        if isinstance(segment, HostSegment)
    }


class Session(Described):
    """A program ready to run. `run` may be called from several threads at once.

    It holds the state of a network that has one: what a run assigns to variables, the next one
    reads. Such runs go one after another, whatever `worker_num` says; a run that fails leaves the
    state as it was. `reset` clears it.

    It may be made before a fork and used in parent and children; each then has its own from there
    on, in memory that they share until they write to it.

    Args:
        program: what `backends.read_program` or the compiler made.
        worker_num: see `create`.
        make_engine: makes what runs a host segment; default: an engine in this process, or, if
            the environment asks for it (`FURIOSA_HOST_ISOLATION`), in one of its own.

    Raises:
        ExecutionFailure: the program breaks a rule of the machine.
    """

    def __init__(
        self,
        program: Program,
        worker_num: int | None = None,
        *,
        make_engine: MakeEngine | None = None,
    ) -> None:
        self._model = Model.of(program)
        self._loaded: _Loaded | None = _load(program, make_engine or engine_asked_for())
        # Each run of a network with state waits for the one before.
        self.worker_num = 1 if program.variables else worker_num or usable_processors()
        self._workers = threading.Semaphore(self.worker_num)
        self._running: set[int] = set()  # the threads that are within a run
        _SESSIONS.add(self)

    @property
    def program(self) -> Program:
        """The program."""
        return self._opened().program

    @property
    def latency(self) -> Latency:
        """The estimated latency of a run, cold (the session's first) and warm, and its parts.

        Raises:
            SessionClosed: the session is closed.
        """
        program = self.program
        return backend_for(program.target).costs(program).latency

    @property
    def model(self) -> Model:
        """The network's inputs and outputs."""
        self._opened()
        return self._model

    def _opened(self) -> _Loaded:
        loaded = self._loaded
        if loaded is None:
            raise SessionClosed("the session is closed")
        return loaded

    def print_hints(self) -> None:
        """Prints to stderr why operators run on the host, each reason once."""
        rows = (
            row for s in self.program.segments if isinstance(s, HostSegment) for row in s.operators
        )
        for hint in dict.fromkeys(
            f"Hint [{number}]: {reason}" for _, _, number, reason in rows if number
        ):
            sys.stderr.write(hint + "\n")

    def require_batch(self, batch_size: int) -> None:
        """Refuses another batch size than the program's, which compiling fixed.

        Raises:
            ExecutionFailure: an input's first extent is another.
        """
        for desc in self.inputs():
            if desc.shape[:1] != (batch_size,):
                raise ExecutionFailure(
                    f"the program takes '{desc.name}' of shape {list(desc.shape)}, "
                    f"not of batch size {batch_size}",
                    hint="compile the network for that batch size",
                )

    def require_target(self, target: str) -> None:
        """Refuses another target than the program's, which compiling fixed.

        Raises:
            ExecutionFailure: the program is for another.
        """
        if self.program.target != target:
            raise ExecutionFailure(
                f"the program is for '{self.program.target}', not for '{target}'",
                hint="compile the network for that target",
            )

    def run(self, inputs: Inputs) -> TensorArray:
        """Runs the network once.

        Args:
            inputs: one array, a list or tuple of arrays in order, or a dict by name. They must
                not change until the run has ended.

        Returns:
            The outputs, in order.

        Raises:
            SessionClosed: the session is closed.
            InvalidInput: an input is missing or has another name, shape or dtype than the
                network's.
            ExecutionFailure: an operator on the host refuses its operands, and is named.
        """
        return self._run(self.model.arrays(inputs), range(self.output_num))

    def run_with(self, outputs: Sequence[str], inputs: Mapping[str, ArrayLike]) -> TensorArray:
        """Runs the network once; inputs and outputs go by name.

        Args:
            outputs: the names of the outputs wanted, in that order.
            inputs: every input by its name.

        Returns:
            The outputs asked for.

        Raises:
            ExecutionFailure: as `run`, or there is no such output.
        """
        names = [outputs] if isinstance(outputs, str) else outputs
        wanted = self.model.output_indices(names)
        return self._run(self.model.arrays(inputs), wanted)

    def _run(self, inputs: Sequence[Array], wanted: Sequence[int]) -> TensorArray:
        with self._workers:
            # Another thread may close the session meanwhile: this run keeps what it needs.
            loaded = self._opened()
            thread = threading.get_ident()
            self._running.add(thread)
            try:
                kept = loaded.state.values
                values = _run_segments(loaded, {**_bound(loaded.program.inputs, inputs), **kept})
                loaded.state.keep(values)
            finally:
                self._running.discard(thread)
        given = {id(array) for array in (*inputs, *kept.values())}
        tensors: list[Tensor] = []
        for index in wanted:
            array = values[loaded.program.outputs[index]]
            # A result never shares memory with what the caller passed in, nor with the state.
            if id(array) in given:
                array = array.copy()
            tensors.append(Tensor(self._model.output_descs[index], array))
        return TensorArray(tensors)

    def reset(self) -> None:
        """Clears the state: the next run is as the first of a new session.

        Runs that go on come to their end first. Without state there is nothing to do.

        Raises:
            SessionClosed: the session is closed.
        """
        with self._workers:  # of a network with state there is one
            self._opened().state.reset()

    def close(self) -> None:
        """Frees what the session holds; using it afterwards is an error.

        It does not wait: runs that go on come to their end, and the last one frees the memory.
        """
        self._loaded = None

    def renew_after_fork(self) -> None:
        """Makes the session usable in the child of a fork, where other threads are gone.

        What they had locked stays locked for ever: locks are made anew, and where a run was going
        on, so are the host engines, which may have been amidst something. Isolated ones are the
        parent's.
        """
        self._workers = threading.Semaphore(self.worker_num)
        loaded, running = self._loaded, bool(self._running)
        self._running.clear()
        if loaded is not None and (running or loaded.make_engine is not engine_here):
            _LEFT_BEHIND.append(loaded.hosts)
            hosts = _hosts(loaded.program, loaded.make_engine)
            self._loaded = replace(loaded, hosts=hosts)

    def _repr_html_(self) -> str:
        from furiosa_ir.notebook.program_page import session_page  # noqa: PLC0415  # notebooks

        loaded = self._loaded
        return session_page(None if loaded is None else loaded.program, self.worker_num)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _bound(indices: Sequence[int], arrays: Sequence[Array]) -> dict[int, Array]:
    return dict(zip(indices, arrays, strict=True))


def _run_segments(loaded: _Loaded, values: dict[int, Array]) -> dict[int, Array]:
    """All tensors of the program by index, given its inputs and its state."""
    program = loaded.program
    for index, segment in enumerate(program.segments):
        if isinstance(segment, HostSegment):
            results = loaded.hosts[index].run([values[t] for t in segment.reads])
            check_declared(segment, [program.tensors[t] for t in segment.makes], results)
            values.update(_bound(segment.makes, results))
        else:
            assert loaded.executor is not None
            needed = {t: values[t] for t in segment.reads}
            try:
                made = loaded.executor.run_segment(index, needed)
            except Exception as error:
                raise_plugin_failure(error, None, f"the segment '{segment.name}'")
                raise
            _check_made(program, segment, made)
            values.update(made)
    return values


def _check_made(program: Program, segment: DeviceSegment, made: object) -> None:
    """Checks what an executor answers: it may be a plug-in's.

    Raises:
        ExecutionFailure: not each of the segment's outputs is there as it is declared.
    """
    for index in segment.makes:
        tensor = program.tensors[index]
        array: object = None
        if isinstance(made, Mapping):
            array = cast("Mapping[int, object]", made).get(index)
        array = cast("Array | None", array if isinstance(array, np.ndarray) else None)
        if array is None:
            what = f"makes no array for '{tensor.name}'"
        elif (_name_of(array.dtype), array.shape) != (tensor.dtype, tensor.shape):
            made_as = f"{array.dtype.name}{list(array.shape)}"
            declared = f"{tensor.dtype}{list(tensor.shape)}"
            what = f"makes '{tensor.name}' as {made_as}, which is declared as {declared}"
        else:
            continue
        raise ExecutionFailure(f"the executor of '{program.target}' {what}, in {segment.name}")


@cache
def _name_of(dtype: np.dtype[Any]) -> str:
    """`dtype.name`, which takes numpy 5 us."""
    return dtype.name


def usable_processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_SESSIONS: weakref.WeakSet[Session] = weakref.WeakSet()
_LEFT_BEHIND: list[Mapping[int, HostEngine]] = []
"""Host engines that may have been in use at a fork: destroying them in the child might hang."""


def _renew_sessions() -> None:
    for session in _SESSIONS:
        session.renew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_sessions)
