"""furiosa-ir as an ONNX backend: `onnx.backend.base.Backend` on the compiler and the simulator.

import furiosa_ir.onnx_backend as backend

rep = backend.prepare(onnx.load("network.onnx"))
(result,) = rep.run([image])

A model is compiled to a program and run by a session, as every other user of both does. The
NPU takes static shapes only: a model with open dimensions is compiled when `run` tells them, once
for each combination of shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import helper, numpy_helper
from onnx.backend.base import Backend, BackendRep

from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.numerics.array import Array
from furiosa_ir.runtime import Session, session

__all__ = [
    "FuriosaBackend",
    "FuriosaBackendRep",
    "is_compatible",
    "prepare",
    "run_model",
    "run_node",
    "supports_device",
]

Inputs = Mapping[str, ArrayLike] | Sequence[ArrayLike] | ArrayLike
"""One array, several in order, or by name."""

_Shapes = tuple[tuple[str, tuple[int, ...]], ...]

_DEVICES = ("CPU", "NPU")
"""The NPU is simulated on the CPU: both mean the same."""


class FuriosaBackendRep(BackendRep):
    """A model ready to run.

    Args:
        model: the ONNX model.
        target: what to compile for, as `furiosa_ir.compiler.compile_model` takes it.

    Raises:
        FuriosaError: the model cannot be compiled.
    """

    def __init__(self, model: onnx.ModelProto, target: str | None = None) -> None:
        self._model = model
        self._target = target
        defaults = {str(t.name) for t in model.graph.initializer}
        values = cast("Sequence[Any]", model.graph.input)
        self._dtypes = {str(v.name): _dtype(v) for v in values}
        self._required = [name for name in self._dtypes if name not in defaults]
        self._sessions: dict[_Shapes, Session] = {}
        self._open = any(not _is_static(v) for v in values if v.name in self._required)
        self._static: Session | None = None if self._open else _compile(model, target)

    def run(self, inputs: Inputs, **kwargs: Any) -> tuple[Array, ...]:
        """Runs the model once.

        Args:
            inputs: one array, a list or tuple in the order of the model's inputs, or a dict by
                name. Inputs with an initialiser may be left out: all of them, or by name.
            kwargs: accepted for the interface's signature.

        Returns:
            The model's outputs, in order.

        Raises:
            FuriosaError: the inputs are not the model's, or with their shapes the model cannot be
                compiled.
        """
        given = self._named(inputs)
        overridden = [name for name in given if name not in self._required]
        if self._static is not None and not overridden:
            return tuple(self._static.run(given).numpy())
        key = tuple((name, array.shape) for name, array in given.items())
        if key not in self._sessions:
            self._sessions[key] = _compile(_specialized(self._model, dict(key)), self._target)
        return tuple(self._sessions[key].run(given).numpy())

    def _named(self, inputs: Inputs) -> dict[str, Array]:
        """The inputs by name, in the model's order, as arrays."""
        if isinstance(inputs, Mapping):
            by_name = dict(inputs)
        else:
            several = isinstance(inputs, list | tuple)
            ordered = list(cast("Sequence[ArrayLike]", inputs)) if several else [inputs]
            names = list(self._dtypes)
            if len(ordered) != len(names):
                names = self._required
            if len(ordered) != len(names):
                raise ExecutionFailure(
                    f"the network takes {len(names)} inputs, {len(ordered)} were given"
                )
            by_name = dict(zip(names, cast("list[ArrayLike]", ordered), strict=True))
        for name in by_name:
            if name not in self._dtypes:
                raise ExecutionFailure(f"the network has no input '{name}'")
        return {n: self._array(n, by_name[n]) for n in self._dtypes if n in by_name}

    def _array(self, name: str, value: ArrayLike) -> Array:
        """Numbers and lists become arrays of the model's type; arrays stay what they are."""
        if isinstance(value, np.ndarray | np.generic):
            return np.asarray(cast("Any", value))
        try:
            return np.asarray(value, self._dtypes[name])
        except (TypeError, ValueError, OverflowError):
            raise ExecutionFailure(f"the input '{name}' is not an array") from None


