"""LiteRT as the reference of TFLite networks: all its tensors, on the original file.

The file is anybody's, and some inputs end LiteRT's process: it has one of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.shaped_operation import DYNAMIC, shape_of
from furiosa_ir.native_process import Answer, Job, NativeCrash, NativeProcesses, Order
from furiosa_ir.numerics.array import Array
from furiosa_ir.verification.reference import ReferenceValues
from furiosa_ir.verification.trace import CompileTrace


class LiteRTReference:
    """LiteRT's kernels, with every tensor of the network kept.

    Args:
        data: the TFLite file.
        trace: the compile, whose values name tensors by their index.
        wanted: numbers of the values to keep.
        optimized: whether the network means LiteRT's optimised kernels (`graph.kernels`), because
            the reference resolver refuses it; they round some convolutions in another way.

    Raises:
        FuriosaError: LiteRT is not installed, or does not run the network.
    """

    def __init__(
        self, data: bytes, trace: CompileTrace, wanted: frozenset[int], *, optimized: bool
    ) -> None:
        self.name = f"LiteRT's {'optimised' if optimized else 'reference'} kernels"
        self._process = NativeProcesses(__name__, {"optimized": optimized}, data, single=True)
        self._inputs: list[list[int]] = self._call("shapes").value
        self._tensors: dict[int, int] = {}
        self._shapes: dict[int, tuple[int, ...]] = {}
        for number, known in enumerate(trace.values):
            if number in wanted and isinstance(known.tensor, int):
                self._tensors[number] = known.tensor
                self._shapes[number] = shape_of(known.value)

    @property
    def covered(self) -> frozenset[int]:
        """Numbers of the values that are tensors of the file."""
        return frozenset(self._tensors)

    def values(self, feeds: Mapping[str, Array], *, with_margins: bool = False) -> ReferenceValues:
        """The values on one input; of a batch, one sample after another.

        Raises:
            FuriosaError: LiteRT refuses the input.
        """
        arrays = list(feeds.values())
        parts: list[list[Array]] = []
        size = 1
        for shape, array in zip(self._inputs, arrays, strict=True):
            grown = [i for i, n in enumerate(shape) if n != array.shape[i]]
            if grown and shape[grown[0]] == 1:
                size = array.shape[grown[0]]
                parts.append(np.split(array, size, grown[0]))
            else:
                parts.append([array])
        runs = [self._run([p[i % len(p)] for p in parts]) for i in range(size)]
        values: dict[int, Array] = {}
        for number, shape in self._shapes.items():
            value = _together([run[0][number] for run in runs], shape)
            if value is not None:
                values[number] = value
        outputs = [
            np.concatenate(each) if size > 1 and each[0].ndim else each[0]
            for each in zip(*(run[1] for run in runs), strict=True)
        ]
        return ReferenceValues(values, outputs)

    def _run(self, arrays: Sequence[Array]) -> tuple[dict[int, Array], list[Array]]:
        found = self._call("run", arrays, tensors=list(self._tensors.values())).arrays
        values = dict(zip(self._tensors, found, strict=False))
        return values, list(found[len(values) :])

    def _call(self, job: str, arrays: Sequence[Array] = (), **options: Any) -> Answer:
        try:
            return self._process.call(job, arrays=arrays, **options)
        except NativeCrash as crash:
            raise FuriosaError(
                f"LiteRT does not run the source: its process {crash}", hint=crash.hint
            ) from None


def _together(samples: Sequence[Array], shape: Sequence[int]) -> Array | None:
    """The samples' values as the batched network has them; None where they are no such."""
    first = samples[0]
    if len(samples) == 1:
        fits = first.ndim == len(shape) and all(
            n in (DYNAMIC, m) for n, m in zip(shape, first.shape, strict=True)
        )
        # A shape that the file leaves out is not known to LiteRT's interpreter either.
        return first if fits else None
    if first.shape == tuple(shape):
        same = all(np.array_equal(first, other) for other in samples[1:])
        return first if same else None
    grown = [i for i, n in enumerate(shape) if n != first.shape[i]]
    if len(grown) != 1:
        return None
    result = np.concatenate(samples, grown[0])
    return result if result.shape == tuple(shape) else None


# In the child.


def jobs(options: Mapping[str, Any], data: bytes) -> Mapping[str, Job]:
    """`shapes` of the inputs; `run`: the values of tensors, and behind them the outputs."""
    running = _interpreter(data, optimized=options["optimized"])
    inputs: list[Any] = running.get_input_details()

    def shapes(_order: Order) -> Answer:
        return Answer([[int(n) for n in detail["shape"]] for detail in inputs])

    def run(order: Order) -> Answer:
        try:
            for detail, array in zip(inputs, order.arrays, strict=True):
                if tuple(detail["shape"]) != array.shape:
                    running.resize_tensor_input(detail["index"], array.shape)
                    running.allocate_tensors()
            for detail, array in zip(inputs, order.arrays, strict=True):
                running.set_tensor(detail["index"], array)
            running.invoke()
            wanted = [*order.options["tensors"]]
            wanted += [d["index"] for d in running.get_output_details()]
            return Answer(arrays=[running.get_tensor(index) for index in wanted])
        except (RuntimeError, ValueError) as error:
            text = " ".join(str(error).split())
            raise FuriosaError(f"LiteRT does not run the source: {text}") from error

    return {"shapes": shapes, "run": run}


def _interpreter(data: bytes, *, optimized: bool) -> Any:
    try:
        from ai_edge_litert import interpreter as litert  # noqa: PLC0415  # an optional extra
    except ImportError:
        raise FuriosaError(
            "--verify of a TFLite network needs LiteRT", hint="pip install furiosa-ir[litert]"
        ) from None
    kinds = litert.OpResolverType
    kind = kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES if optimized else kinds.BUILTIN_REF
    try:
        running: Any = litert.Interpreter(
            model_content=data,
            experimental_op_resolver_type=kind,
            experimental_preserve_all_tensors=True,
            num_threads=1,
        )
        running.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise FuriosaError(f"LiteRT does not run the source: {text}") from error
    return running
