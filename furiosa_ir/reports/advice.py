"""What would make a program faster: the largest parts of its time, and what its backend advises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from furiosa_ir.costs import Costs
from furiosa_ir.execution import Execution
from furiosa_ir.latency import Latency
from furiosa_ir.reports.critical_path import Step
from furiosa_ir.reports.profile import Advice, LayerProfile
from furiosa_ir.reports.units import format_value

_LAYERS = 5
"""How many single layers are named."""

_LEAST = 0.02
"""Of the NPU's time: what has less is not worth a sentence."""

_LARGER = 4
"""How much larger a batch is taken to be."""


def give_advice(
    layers: Sequence[LayerProfile],
    latency: Latency,
    costs: Costs,
    execution: Execution | None,
    critical: Sequence[Step],
    samples: int = 1,
) -> tuple[Advice, ...]:
    """Sentences, the most important first.

    Args:
        layers, latency, costs, execution, critical: as of `Profile`.
        samples: how many a run has.
    """
    if execution is None or not costs.cycles:
        return tuple(_host(layers))
    advice = _whole(costs, execution, critical, samples)
    told: set[str] = set()
    by_bound: dict[int, Counter[str]] = {}
    for step in critical:
        event = execution.events[step.event]
        by_bound.setdefault(event.layer, Counter())[event.bound] += step.cycles
    longest = sorted(by_bound, key=lambda i: -sum(by_bound[i].values()))[:_LAYERS]
    for index in longest:
        (bound, cycles), *_ = by_bound[index].most_common(1)
        share = sum(by_bound[index].values()) / costs.cycles
        if share < _LEAST:
            break
        about = execution.bounds[bound]
        text = f"{layers[index].short} takes {share:.0%} of the NPU's time, bound by {about.title}"
        if about.batch_helps:
            saved = format_value(_saved(cycles, execution, samples), "microseconds")
            text += f": batch {_LARGER * samples} would save about {saved} a sample"
        elif about.advice and bound not in told:  # once is enough
            told.add(bound)
            text += f": {about.advice}"
        advice.append(Advice(text, index))
    advice += _host(layers)
    link = latency.link_latency_us
    if link > latency.npu_latency_us:
        text = f"the link to the host takes longer than the NPU: {format_value(link, 'latency')}"
        advice.insert(0, Advice(f"{text}; smaller inputs and outputs would help"))
    return tuple(advice)


def _saved(cycles: int, execution: Execution, samples: int) -> float:
    """Microseconds a sample that a larger batch saves of what is done once for all of it."""
    return cycles / samples * (1 - 1 / _LARGER) / execution.clock_hz * 1e6


def _whole(
    costs: Costs, execution: Execution, critical: Sequence[Step], samples: int
) -> list[Advice]:
    decided: Counter[str] = Counter()
    for step in critical:
        decided[execution.events[step.event].bound] += step.cycles
    parts = [
        f"{cycles / costs.cycles:.0%} {execution.bounds[bound].title}"
        for bound, cycles in decided.most_common(3)
        if cycles >= _LEAST * costs.cycles
    ]
    made = [Advice(f"the NPU's time goes to: {', '.join(parts)}")] if parts else []
    once = sum(n for bound, n in decided.items() if execution.bounds[bound].batch_helps)
    if once >= _LEAST * costs.cycles:
        batch = _LARGER * samples
        saved = format_value(_saved(once, execution, samples), "microseconds")
        text = f"with --batch-size {batch}, weights are loaded once for {batch} samples"
        made.append(Advice(f"{text}, which would save about {saved} a sample"))
    return made


def _host(layers: Sequence[LayerProfile]) -> list[Advice]:
    """What runs on the host, by reason."""
    reasons: dict[tuple[int | None, str], list[LayerProfile]] = {}
    for layer in layers:
        if layer.placement == "host" and layer.reason:
            reasons.setdefault((layer.hint, layer.reason), []).append(layer)
    made: list[Advice] = []
    for (hint, reason), held in reasons.items():
        names = ", ".join(layer.short for layer in held[:3])
        more = f" and {len(held) - 3} more" if len(held) > 3 else ""
        made.append(Advice(f"on the host: {names}{more}: {reason} [hint {hint}]", held[0].index))
    return made
