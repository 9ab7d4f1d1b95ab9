"""Runs device segments natively, by IREE's runtime."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from furiosa_ir.backends.mlir.dialect import SCOPE
from furiosa_ir.backends.mlir.native_code import native_code
from furiosa_ir.backends.mlir.segment import MlirSegment
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
        self._loaded = {
            i: _Loaded(segment)
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
        made = self._loaded[index].run(given)
        named = zip(segment.makes, made, strict=True)
        return {t: _as_declared(array, tensors[t].dtype) for t, array in named}


class _Loaded:
    """A segment's module in a context of its own."""

    def __init__(self, segment: MlirSegment) -> None:
        self._lock = threading.Lock()
        self._name = segment.name
        code = native_code(segment)
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
            if segment.globals_:
                index = runtime.ParameterIndex()
                # It keeps the memory that it is given.
                handle = runtime.FileHandle.wrap_memory(bytes(segment.parameters))
                index.load_from_file_handle(handle, "safetensors")
                provider = index.create_provider(scope=SCOPE)
                modules.insert(0, runtime.create_io_parameters_module(instance, provider))
            modules.append(runtime.VmModule.copy_buffer(instance, code))
            context = runtime.SystemContext(vm_modules=modules, config=config)
            self._function = context.modules.module[segment.name]
        except (RuntimeError, ValueError, AttributeError, KeyError) as error:
            raise ExecutionFailure(f"IREE cannot load {segment.name}: {error}") from error

    def run(self, given: list[Array]) -> list[Array]:
        """The function's results, as arrays of their own."""
        with self._lock:
            try:
                made: Any = self._function(*given)
            except (RuntimeError, ValueError) as error:
                raise ExecutionFailure(f"IREE fails in {self._name}: {error}") from error
            # Of one result, the array itself; of several, a list of them.
            results: list[Any] = [*made] if isinstance(made, list) else [made]
            return [np.array(result.to_host()) for result in results]


def _as_signed(array: Array) -> Array:
    """Data as i8 holds it: of unsigned bytes, the top bit is flipped; bools are 0 and 1."""
    if array.dtype == np.uint8:
        return (array ^ np.uint8(0x80)).view(np.int8)
    return array.view(np.int8) if array.dtype == np.bool_ else np.ascontiguousarray(array)


def _as_declared(array: Array, dtype: str) -> Array:
    if dtype == "uint8" and array.dtype == np.int8:
        return array.view(np.uint8) ^ np.uint8(0x80)
    return array.astype(dtype, copy=False)
