"""What a rule or a pass must not do to a module: change a value, run without end, let it grow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.utils.exceptions import VerifyException

from furiosa_ir.debugging.inputs import inputs_of
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.errors import CompilationFailure, ExecutionFailure, VerificationFailure
from furiosa_ir.interpreter import Interpreter
from furiosa_ir.ir.text import print_module
from furiosa_ir.lowering.operation import lower_operation
from furiosa_ir.numerics import elementary
from furiosa_ir.numerics.array import Array
from furiosa_ir.verification.inputs import Feeds, NetworkInput
from tests.passes.generated.modules import Drawn

MOST_APPLICATIONS = 8
"""Of rules for each operation that a module has: many more than any end needs."""

Rewrite = Callable[[ModuleOp], int]
"""Rewrites a module; how many rules it applied."""


class Fault(AssertionError):  # what a rule does wrong
    """A rule changes a value, does not end, or lets a program grow."""


class NotRunnable(Exception):  # no error: the module is not one to compare
    """The interpreter has no meaning for what was drawn."""


@dataclass(frozen=True)
class Verdict:
    """What rewriting did.

    Attributes:
        applied: how many rules.
        before, after: how many operations there were and are.
        compared: how many runs were compared.
    """

    applied: int
    before: int
    after: int
    compared: int


def judge(drawn: Drawn, rewrite: Rewrite, what: str, inputs: int = 3) -> Verdict:
    """Rewrites a module and compares what it computes, bit for bit.

    Args:
        drawn: the module, which is rewritten.
        rewrite: what does it.
        what: is tried, for messages.
        inputs: how many random and edge-case inputs, where not all 8-bit values are run.

    Raises:
        Fault: a value changes, or the rules do not come to an end, or fail.
        NotRunnable: the module has no meaning to compare.
    """
    module = drawn.module
    text = print_module(module, locations=False)
    before = operations(module)
    original = module.clone()
    try:
        applied = rewrite(module)
    except CompilationFailure as error:
        _fault(what, drawn, text, str(error))
    except Exception as error:  # noqa: BLE001  # whatever a rule raises
        _fault(what, drawn, text, f"{type(error).__name__}: {error}", error)
    if not applied:
        return Verdict(0, before, before, 0)
    try:
        module.verify()
    except (VerifyException, VerificationFailure) as error:
        _fault(what, drawn, text, f"what it leaves is wrong: {error}", error)
    feeds = feeds_of(drawn, original, inputs)
    for each in feeds:
        want = _run(original, each)
        try:
            got = _run(module, each)
        except NotRunnable as error:
            _fault(what, drawn, text, f"the result does not run: {error}", error)
        for name, array in want.items():
            if not same_bits(array, got[name]):
                wrong = _different(array, got[name])
                now = print_module(module, locations=False)
                _fault(what, drawn, f"{text}\nbecomes\n{now}", f"{name} {wrong}")
    return Verdict(applied, before, operations(module), len(feeds))


def operations(module: ModuleOp) -> int:
    """How many operations there are."""
    return sum(1 for _ in module.walk())


def same_bits(some: Array, others: Array) -> bool:
    """Whether two arrays are of one type and hold the same; one NaN is as good as another."""
    if some.dtype != others.dtype or some.shape != others.shape:
        return False
    if some.dtype.kind == "f":
        signs = np.signbit(some) == np.signbit(others)
        return bool(np.array_equal(some, others, equal_nan=True) and np.all(signs | np.isnan(some)))
    return np.array_equal(some, others)


def _different(want: Array, got: Array) -> str:
    if want.dtype != got.dtype or want.shape != got.shape:
        return f"is {got.dtype}{list(got.shape)}, not {want.dtype}{list(want.shape)}"
    same = want == got
    if want.dtype.kind == "f":
        same &= np.signbit(want) == np.signbit(got)
    at = tuple(int(i) for i in np.argwhere(~np.atleast_1d(same))[0])[: want.ndim]
    return f"{list(at)} is {got[at]} instead of {want[at]}"


def _fault(
    what: str, drawn: Drawn, text: str, why: str, cause: Exception | None = None
) -> NoReturn:
    raise Fault(f"{what}: {why}\n(drawn with '{drawn.seed}')\n{text}") from cause


def feeds_of(drawn: Drawn, module: ModuleOp, count: int) -> list[Feeds]:
    """Inputs: every 8-bit value in each place where these are few, else random and edge cases."""
    given = inputs_of(module)
    rng = np.random.default_rng(len(drawn.seed))
    feeds = [{i.name: _elements(i, number, rng) for i in given} for number in range(count)]
    bytes_ = [i for i in given if i.dtype.kind in "iu" and i.dtype.itemsize == 1]
    columns = [i for i in bytes_ if i.shape[:1] == (256,)]
    if not drawn.whole or not columns:
        return feeds if given else [{}]
    every: list[Feeds] = []
    for shift in (0, 77)[: len(columns)]:  # of several arguments: other pairs
        every.append(dict(feeds[0]))
        for number, entry in enumerate(columns):
            info = np.iinfo(str(entry.dtype))
            values = np.roll(np.arange(info.min, info.max + 1).astype(entry.dtype), shift * number)
            column = values.reshape(-1, *[1] * (len(entry.shape) - 1))
            every[-1][entry.name] = np.broadcast_to(column, entry.shape)
    return every


def _elements(entry: NetworkInput, number: int, rng: np.random.Generator) -> Array:
    """Noise over the whole range, near its middle, and at its ends, in turn."""
    middle = (entry.low + entry.high) / 2
    match number % 3:
        case 0:
            values = rng.uniform(entry.low, entry.high, entry.shape)
        case 1:
            values = middle + (entry.high - entry.low) / 16 * rng.uniform(-1, 1, entry.shape)
        case _:
            values = rng.choice([entry.low, middle, entry.high], entry.shape)
    if entry.dtype.kind == "b":
        return np.asarray(values > middle)
    return np.asarray(np.rint(values) if entry.dtype.kind in "iu" else values).astype(entry.dtype)


def _refuse(op: GraphOp, _operands: Sequence[Array]) -> NoReturn:
    raise ExecutionFailure(f"no framework runs {op.name} here")


def _run(module: ModuleOp, feeds: Mapping[str, Array]) -> dict[str, Array]:
    try:
        # A rule may change the shapes of a product, and with these a library the order of its sums.
        with np.errstate(all="ignore"), elementary.portable_products():
            return Interpreter(module, lower_operation, _refuse).run(feeds)
    except ExecutionFailure as error:
        raise NotRunnable(str(error)) from error
    except (ArithmeticError, AssertionError, LookupError, TypeError) as error:
        if module.attributes["graph.source"] != StringAttr("tflite"):
            raise
        # A form that LiteRT has no kernel for, which no file has.
        raise NotRunnable(str(error)) from error


def limit(module: ModuleOp) -> int:
    """How many rules may be applied to a module."""
    return MOST_APPLICATIONS * (operations(module) + 4)