class FuriosaBackend(Backend):
    """The interface that ONNX's own tests, and tools that take any backend, run models through."""

    @classmethod
    def is_compatible(
        cls,
        model: onnx.ModelProto,  # noqa: ARG003  # the interface's
        device: str = _DEVICES[0],
        **kwargs: Any,  # noqa: ARG003
    ) -> bool:
        """Whether a model may be prepared for a device: on any device that there is."""
        return cls.supports_device(device)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether `device` is "CPU" or "NPU", with or without a number behind a colon."""
        return device.partition(":")[0] in _DEVICES

    @classmethod
    def prepare(
        cls,
        model: onnx.ModelProto,
        device: str = _DEVICES[0],
        *,
        target: str | None = None,
        **kwargs: Any,  # noqa: ARG003
    ) -> FuriosaBackendRep:
        """Compiles a model.

        Args:
            model: the ONNX model.
            device: see `supports_device`.
            target: what to compile for, one of `furiosa_ir.backends.targets`.
            kwargs: accepted for the interface's signature.

        Raises:
            FuriosaError: there is no such device, or the model cannot be compiled.
        """
        if not cls.supports_device(device):
            raise ExecutionFailure(
                f"there is no device '{device}'", hint=f"use {' or '.join(_DEVICES)}"
            )
        return FuriosaBackendRep(model, target)

    @classmethod
    def run_model(
        cls, model: onnx.ModelProto, inputs: Inputs, device: str = _DEVICES[0], **kwargs: Any
    ) -> tuple[Array, ...]:
        """Compiles a model and runs it once; see `prepare` and `FuriosaBackendRep.run`."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Inputs,
        device: str = _DEVICES[0],
        outputs_info: Sequence[tuple[Any, tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Array, ...]:
        """Runs one operator.

        Args:
            node: the operator; an input with an empty name is left out.
            inputs: its inputs, by name or in order.
            device: see `supports_device`.
            outputs_info: dtype and shape of each output; inferred if not given.
            kwargs: `opset_version`: of the operator's set (default: the newest of that set);
                others as `prepare` takes them.

        Raises:
            FuriosaError: the operator cannot be compiled, or does not take these inputs.
        """
        version = kwargs.pop("opset_version", None)
        names = list(dict.fromkeys(str(i) for i in node.input if i))
        if isinstance(inputs, Mapping):
            by_name = {k: np.asarray(v) for k, v in cast("Mapping[str, Any]", inputs).items()}
        else:
            several = isinstance(inputs, list | tuple)
            ordered = list(cast("Sequence[Any]", inputs)) if several else [inputs]
            if len(ordered) != len(names):
                raise ExecutionFailure(
                    f"the operator takes {len(names)} inputs, {len(ordered)} were given"
                )
            by_name = dict(zip(names, map(np.asarray, ordered), strict=True))
        # Shapes and axes as constants: they determine the rank of what the operator makes.
        constants = {n: a for n, a in by_name.items() if a.dtype == np.int64 and a.ndim == 1}
        given = {n: a for n, a in by_name.items() if n not in constants}
        model = _model_of(node, given, constants, outputs_info, version)
        return cls.run_model(model, given, device, **kwargs)


is_compatible = FuriosaBackend.is_compatible
prepare = FuriosaBackend.prepare
run_model = FuriosaBackend.run_model
run_node = FuriosaBackend.run_node
supports_device = FuriosaBackend.supports_device


def _compile(model: onnx.ModelProto, target: str | None) -> Session:
    return session.create(compile_model(model, target=target))


def _is_static(value: Any) -> bool:
    tensor = value.type.tensor_type
    return not value.type.HasField("tensor_type") or (
        tensor.HasField("shape")
        and all(d.HasField("dim_value") and d.dim_value >= 0 for d in tensor.shape.dim)
    )


def _dtype(value: Any) -> np.dtype[Any] | None:
    try:
        return helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    except KeyError:
        return None


def _specialized(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> onnx.ModelProto:
    """The model with these inputs of these shapes, none of which keeps its default value."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    graph: Any = fixed.graph
    kept = [t for t in graph.initializer if t.name not in shapes]
    if len(kept) != len(graph.initializer):
        del graph.initializer[:]
        graph.initializer.extend(kept)
    for value in graph.input:
        shape = shapes.get(value.name)
        if shape is None:
            continue
        declared = value.type.tensor_type
        dims = declared.shape.dim
        if declared.HasField("shape") and not _matches(dims, shape):
            continue  # the session says what does not fit
        declared.shape.CopyFrom(onnx.TensorShapeProto())
        for extent in shape:
            declared.shape.dim.add().dim_value = extent
    return fixed


def _matches(dims: Sequence[Any], shape: tuple[int, ...]) -> bool:
    return len(dims) == len(shape) and all(
        not d.HasField("dim_value") or d.dim_value in (-1, n)
        for d, n in zip(dims, shape, strict=True)
    )


def _model_of(
    node: onnx.NodeProto,
    inputs: Mapping[str, Array],
    constants: Mapping[str, Array],
    outputs_info: Sequence[tuple[Any, tuple[int, ...]]] | None,
    version: int | None,
) -> onnx.ModelProto:
    """A model of one operator."""
    given = [_value_info(name, array.dtype, array.shape) for name, array in inputs.items()]
    names = [str(o) for o in node.output if o]
    if outputs_info is None:
        results = [onnx.ValueInfoProto(name=name) for name in names]
    else:
        results = [
            _value_info(name, np.dtype(dtype), shape)
            for name, (dtype, shape) in zip(names, outputs_info, strict=False)
        ]
    domain = "" if node.domain == "ai.onnx" else str(node.domain)
    if version is None:
        version = onnx.defs.onnx_opset_version() if not domain else 1
    imports = [helper.make_opsetid(domain, version)]
    if domain:
        imports.append(helper.make_opsetid("", onnx.defs.onnx_opset_version()))
    initial = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph([node], node.op_type or "node", given, results, initial)
    model = helper.make_model(graph, opset_imports=imports)
    model.ir_version = helper.find_min_ir_version_for(imports, ignore_unknown=True)
    return model


def _value_info(name: str, dtype: np.dtype[Any], shape: Sequence[int]) -> onnx.ValueInfoProto:
    try:
        code = helper.np_dtype_to_tensor_dtype(dtype if dtype.kind != "U" else np.dtype(object))
    except (KeyError, ValueError):
        raise ExecutionFailure(f"ONNX has no elements of dtype {dtype}") from None
    return helper.make_tensor_value_info(name, code, list(shape))
