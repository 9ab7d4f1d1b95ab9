"""Metrics of the user's own: Python that is named (`--metric FILE.py:NAME`), never a file's.

A metric is called with a sample's outputs by name, and its label:

    def absolute_error(outputs, label):
        return abs(float(outputs["angle"][0, 0]) - label)

Of what it returns, numbers or a dict of numbers, the result is the mean. One that has a method
`summary` returns what JSON knows, or arrays, and `summary` makes the result of the list of all:

    class MeanIou:
        def __call__(self, outputs, label): ...  # counts of a sample
        def summary(self, counts): ...  # a number, or a dict of numbers
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, isfinite
from pathlib import Path
from typing import Any, cast

import numpy as np

from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.plugin_source import find_plugin
from furiosa_ir.plugins import load_plugins

Values = float | dict[str, float]
_PACKAGE = str(Path(__file__).parents[1])


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        function: is called for each sample.
        name: what it is called.
        identity: differs where its code does.
    """

    function: Callable[..., Any]
    name: str
    identity: str

    @property
    def _summary(self) -> Callable[[Sequence[Any]], Any] | None:
        return getattr(self.function, "summary", None)

    def of_sample(self, outputs: Mapping[str, Any], label: Any, sample: str) -> Any:
        """What it returns for a sample, as JSON knows it.

        Args:
            outputs: arrays by the names of outputs.
            label: the sample's; its number where there are none.
            sample: what messages call it.

        Raises:
            FuriosaError: the metric raises an exception, or returns something else.
        """
        try:
            value = self.function(outputs, label)
        except Exception as error:
            raise self._failure(error, f"for {sample}") from error
        try:
            plain = _plain(value)
            return plain if self._summary is not None else _numbers(plain)
        except TypeError as error:
            raise self._wrong(f"{error} for {sample}") from None

    def is_value(self, value: Any) -> bool:
        """Whether something that a file has can be what it has returned for a sample."""
        try:
            return self._summary is not None or _numbers(value) == value
        except TypeError:
            return False

    def of_all(self, values: Sequence[Any]) -> Values:
        """The result: the mean, or what `summary` makes of the values.

        Args:
            values: of the samples, in their order.

        Raises:
            FuriosaError: as `of_sample`; or the samples have different numbers.
        """
        if self._summary is None:
            return _mean(values, self.name)
        try:
            result = self._summary(list(values))
        except Exception as error:
            raise self._failure(error, "in 'summary'") from error
        try:
            return _numbers(_plain(result))
        except TypeError as error:
            raise self._wrong(f"{error} in 'summary'") from None

    def _failure(self, error: Exception, where: str) -> FuriosaError:
        """The exception of a metric, with its line: the last one that is not of a library."""
        if isinstance(error, FuriosaError):
            return error
        text = " ".join(str(error).split())
        text = f"the metric raises {type(error).__name__}{': ' * bool(text)}{text}, {where}"
        return FuriosaError(text, file=_line_of(error), hint="FURIOSA_TRACEBACK=1 shows all of it")

    def _wrong(self, what: str) -> FuriosaError:
        called = getattr(type(self.function), "__call__")  # noqa: B004, B009  # of an object
        code = getattr(self.function, "__code__", None) or getattr(called, "__code__", None)
        where = None if code is None else f"{_shown(code.co_filename)}:{code.co_firstlineno}"
        return FuriosaError(f"the metric '{self.name}' returns {what}", file=where)


def _line_of(error: Exception) -> str | None:
    """FILE:LINE where the user's own code was last."""
    found = None
    traceback = error.__traceback__
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        foreign = file.startswith((_PACKAGE, sys.prefix, sys.base_prefix, "<frozen"))
        if not foreign:
            found = f"{_shown(file)}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found


def _shown(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def find_metric(metric: str | Path | Callable[..., Any]) -> Metric:
    """The metric that is meant.

    Args:
        metric: a function, a callable object or a class of one; or where it is, FILE.py:NAME or
            MODULE:NAME. Without a name it is called `metric`.

    Raises:
        FuriosaError: there is none, or its file raises an exception.
    """
    if not isinstance(metric, str | Path):
        name = getattr(metric, "__qualname__", type(metric).__qualname__)
        return Metric(_made(metric, name), name, f"{getattr(metric, '__module__', '')}.{name}")
    text = str(metric)
    file, separator, name = text.rpartition(":")
    if not separator or Path(text).exists():
        file, name = text, "metric"
    try:
        source = find_plugin(file)
    except FuriosaError as error:
        raise FuriosaError(
            f"the metric cannot be loaded: {error.message}",
            file=error.file,
            hint="name it as FILE.py:FUNCTION",
        ) from None
    load_plugins([file])
    found = getattr(sys.modules[source.module], name, None)
    if not callable(found):
        raise FuriosaError(
            f"there is no function '{readable(name)}'",
            file=file,
            hint="name the metric as FILE.py:FUNCTION",
        )
    digest = hashlib.sha256(source.file.read_bytes()).hexdigest()
    return Metric(_made(found, name), name, f"{name} {digest}")


def _made(metric: Callable[..., Any], name: str) -> Callable[..., Any]:
    """An object of a class; anything else as it is.

    Raises:
        FuriosaError: the class cannot be instantiated, or its objects cannot be called.
    """
    if not isinstance(metric, type):
        if callable(metric):
            return metric
        raise FuriosaError(f"the metric is of type {type(metric).__name__}, no function")
    try:
        made: Any = metric()
    except Exception as error:
        text = " ".join(str(error).split())
        raise FuriosaError(
            f"the metric '{name}' cannot be made: {type(error).__name__}: {text}",
            file=_line_of(error),
        ) from error
    if not callable(made):
        raise FuriosaError(f"the metric '{name}' has no method __call__(outputs, label)")
    return made


def _plain(value: Any) -> Any:
    """A value as JSON knows it.

    Raises:
        TypeError: it does not; the text says what it is.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = cast("Any", value).tolist()
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        if not isfinite(value):
            raise TypeError(f"{'a NaN' if value != value else 'an infinity'}")  # noqa: PLR0124
        return value
    if isinstance(value, list | tuple):
        return [_plain(each) for each in cast("Sequence[Any]", value)]
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {str(key): _plain(each) for key, each in items}
    raise TypeError(f"an object of type {type(value).__name__}, no number or dict of numbers")


def _numbers(value: Any) -> Values:
    """A number, or numbers by name.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(value, dict) and value:
        named = cast("dict[str, Any]", value)
        return {name: _number(each) for name, each in named.items()}
    return _number(value)


def _number(value: Any) -> float:
    if isinstance(value, list):
        several = cast("list[Any]", value)
        if len(several) == 1:  # an array of one number
            return _number(several[0])
        raise TypeError(f"a list of {len(several)}, no number or dict of numbers")
    if not isinstance(value, bool | int | float):
        kind = "nothing" if value is None else f"an object of type {type(value).__name__}"
        raise TypeError(f"{kind}, no number or dict of numbers")
    return value


def _mean(values: Sequence[Any], name: str) -> Values:
    """The mean of numbers, or of each name's; exact but for the last rounding, in any order."""
    first = values[0]
    if not isinstance(first, dict):
        if any(isinstance(value, dict) for value in values):
            raise FuriosaError(f"the metric '{name}' returns a number here, a dict there")
        return fsum(values) / len(values)
    keys = cast("dict[str, float]", first).keys()
    if any(not isinstance(value, dict) or value.keys() != keys for value in values):
        raise FuriosaError(f"the metric '{name}' returns other names here than there")
    return {key: fsum(value[key] for value in values) / len(values) for key in keys}
