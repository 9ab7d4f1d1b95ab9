"""`furiosa compile --verify`: a result's outputs beside those of its source framework.

TFLite: LiteRT's kernels; every integer must be equal, floats to rounding. ONNX: the network in
exact arithmetic (the interpreter), with onnxruntime as a second witness; its float32 noise flips
quantisation steps that depth amplifies, so only the first can fail a program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.backends.warboy.enf.records import Program
from furiosa_ir.backends.warboy.lowering.operation import lower_operation
from furiosa_ir.errors import FuriosaError
from furiosa_ir.importers import load
from furiosa_ir.interpreter import Interpreter, run_module
from furiosa_ir.interpreter.elements import numpy_dtype
from furiosa_ir.interpreter.run import value_names
from furiosa_ir.ir.constants import Array
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.ir.text_format import is_ir_text
from furiosa_ir.onnxruntime_session import onnx_session
from furiosa_ir.reports.host_operator import run_host_operator
from furiosa_ir.reports.litert_reference import litert_reference
from furiosa_ir.runtime.session import Session

Run = Callable[[Mapping[str, Array]], Sequence[Array]]

LEAST_EXACT_SHARE = 0.99
"""Of an ONNX network's output elements, how many must equal exact arithmetic."""


@dataclass(frozen=True)
class Agreement:
    """How far one output agrees with one reference.

    Attributes:
        output: its name.
        reference: what it was compared with.
        equal: share of elements that are equal (floats: to 1e-5 of the greatest).
        difference: the greatest absolute difference.
        required: the least share that passes; 0 for a mere witness.
    """

    output: str
    reference: str
    equal: float
    difference: float
    required: float

    @property
    def passed(self) -> bool:
        """Whether it agrees as far as it must."""
        return self.equal >= self.required

    def __str__(self) -> str:
        share = f"{self.equal * 100:.4g} %" if self.equal < 1 else "every element"
        text = f"output '{self.output}': {share} equal to {self.reference}"
        if self.equal == 1 and not self.difference:
            return text
        return f"{text}, greatest difference {self.difference:.4g}"


Subject = Program | ModuleOp
"""A program, or IR of the graph or ftensor level."""


def verify_result(
    compiled: Subject, source: Path, *, batch_size: int | None = None, count: int = 4
) -> list[Agreement]:
    """Compares a compiled result with its source on random inputs over the full range.

    Args:
        compiled: what was made of it.
        source: the ONNX or TFLite file it was made from.
        batch_size: as compiled with.
        count: how many inputs.

    Raises:
        FuriosaError: the source is no network, or the reference cannot run it.
    """
    data = source.read_bytes()
    if is_ir_text(data):
        raise FuriosaError("--verify needs an ONNX or TFLite source", file=str(source))
    subject, names = _subject(compiled)
    inputs = _input_descriptions(compiled)
    module = load(source)
    single = [shape_of(a) for a in Interpreter(module).function("main").body.block.args]
    references = [
        (name, required, _sample_by_sample(run, single, batch_size or 1))
        for name, required, run in _references(data, module)
    ]
    rng = np.random.default_rng(0)
    worst: dict[tuple[str, str], Agreement] = {}
    for _ in range(count):
        feeds = {name: _random(rng, shape, dtype) for name, shape, dtype in inputs}
        mine = subject(feeds)
        for reference, required, run_reference in references:
            for name, a, b in zip(names, mine, run_reference(feeds), strict=True):
                now = _compare(name, reference, required, np.asarray(a), np.asarray(b))
                before = worst.get((name, reference))
                if before is None or now.equal < before.equal:
                    worst[name, reference] = now
    return list(worst.values())


def _subject(compiled: Subject) -> tuple[Run, list[str]]:
    if isinstance(compiled, Program):
        session = Session(compiled)
        names = [d.name for d in session.outputs()]
        return lambda feeds: [t.numpy() for t in session.run(list(feeds.values()))], names
    module = compiled

    def interpret(feeds: Mapping[str, Array]) -> Sequence[Array]:
        results = run_module(
            module, feeds, lower_operation=lower_operation, run_host=run_host_operator
        )
        return list(results.values())

    main = Interpreter(module).function("main")
    return interpret, value_names(main.res_attrs, len(main.function_type.outputs), "output")


