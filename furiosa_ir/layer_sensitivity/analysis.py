"""Each layer of a quantised network rounded alone, and all but it, on some inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase

from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.dialects.graph.base import is_from_tflite
from furiosa_ir.errors import ExecutionFailure, FuriosaError
from furiosa_ir.ir.passes import nearest
from furiosa_ir.layer_sensitivity.evaluation import Base, Evaluation
from furiosa_ir.layer_sensitivity.local import LocalSums
from furiosa_ir.layer_sensitivity.real_form import RealForm, real_form
from furiosa_ir.layer_sensitivity.report import (
    LEAST_GAIN,
    LayerSensitivity,
    Sensitivity,
    by_cost,
    worst_output,
    worth_leaving,
)
from furiosa_ir.numerics.array import Array
from furiosa_ir.quantization.accuracy import OutputAccuracy, OutputSums

OnStep = Callable[[int, int], None]
"""Is told how many runs are done, and how many there are."""


def analyse(
    module: ModuleOp,
    inputs: Sequence[Mapping[str, Array]],
    *,
    layers: Sequence[str] = (),
    jobs: int = 1,
    on_step: OnStep = lambda _done, _total: None,
) -> Sensitivity:
    """How much the rounding of each layer costs a quantised network at its outputs.

    The network in float, which everything is compared with, has the same weights, dequantised, and
    rounds no activation. Variables begin as the network has them; from input to input the network
    in float and the quantised one each keep their own.

    Args:
        module: of the graph level; it stays as it is.
        inputs: what to run it on, each by name; quantised inputs as they are stored.
        layers: names or patterns ('*' as in file names) of the layers to look at; none: all.
        jobs: threads.
        on_step: is told the progress.

    Raises:
        FuriosaError: no layer of it is quantised; there is no layer of that name; or an operation
            cannot be computed.
    """
    if not inputs:
        raise FuriosaError("there are no inputs to run the network on")
    form = real_form(module)
    if not form.layers:
        raise ExecutionFailure(
            "no layer's result is stored as integers of 8 or 16 bits: the network is not quantised",
            hint="furiosa quantize makes a quantised network of a float one",
        )
    chosen = _chosen(form, layers)
    sums = _Sums(form, not is_from_tflite(module), chosen)
    sums.run(inputs, jobs, on_step)
    return sums.result(inputs)


class _Sums:
    """What is summed up over the inputs."""

    def __init__(self, form: RealForm, channels_first: bool, chosen: Sequence[int]) -> None:
        self.form = form
        self.evaluation = Evaluation(form)
        self.chosen = chosen
        self.channels_first = channels_first
        self.whole = self._outputs()
        self.alone = {index: self._outputs() for index in chosen}
        self.without = {index: self._outputs() for index in chosen}
        self.local = {
            index: [
                LocalSums(site.written, site.read, channels_first)
                for site in form.layers[index].sites
            ]
            for index in chosen
        }

    def _outputs(self) -> list[OutputSums]:
        return [OutputSums(name, self.channels_first) for name in self.evaluation.outputs]

    def run(self, inputs: Sequence[Mapping[str, Array]], jobs: int, on_step: OnStep) -> None:
        """All of the inputs."""
        states = {rounded: self.evaluation.initial_state() for rounded in (False, True)}
        total, done = len(inputs) * len(self.chosen), 0
        on_step(done, total)
        with ThreadPoolExecutor(max(1, jobs)) as threads:
            for feeds in inputs:
                real, whole = (
                    self.evaluation.run(feeds, rounded=rounded, state=states[rounded])
                    for rounded in (False, True)
                )
                states = {base.rounded: dict(base.state) for base in (real, whole)}
                _add(self.whole, real.outputs, whole.outputs)
                # Those in front, which are the longest to run, come first.
                tasks = [threads.submit(self._layer, index, real, whole) for index in self.chosen]
                try:
                    for task in tasks:
                        task.result()
                        done += 1
                        on_step(done, total)
                except BaseException:
                    for task in tasks:
                        task.cancel()
                    raise

    def _layer(self, index: int, real: Base, whole: Base) -> None:
        _add(self.alone[index], real.outputs, self.evaluation.vary(real, index))
        _add(self.without[index], real.outputs, self.evaluation.vary(whole, index))
        for site, sums in zip(self.form.layers[index].sites, self.local[index], strict=True):
            sums.add(real.values[site.quantize.x])

    def result(self, inputs: Sequence[Mapping[str, Array]]) -> Sensitivity:
        """What it comes to."""
        outputs = _results(self.whole)
        layers = sorted((self._result(index, outputs) for index in self.chosen), key=by_cost)
        left, without = self._best(worth_leaving(outputs, layers), outputs, inputs)
        return Sensitivity(len(inputs), outputs, tuple(layers), self.form.kept, left, without)

    def _best(
        self,
        layers: Sequence[LayerSensitivity],
        outputs: tuple[OutputAccuracy, ...],
        inputs: Sequence[Mapping[str, Array]],
    ) -> tuple[tuple[LayerSensitivity, ...], tuple[OutputAccuracy, ...]]:
        """So many of the layers as make a difference together, and what they come to."""
        best: tuple[LayerSensitivity, ...] = ()
        for count in range(1, len(layers) + 1):
            found = self._without(layers[:count], inputs)
            if best and worst_output(found).snr < worst_output(outputs).snr + LEAST_GAIN:
                break
            best, outputs = tuple(layers[:count]), found
        return best, outputs

    def _result(self, index: int, outputs: Sequence[OutputAccuracy]) -> LayerSensitivity:
        layer = self.form.layers[index]
        alone, without = _results(self.alone[index]), _results(self.without[index])
        before, behind = worst_output(outputs).snr, worst_output(without).snr
        gain = 0.0 if before == behind else behind - before
        locals_ = [sums.result() for sums in self.local[index]]
        worst = max(range(len(locals_)), key=lambda at: locals_[at].error)
        site = layer.sites[worst]
        return LayerSensitivity(
            layer.name,
            layer.operator,
            site.written,
            site.read,
            alone,
            without,
            math.nan if math.isnan(gain) else gain,
            locals_[worst],
        )

    def _without(
        self, left: Sequence[LayerSensitivity], inputs: Sequence[Mapping[str, Array]]
    ) -> tuple[OutputAccuracy, ...]:
        names = {layer.name for layer in left}
        but = [index for index, layer in enumerate(self.form.layers) if layer.name in names]
        sums = self._outputs()
        real, others = self.evaluation.initial_state(), self.evaluation.initial_state()
        for feeds in inputs:
            base = self.evaluation.run(feeds, rounded=False, state=real)
            other = self.evaluation.run(feeds, rounded=True, state=others, but=but)
            _add(sums, base.outputs, other.outputs)
            real, others = dict(base.state), dict(other.state)
        return _results(sums)


def _add(sums: Sequence[OutputSums], want: Sequence[Array], got: Sequence[Array]) -> None:
    for output, a, b in zip(sums, want, got, strict=True):
        output.add(a, b)


def _results(sums: Sequence[OutputSums]) -> tuple[OutputAccuracy, ...]:
    return tuple(output.result() for output in sums)


def _chosen(form: RealForm, names: Sequence[str]) -> list[int]:
    """The layers that somebody means, by their indices.

    Raises:
        FuriosaError: there is no such layer.
    """
    if not names:
        return list(range(len(form.layers)))
    known = [layer.name for layer in form.layers]
    found: set[int] = set()
    for given in names:
        for name in [given] if given in known else given.split(","):
            matching = {
                i for i, each in enumerate(known) if name == each or fnmatchcase(each, name)
            }
            if not matching:
                raise FuriosaError(
                    f"there is no quantised layer '{name}'", hint=nearest(name, known)
                )
            found |= matching
    return sorted(found)
