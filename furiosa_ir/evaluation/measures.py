"""What is measured of each sample, and what comes of it: ranks of labels, or a metric's values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from math import prod
from typing import Any

from typing_extensions import override

from furiosa_ir.errors import FuriosaError
from furiosa_ir.evaluation.labels import Labels
from furiosa_ir.evaluation.metric import Metric
from furiosa_ir.evaluation.report import counts_of
from furiosa_ir.evaluation.samples import Samples
from furiosa_ir.evaluation.scores import checked_classes, classes_of, output_of_scores
from furiosa_ir.native_process import Answer
from furiosa_ir.runtime.model import Model


class Measure(ABC):
    """What is measured of a validation set.

    Attributes:
        job: that workers do for it (`worker.jobs`).
        output_bytes: that a run's answer has, about.
        identity: differs where results of samples do.
    """

    job: str
    output_bytes: int
    identity: str

    @abstractmethod
    def is_value(self, value: Any) -> bool:
        """Whether something that a file has can be the result of a sample."""

    def begin(self, todo: Iterable[int]) -> None:  # noqa: B027  # most have nothing to do
        """These samples will be done, in this order."""

    def options(self, indices: Sequence[int]) -> dict[str, Any]:
        """What the job gets for some samples."""
        return {}

    @abstractmethod
    def values(self, indices: Sequence[int], answer: Answer) -> Iterator[tuple[int, Any]]:
        """(number of the sample, its result) of the job's answer.

        Raises:
            FuriosaError: a metric fails.
        """

    def count(self, value: Any) -> None:  # noqa: B027  # of some the result is known at the end
        """A sample is done, and this is its result."""

    def shares(self) -> dict[str, float]:
        """Accuracy of what is done, by name, as far as it can be told."""
        return {}

    @abstractmethod
    def result(self, values: Sequence[Any]) -> tuple[dict[str, float], dict[str, int]]:
        """What comes of all results, by name; and how many samples each accuracy counts.

        Raises:
            FuriosaError: a metric fails.
        """


class Ranks(Measure):
    """Ranks of labels among the scores of the classes.

    Args:
        output: which output has the scores.
        labels: the index of each sample's score.
        classes: how many there are.
        offset: that was added to the labels.
    """

    job = "ranks"
    output_bytes = 0

    def __init__(self, output: int, labels: Sequence[int], classes: int, offset: int) -> None:
        self._output = output
        self._labels = labels
        self._classes = classes
        self.identity = f"ranks of labels + {offset} in output {output}"
        self._counts: dict[str, int] = {}
        self._counted = 0

    @override
    def is_value(self, value: Any) -> bool:
        return type(value) is int and 0 <= value < self._classes

    @override
    def options(self, indices: Sequence[int]) -> dict[str, Any]:
        return {"output": self._output, "labels": [self._labels[index] for index in indices]}

    @override
    def values(self, indices: Sequence[int], answer: Answer) -> Iterator[tuple[int, Any]]:
        return zip(indices, answer.value["ranks"], strict=True)

    @override
    def count(self, value: Any) -> None:
        self._counted += 1
        for name, one in counts_of([value], self._classes).items():
            self._counts[name] = self._counts.get(name, 0) + one

    @override
    def shares(self) -> dict[str, float]:
        return {name: count / self._counted for name, count in self._counts.items()}

    @override
    def result(self, values: Sequence[Any]) -> tuple[dict[str, float], dict[str, int]]:
        counts = counts_of(values, self._classes)
        return {name: count / len(values) for name, count in counts.items()}, counts


class MetricValues(Measure):
    """What a metric says of outputs. It runs here: workers need none of its code.

    Args:
        metric: it.
        samples: for their names.
        labels: that it gets.
        outputs: names of the outputs.
        output_bytes: of a run.
    """

    job = "outputs"

    def __init__(
        self,
        metric: Metric,
        samples: Samples,
        labels: Labels | None,
        outputs: Sequence[str],
        output_bytes: int,
    ) -> None:
        self._metric = metric
        self._samples = samples
        self._labels = labels
        self._outputs = outputs
        self.output_bytes = output_bytes
        self.identity = metric.identity
        self._next_labels: Iterator[Any] = iter(())

    @override
    def is_value(self, value: Any) -> bool:
        return self._metric.is_value(value)

    @override
    def begin(self, todo: Iterable[int]) -> None:
        self._next_labels = iter(todo) if self._labels is None else self._labels.read(todo)

    @override
    def values(self, indices: Sequence[int], answer: Answer) -> Iterator[tuple[int, Any]]:
        width = len(self._outputs)
        for place, index in enumerate(indices):
            arrays = answer.arrays[place * width : (place + 1) * width]
            outputs = dict(zip(self._outputs, arrays, strict=True))
            label = next(self._next_labels)
            yield index, self._metric.of_sample(outputs, label, self._samples.name(index))

    @override
    def result(self, values: Sequence[Any]) -> tuple[dict[str, float], dict[str, int]]:
        found = self._metric.of_all(values)
        return (found if isinstance(found, dict) else {self._metric.name: found}), {}


def measure_of(
    model: Model,
    metric: Metric | None,
    samples: Samples,
    labels: Labels | None,
    *,
    scores: str | None,
    offset: int,
) -> Measure:
    """What is measured: what a metric says, or where the labels stand among the scores.

    Args:
        model: the network's inputs and outputs.
        metric: of the user's own, if there is one.
        samples, labels: the validation set.
        scores: the name of the output that has the scores; None: the only one.
        offset: what is added to each label.

    Raises:
        FuriosaError: labels or outputs are not fit for that.
    """
    outputs = model.outputs()
    if metric is not None:
        if scores is not None or offset:
            raise FuriosaError("--scores and --label-offset are for top-1 and top-5, no metric")
        sizes = [abs(prod(d.shape)) * d.numpy_dtype.itemsize for d in outputs]
        return MetricValues(metric, samples, labels, [d.name for d in outputs], sum(sizes))
    if labels is None:
        raise FuriosaError("there are no labels", hint="give --labels, or a --metric")
    output = output_of_scores(outputs, scores)
    classes = classes_of(outputs[output], samples.per_run)
    labelled = checked_classes(labels.classes(), offset, classes)
    return Ranks(output, labelled, classes, offset)
