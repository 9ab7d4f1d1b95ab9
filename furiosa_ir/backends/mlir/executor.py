"""Runs device segments natively, by IREE's runtime."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from furiosa_ir.backends.mlir.dialect import SCOPE
from furiosa_ir.backends.mlir.native_code import native_code
from furiosa_ir.backends.mlir.segment import MlirSegment
from furiosa_ir.backends.mlir.text_safety import check_parameters
from furiosa_ir.errors import ExecutionFailure, FuriosaError
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import Program


class NativeExecutor:
    """The device segments of a program, as native code for this processor.

    One thread computes at a time: what IREE calls a context is not for two.

    Args:
        program: of this backend.

    Raises:
        FuriosaError: IREE is not installed, or refuses a segment.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._functions = {
            i: _function(segment)
            for i, segment in enumerate(program.segments)
            if isinstance(segment, MlirSegment)
        }

    def run_segment(self, index: int, inputs: Mapping[int, Array]) -> dict[int, Array]:
        """The segment's outputs by tensor index.

        Raises:
            ExecutionFailure: IREE fails.
        """
        segment, tensors = self._program.segments[index], self._program.tensors
        given = [_as_signed(inputs[t]) for t in segment.reads]
        made = self._functions[index](given)
        # Text that the cache has is not looked at again.
        if [array.shape for array in made] != [tuple(tensors[t].shape) for t in segment.makes]:
            raise ExecutionFailure(f"{segment.name} gives other tensors than the program says")
        named = zip(segment.makes, made, strict=True)
        return {t: _as_declared(array, tensors[t].dtype) for t, array in named}


def _function(segment: MlirSegment) -> Run:
    parameters = bytes(segment.parameters) if segment.globals_ else b""
    if parameters:
        check_parameters(segment)  # also where the text is in the cache
    (run,) = load_module(native_code(segment), parameters, [segment.name])
    return run


Run = Callable[[Sequence[Array]], list[Array]]
"""A function of a module: from its arguments to its results, as arrays of their own."""


def load_module(code: bytes, parameters: bytes, functions: Sequence[str]) -> list[Run]:
    """The functions of a module, in a context of their own that one thread uses at a time.

    Args:
        code: as `native_code` gives it.
        parameters: a safetensors file of its globals' elements; empty if it has none.
        functions: their names.

    Raises:
        FuriosaError: IREE's runtime is not installed.
        ExecutionFailure: it cannot load the module.
    """
    module = _Module(code, parameters, functions)
    return [partial(module.run, number) for number in range(len(functions))]


_FAILURES = (RuntimeError, ValueError, LookupError, TypeError, MemoryError)
"""What IREE raises, which gives some of its states as exceptions of their own."""


class _Module:
    """What `load_module` loads; also in the child of a fork, where other threads are gone."""

    def __init__(self, code: bytes, parameters: bytes, functions: Sequence[str]) -> None:
        self._code, self._parameters, self._names = code, parameters, functions
        self._lock = threading.Lock()
        self._functions: list[Callable[..., Any]] | None = self._loaded()
        _MODULES.add(self)

    def _loaded(self) -> list[Callable[..., Any]]:
        try:
            import iree.runtime as iree  # noqa: PLC0415  # an extra
        except ImportError:
            raise FuriosaError(
                "IREE's runtime is not installed", hint="install furiosa-ir[iree]"
            ) from None
        runtime: Any = iree
        try:
            config = runtime.Config("local-sync")
            instance = config.vm_instance
            modules = [runtime.create_hal_module(instance, config.device)]
            if self._parameters:
                index = runtime.ParameterIndex()
                # It keeps the memory that it is given.
                handle = runtime.FileHandle.wrap_memory(self._parameters)
                index.load_from_file_handle(handle, "safetensors")
                provider = index.create_provider(scope=SCOPE)
                modules.insert(0, runtime.create_io_parameters_module(instance, provider))
            modules.append(runtime.VmModule.copy_buffer(instance, self._code))
            context = runtime.SystemContext(vm_modules=modules, config=config)
            return [context.modules.module[name] for name in self._names]
        except (*_FAILURES, AttributeError) as error:
            names = ", ".join(self._names)
            raise ExecutionFailure(f"IREE cannot load {names}: {error}") from error

    def run(self, number: int, given: Sequence[Array]) -> list[Array]:
        with self._lock:
            if self._functions is None:
                self._functions = self._loaded()
            try:
                made: Any = self._functions[number](*given)
            except _FAILURES as error:
                raise ExecutionFailure(f"IREE fails in {self._names[number]}: {error}") from error
            # Of one result, the array itself; of several, all of them.
            results: list[Any] = [*made] if isinstance(made, list | tuple) else [made]
            return [np.array(result.to_host()) for result in results]

    def renew_after_fork(self) -> None:
        """Leaves behind what another thread was amidst: its lock would be held for ever."""
        if self._lock.locked():
            _LEFT_BEHIND.append(self._functions)
            self._functions = None
            self._lock = threading.Lock()


_MODULES: weakref.WeakSet[_Module] = weakref.WeakSet()
_LEFT_BEHIND: list[object] = []
"""Contexts that were in use at a fork: destroying them in the child might hang."""


def _renew_modules() -> None:
    for module in _MODULES:
        module.renew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_modules)


def _as_signed(array: Array) -> Array:
    """Data as i8 holds it: of unsigned bytes, the top bit is flipped; bools are 0 and 1."""
    if array.dtype == np.uint8:
        return np.asarray(array ^ np.uint8(0x80)).view(np.int8)
    # Not by ascontiguousarray, which gives a scalar a dimension.
    return array.view(np.int8) if array.dtype == np.bool_ else np.asarray(array, order="C")


def _as_declared(array: Array, dtype: str) -> Array:
    if dtype == "uint8" and array.dtype == np.int8:
        return np.asarray(array.view(np.uint8) ^ np.uint8(0x80))
    return array.astype(dtype, copy=False)
