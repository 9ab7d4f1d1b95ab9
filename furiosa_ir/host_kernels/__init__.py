"""Kernels of custom operators, in Python: what no framework runs, a plug-in may.

`@host_kernel("com.acme::SoftShrink")` stands before a function of arrays. It runs wherever the
operator would run on the host: in sessions, in `--verify`, in the interpreter. The operator is
carried whole, in a host segment of its own, so a program has nothing of the kernel in it: a session
of a program file needs the plug-in as well.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from furiosa_ir.errors import ExecutionFailure, FuriosaError
from furiosa_ir.numerics.array import Array
from furiosa_ir.plugins import is_registered_from_outside, plugin_failure
from furiosa_ir.read_only import read_only

Shape = tuple[int, ...]

_OPEN = -1


@dataclass(frozen=True)
class HostTensor:
    """A tensor that an operator takes or makes.

    Attributes:
        name: in the network; empty if it has none there.
        shape: -1 where the extent is open; None if nothing tells the rank.
        dtype: of its elements; of a quantised tensor (TFLite) the stored integers.
        scale, zero_point: of a tensor that is quantised as a whole; else 0.0 and 0.
    """

    name: str
    shape: Shape | None
    dtype: np.dtype[Any]
    scale: float = 0.0
    zero_point: int = 0


@dataclass(frozen=True)
class HostOperator:
    """The operator that a kernel runs for: a kernel with a parameter `operator` gets it.

    Attributes:
        name: "com.acme::SoftShrink", or a TFLite custom code.
        layer: what the network calls it.
        inputs, outputs: its tensors; of inputs, None for one that is left out.
        attributes: by name; of a TFLite operator, the numbers, strings and vectors of numbers of
            its options.
        custom_options: the bytes of a TFLite operator's options, whatever they are.
    """

    name: str
    layer: str
    inputs: tuple[HostTensor | None, ...]
    outputs: tuple[HostTensor, ...]
    attributes: Mapping[str, Any]
    custom_options: bytes = b""


Kernel = Callable[..., Any]
Results = Callable[..., Sequence[tuple[Sequence[int | None], Any]]]


@dataclass(frozen=True)
class HostKernel:
    """A kernel.

    Attributes:
        name: the operator's.
        function: arrays, with attributes as keywords -> an array, or a sequence of them.
        results: `HostTensor`s, with attributes as keywords -> (shape, dtype) of each result.
    """

    name: str
    function: Kernel
    results: Results | None


_KERNELS: dict[str, HostKernel] = {}


def host_kernel(operator: str, *, results: Results | None = None) -> Callable[[Kernel], Kernel]:
    """Declares a function the kernel of a custom operator; a decorator.

    The function gets the operator's inputs in order, each an array (None for one left out), and its
    attributes by name; and `operator=`, a `HostOperator`, if it has a parameter of that name. It
    returns an array, or one for each result in a list.

    The types of what the operator makes, `results` tells; without it the file (ONNX: in
    graph.value_info); else they are those of what the function makes of zeros.

    Args:
        operator: "domain::Operator" of ONNX, or a custom code of TFLite ("FlexErf").
        results: gets a `HostTensor` for each input, attributes by name and, if it has the
            parameter, `operator=`; returns (shape, dtype) for each result, None for an open extent.

    Raises:
        FuriosaError: the name is no custom operator's.
    """
    if not isinstance(operator, str) or not operator:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise FuriosaError(
            "a host kernel is declared for an operator's name",
            hint='@host_kernel("com.acme::SoftShrink")',
        )

    def declare(function: Kernel) -> Kernel:
        is_registered_from_outside(function)
        _KERNELS[operator] = HostKernel(operator, function, results)
        return function

    return declare


def find_kernel(operator: str) -> HostKernel | None:
    """The kernel of an operator; the last one that was declared."""
    return _KERNELS.get(operator)


def run_kernel(
    kernel: HostKernel, operator: HostOperator, inputs: Sequence[Array | None]
) -> list[Array]:
    """The results of an operator.

    Raises:
        FuriosaError: the kernel raises an error, which names its file and line; or it makes others
            than the operator's results.
    """
    results = _results(kernel, operator, inputs)
    return [
        _as_declared(kernel, operator, result, output)
        for result, output in zip(results, operator.outputs, strict=True)
    ]


def result_types(
    kernel: HostKernel, operator: HostOperator, constants: Sequence[Array | None]
) -> list[tuple[Shape, np.dtype[Any]]] | None:
    """The shapes and dtypes of an operator's results, as its kernel tells them.

    Args:
        kernel: the kernel.
        operator: with its inputs.
        constants: the elements of inputs that are constant; None for others.

    Returns:
        None if the kernel does not say so, and has no shapes of zeros to be run on.

    Raises:
        FuriosaError: as `run_kernel`, or `results` returns something else.
    """
    if kernel.results is not None:
        made = _called(kernel, kernel.results, operator, operator.inputs)
        try:
            types = [
                (tuple(_OPEN if n is None else int(n) for n in shape), np.dtype(dtype))
                for shape, dtype in made
            ]
        except (TypeError, ValueError):
            raise _wrong(
                kernel, operator, f"{made!r} for its results, not [(shape, dtype), ...]"
            ) from None
        if len(types) != len(operator.outputs):
            raise _wrong(kernel, operator, f"{len(types)} results, not {len(operator.outputs)}")
        return types
    arrays: list[Array | None] = []
    for tensor, constant in zip(operator.inputs, constants, strict=True):
        if tensor is not None and constant is None and (tensor.shape is None or -1 in tensor.shape):
            return None
        if tensor is None or constant is not None:
            arrays.append(constant)
        else:
            arrays.append(np.zeros(cast("Shape", tensor.shape), tensor.dtype))
    found: list[Array] = [np.asarray(r) for r in _results(kernel, operator, arrays)]
    return [(tuple(map(int, a.shape)), a.dtype) for a in found]


def _results(
    kernel: HostKernel, operator: HostOperator, inputs: Sequence[Array | None]
) -> list[Any]:
    """What the function returns, as a list of the right length."""
    given = [None if a is None else read_only(a) for a in inputs]
    made = _called(kernel, kernel.function, operator, given)
    results = list(cast("Sequence[Any]", made)) if isinstance(made, list | tuple) else [made]
    if len(results) != len(operator.outputs):
        raise _wrong(kernel, operator, f"{len(results)} results, not {len(operator.outputs)}")
    return results


def _called(
    kernel: HostKernel, function: Callable[..., Any], operator: HostOperator, inputs: Sequence[Any]
) -> Any:
    extra = {"operator": operator} if _takes_operator(function) else {}
    try:
        return function(*inputs, **operator.attributes, **extra)
    except Exception as error:  # whatever a plug-in raises
        running = f"the host kernel of '{kernel.name}'"
        failure = plugin_failure(error, running)
        if failure is None:
            text = " ".join(str(error).split()) or type(error).__name__
            failure = ExecutionFailure(f"{running} raises {type(error).__name__}: {text}")
        raise failure.at(layer=operator.layer or None) from error


def _takes_operator(function: Callable[..., Any]) -> bool:
    try:
        return "operator" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # a function of C, as numpy's
        return False


def _as_declared(
    kernel: HostKernel, operator: HostOperator, result: Any, output: HostTensor
) -> Array:
    """A result of the element type that the network has; floats of another width are rounded."""
    array: Array = np.asarray(result)
    if array.dtype == output.dtype:
        # An input that is returned stays the caller's.
        array = array if array.flags.writeable else array.copy()
        return np.ascontiguousarray(array).reshape(array.shape)
    if array.dtype.kind != output.dtype.kind:
        raise _wrong(kernel, operator, f"{array.dtype} for '{output.name}', not {output.dtype}")
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(array.astype(output.dtype)).reshape(array.shape)


def _wrong(kernel: HostKernel, operator: HostOperator, what: str) -> ExecutionFailure:
    message = f"the host kernel of '{kernel.name}' returns {what}"
    return ExecutionFailure(message, layer=operator.layer or None)