def _input_descriptions(compiled: Subject) -> list[tuple[str, tuple[int, ...], str]]:
    if isinstance(compiled, Program):
        tensors = [compiled.tensors[i] for i in compiled.inputs]
        return [(t.name, t.shape, t.dtype) for t in tensors]

    main = Interpreter(compiled).function("main")
    arguments = main.body.block.args
    names = value_names(main.arg_attrs, len(arguments), "input")
    return [
        (n, shape_of(a), numpy_dtype(element_of(a)).name)
        for n, a in zip(names, arguments, strict=True)
    ]


def _sample_by_sample(run: Run, single: Sequence[Sequence[int]], size: int) -> Run:
    """A reference of the file's own batch on `size` samples: what a batch means.

    Args:
        run: the reference.
        single: the shapes of its inputs.
        size: how many samples the compiled network takes.
    """

    def together(feeds: Mapping[str, Array]) -> Sequence[Array]:
        if [array.shape for array in feeds.values()] == [tuple(shape) for shape in single]:
            return run(feeds)
        parts: dict[str, list[Array]] = {}
        for (name, array), shape in zip(feeds.items(), single, strict=True):
            grown = [i for i, n in enumerate(shape) if n != array.shape[i]]
            parts[name] = np.split(array, size, grown[0]) if grown else [array] * size
        alone = [run({name: part[i] for name, part in parts.items()}) for i in range(size)]
        return [np.concatenate(results) for results in zip(*alone, strict=True)]

    return together


def _references(data: bytes, module: ModuleOp) -> list[tuple[str, float, Run]]:
    if data[4:8] == b"TFL3":
        name, run = litert_reference(data, optimized="graph.kernels" in module.attributes)
        return [(name, 1.0, run)]
    session = onnx_session(data)

    def exact(feeds: Mapping[str, Array]) -> Sequence[Array]:
        return list(run_module(module, feeds).values())

    def onnxruntime(feeds: Mapping[str, Array]) -> Sequence[Array]:
        return session.run(None, dict(feeds))

    return [("exact arithmetic", LEAST_EXACT_SHARE, exact), ("onnxruntime", 0.0, onnxruntime)]


def _random(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    try:
        kind = np.dtype(dtype)
    except TypeError:
        raise FuriosaError(f"inputs of {dtype} elements cannot be drawn at random") from None
    if kind.kind in "fV":
        return rng.uniform(-1, 1, shape).astype(kind)
    if kind.kind == "b":
        return rng.integers(0, 2, shape).astype(kind)
    info = np.iinfo(kind)
    if kind.itemsize > 1:  # indices and sizes, not data: small numbers
        return rng.integers(0, 2, shape).astype(kind)
    return rng.integers(info.min, info.max + 1, shape).astype(kind)


def _compare(name: str, reference: str, required: float, a: Array, b: Array) -> Agreement:
    if a.shape != b.shape or a.dtype != b.dtype:
        return Agreement(name, reference, 0.0, float("inf"), required)
    if a.size == 0:
        return Agreement(name, reference, 1.0, 0.0, required)
    x, y = a.astype(np.float64), b.astype(np.float64)
    if a.dtype.kind == "f":  # float32 rounding, also of sums that nearly cancel
        finite = np.abs(y[np.isfinite(y)])
        scale = float(finite.max()) if finite.size else 0.0
        same = np.isclose(x, y, rtol=1e-5, atol=1e-5 * scale + 1e-6, equal_nan=True)
    else:
        same = a == b
    with np.errstate(invalid="ignore"):
        difference = float(np.nanmax(np.abs(x - y)))
    return Agreement(name, reference, float(same.mean()), difference, required)
