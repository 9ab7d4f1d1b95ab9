"""Sessions: load a program and run it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike

from furiosa_ir.backends.warboy.enf.records import HostSegment, NpuSegment, Program
from furiosa_ir.backends.warboy.enf.records import Tensor as TensorRecord
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.runtime.device import target_of
from furiosa_ir.runtime.host import HostEngine, host_engine
from furiosa_ir.runtime.tensor import (
    Array,
    DataType,
    Tensor,
    TensorArray,
    TensorDesc,
    tensor_format,
)

_LOG = logging.getLogger(__name__)

ModelSource = str | os.PathLike[str] | bytes | bytearray | memoryview
"""A path, or the content of a file: ENF, ONNX or TFLite."""

Inputs = Mapping[str, ArrayLike] | Sequence[ArrayLike] | ArrayLike
"""One array, several in order, or by name."""

_ENF = b"enf"


def create(
    model: ModelSource,
    device: str | None = None,
    worker_num: int | None = None,
    batch_size: int | None = None,
    compiler_config: Mapping[str, Any] | None = None,
    compiler_hints: bool = True,
) -> Session:
    """A session for a model; what is no ENF program is compiled first.

    Args:
        model: path or content of an ENF, ONNX or TFLite file (recognised by its content).
        device: what to compile for: "warboy(1)*1" (one PE), "warboy(2)*1" (two, the default).
        worker_num: accepted for the vendor's signature; a session runs in its caller's threads.
        batch_size: what the batch dimension of the inputs becomes.
        compiler_config: accepted for the vendor's signature; no setting of it applies here.
        compiler_hints: print to stderr why operators stay on the host, when compiling.

    Raises:
        FuriosaError: the model cannot be read or compiled.
    """
    if worker_num is not None and worker_num < 1:
        raise ExecutionFailure(f"{worker_num} workers cannot run anything")
    if batch_size is not None and batch_size < 1:
        raise ExecutionFailure(f"the batch size {batch_size} is not positive")
    if compiler_config:
        _LOG.warning("compiler_config has no effect here: %s", ", ".join(compiler_config))
    target = target_of(device)
    # Writable buffers are copied: the program refers to its constants where they lie.
    source = bytes(model) if isinstance(model, bytearray | memoryview) else model
    if _head(source) == _ENF:
        session = Session(_read(source))
        if batch_size is not None:
            session.require_batch(batch_size)
        return session
    # A session of an ENF file needs neither the cache nor the compiler.
    from furiosa_ir.cache.compilation import compile_program  # noqa: PLC0415

    content = source if isinstance(source, bytes) else Path(source)
    result = compile_program(content, target=target, batch_size=batch_size)
    session = Session(_read(result.program))
    if compiler_hints:
        session.print_hints()
    return session


def _head(source: str | os.PathLike[str] | bytes) -> bytes:
    """The first three bytes; none for a file that cannot be read, which importers explain."""
    if isinstance(source, bytes):
        return source[:3]
    try:
        with Path(source).open("rb") as file:
            return file.read(3)
    except (OSError, ValueError):
        return b""


def _read(source: str | os.PathLike[str] | bytes | memoryview) -> Program:
    from furiosa_ir.backends.warboy.enf.reader import read_program  # noqa: PLC0415

    return read_program(source)


class Session:
    """A program ready to run. `run` may be called from several threads at once.

    Args:
        program: what the ENF reader made.

    Raises:
        ExecutionFailure: the program breaks a rule of the machine.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._closed = False
        self._simulator: Any = None
        if any(isinstance(s, NpuSegment) for s in program.segments):
            from furiosa_ir.backends.warboy.simulator import Simulator  # noqa: PLC0415

            self._simulator = Simulator(program)
        self._hosts: dict[int, HostEngine] = {
            index: host_engine(segment)
            for index, segment in enumerate(program.segments)
            if isinstance(segment, HostSegment)
        }
        self._inputs = [self._describe(program.tensors[i]) for i in program.inputs]
        self._outputs = [self._describe(program.tensors[i]) for i in program.outputs]

    def _describe(self, tensor: TensorRecord) -> TensorDesc:
        return TensorDesc(
            tensor.name,
            tensor.shape,
            DataType(tensor.dtype),
            tensor_format(tensor.shape, self._program.source_framework),
            tensor.scale,
            tensor.zero_point,
        )

    @property
    def program(self) -> Program:
        """The program."""
        return self._program

    @property
    def input_num(self) -> int:
        """The number of inputs."""
        return len(self._inputs)

    @property
    def output_num(self) -> int:
        """The number of outputs."""
        return len(self._outputs)

    def inputs(self) -> list[TensorDesc]:
        """The inputs, in order."""
        return list(self._inputs)

    def outputs(self) -> list[TensorDesc]:
        """The outputs, in order."""
        return list(self._outputs)

    def input(self, idx: int) -> TensorDesc:
        """Input `idx`."""
        if not 0 <= idx < len(self._inputs):
            raise ExecutionFailure(f"there is no input {idx}; the network has {len(self._inputs)}")
        return self._inputs[idx]

    def output(self, idx: int) -> TensorDesc:
        """Output `idx`."""
        if not 0 <= idx < len(self._outputs):
            raise ExecutionFailure(
                f"there is no output {idx}; the network has {len(self._outputs)}"
            )
        return self._outputs[idx]

    def summary(self) -> str:
        """The inputs and outputs as text."""
        inputs, outputs = dict(enumerate(self._inputs)), dict(enumerate(self._outputs))
        return f"Inputs:\n{inputs}\nOutputs:\n{outputs}"

    def print_summary(self) -> None:
        """Prints the inputs and outputs."""
        sys.stdout.write(self.summary() + "\n")

    def print_hints(self) -> None:
        """Prints to stderr why operators run on the host, each reason once."""
        rows = (
            row for s in self._program.segments if isinstance(s, HostSegment) for row in s.operators
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
        for desc in self._inputs:
            if desc.shape[:1] != (batch_size,):
                raise ExecutionFailure(
                    f"the program takes '{desc.name}' of shape {list(desc.shape)}, "
                    f"not of batch size {batch_size}",
                    hint="compile the network for that batch size",
                )

    def run(self, inputs: Inputs) -> TensorArray:
        """Runs the network once.

        Args:
            inputs: one array, a list or tuple of arrays in order, or a dict by name.

        Returns:
            The outputs, in order.

        Raises:
            ExecutionFailure: the session is closed, or an input is missing or has another name,
                shape or dtype than the network's.
        """
        return self._run(self._in_order(inputs), list(range(len(self._outputs))))

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
        names = [desc.name for desc in self._outputs]
        wanted: list[int] = []
        for name in [outputs] if isinstance(outputs, str) else outputs:
            if name not in names:
                raise ExecutionFailure(
                    f"there is no output '{name}'; the outputs are {', '.join(map(repr, names))}"
                )
            wanted.append(names.index(name))
        return self._run(self._by_name(inputs), wanted)

    def _in_order(self, inputs: Inputs) -> list[ArrayLike]:
        if isinstance(inputs, Mapping):
            return self._by_name(inputs)
        if isinstance(inputs, list | tuple | TensorArray):
            given = list(cast("Sequence[ArrayLike]", inputs))
        else:
            given = [cast("ArrayLike", inputs)]
        if len(given) != len(self._inputs):
            raise ExecutionFailure(
                f"the network takes {len(self._inputs)} inputs, {len(given)} were given"
            )
        return given

    def _by_name(self, inputs: Mapping[str, ArrayLike]) -> list[ArrayLike]:
        names = [desc.name for desc in self._inputs]
        for name in inputs:
            if name not in names:
                raise ExecutionFailure(
                    f"there is no input '{name}'; the inputs are {', '.join(map(repr, names))}"
                )
        for name in names:
            if name not in inputs:
                raise ExecutionFailure(f"the input '{name}' is missing")
        return [inputs[name] for name in names]

    def _run(self, inputs: Sequence[ArrayLike], wanted: Sequence[int]) -> TensorArray:
        # Another thread may close the session meanwhile: this run keeps what it needs.
        program, simulator, hosts = self._program, self._simulator, self._hosts
        if self._closed:
            raise ExecutionFailure("the session is closed")
        values: dict[int, Array] = {
            index: _checked(desc, given)
            for index, desc, given in zip(program.inputs, self._inputs, inputs, strict=True)
        }
        for index, segment in enumerate(program.segments):
            if isinstance(segment, NpuSegment):
                needed = {b.tensor: values[b.tensor] for b in segment.inputs}
                values.update(simulator.run_segment(index, needed))
                continue
            results = hosts[index].run([values[t] for t in segment.inputs])
            values.update(zip(segment.outputs, results, strict=True))
        given_arrays = {id(values[i]) for i in program.inputs}
        tensors: list[Tensor] = []
        for index in wanted:
            array = values[program.outputs[index]]
            # A result never shares memory with what the caller passed in.
            if id(array) in given_arrays:
                array = array.copy()
            tensors.append(Tensor(self._outputs[index], array))
        return TensorArray(tensors)

    def close(self) -> None:
        """Frees what the session holds; running it afterwards is an error."""
        self._closed = True
        self._simulator = None
        self._hosts = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _checked(desc: TensorDesc, given: ArrayLike) -> Array:
    """The input as a contiguous array of the network's dtype and shape."""
    try:
        array: Array = np.asarray(given)
    except (ValueError, TypeError):
        raise ExecutionFailure(f"the input '{desc.name}' is not an array") from None
    if desc.dtype is DataType.STRING and array.dtype.kind in "UT":
        array = array.astype(object)
    if array.dtype != desc.numpy_dtype:
        raise ExecutionFailure(
            f"the input '{desc.name}' is of dtype {array.dtype}, the network takes "
            f"{desc.numpy_dtype}"
        )
    fits = len(array.shape) == len(desc.shape) and all(
        n in (-1, m) for n, m in zip(desc.shape, array.shape, strict=True)
    )
    if not fits:
        raise ExecutionFailure(
            f"the input '{desc.name}' has shape {list(array.shape)}, the network takes "
            f"{list(desc.shape)}"
        )
    return np.ascontiguousarray(array).reshape(array.shape)
