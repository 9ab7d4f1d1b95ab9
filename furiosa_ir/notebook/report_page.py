"""A report in a notebook: times, advice, and the layers that take longest."""

from __future__ import annotations

from furiosa_ir.notebook.markup import facts, fold, page, plain, table
from furiosa_ir.reports.profile import LayerProfile, Profile
from furiosa_ir.reports.units import format_value

_LONGEST_LAYERS = 15
_MOST_ROWS = 500


def report_page(profile: Profile) -> str:
    """The summary of a report."""
    latency = profile.latency
    rows: list[tuple[str, object]] = [
        *profile.facts.items(),
        ("estimated latency", format_value(latency.total_latency_us, "latency")),
        ("on the NPU", format_value(latency.npu_latency_us, "latency")),
        ("on the host", format_value(latency.host_latency_us, "latency")),
        ("on the link", format_value(latency.link_latency_us, "latency")),
        ("multipliers in use", format_value(profile.utilisation, "share")),
        ("MACs on the NPU", format_value(profile.npu_mac_share, "share")),
    ]
    advice = "".join(f"<li>{plain(each.text, 400)}</li>" for each in profile.advice)
    longest = sorted(profile.layers, key=lambda layer: -(layer.added or 0))[:_LONGEST_LAYERS]
    return page(
        f"<b>{plain(profile.title)}</b>",
        facts(rows),
        f"What would help:<ul>{advice}</ul>" if advice else "",
        f"Layers that take longest:{_layers(profile, longest)}",
        fold(
            f"{min(len(profile.layers), _MOST_ROWS)} layers in order",
            _layers(profile, profile.layers[:_MOST_ROWS]),
        ),
    )


def _layers(profile: Profile, layers: list[LayerProfile] | tuple[LayerProfile, ...]) -> str:
    return table(
        ("layer", "operator", "placement", "bound by", "#added", "#% of total", "#MACs"),
        (
            (
                layer.short,
                layer.operator,
                layer.placement,
                profile.bound_title(layer),
                "" if layer.added is None else format_value(layer.added, "count"),
                "" if layer.share is None else format_value(layer.share, "share"),
                format_value(layer.macs, "count"),
            )
            for layer in layers
        ),
    )
