"""An HTML report of a compiled program: one file, nothing loaded from elsewhere.

It shows what :func:`furiosa_ir.reports.inspect.summary` returns: figures, cycles per layer,
placement, memory; and, if given, measured facts such as accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, cast

from furiosa_ir.reports.units import format_value

_STYLE = """
:root { --ink: #1c2430; --faint: #6b7686; --line: #e3e7ed; --paper: #ffffff; --back: #f5f7fa;
        --npu: #2563c9; --host: #d9822b; --other: #8a94a3; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaf0; --faint: #97a2b3; --line: #2d3644; --paper: #1a212c; --back: #12171f;
          --npu: #5b93ee; --host: #e5a05c; --other: #8a94a3; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
       font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
.subtitle { color: var(--faint); margin: .2rem 0 1.5rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; }
.card, .panel { background: var(--paper); border: 1px solid var(--line); border-radius: .6rem; }
.card { padding: .8rem 1rem; } .card b { display: block; font-size: 1.35rem; font-weight: 600; }
.card span { color: var(--faint); font-size: .85rem; }
.panel { padding: .4rem 1rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { color: var(--faint); font-weight: 500; font-size: .85rem; text-align: left; }
th, td { padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line); }
th, td { white-space: nowrap; }
tr:last-child td { border-bottom: 0; } .number { text-align: right; }
.bar { min-width: 14rem; width: 45%; }
.bar div { height: .8rem; border-radius: .2rem; }
.npu { background: var(--npu); } .host { background: var(--host); }
.other { background: var(--other); }
.tag { color: #fff; border-radius: .3rem; padding: .05rem .45rem; font-size: .8rem; }
.note { color: var(--faint); } footer { color: var(--faint); margin-top: 2rem; font-size: .85rem; }
"""

# Key in the summary's JSON, what a reader calls it, and how it is written. In order of interest.
_FIGURES = (
    ("latency_us", "estimated latency", "latency"),
    ("cycles", "cycles", "count"),
    ("npu_mac_share", "of all MACs on the NPU", "share"),
    ("sram_peak_bytes", "SRAM at its peak", "bytes"),
    ("dram_bytes", "DRAM", "bytes"),
    ("weight_bytes", "weights", "bytes"),
)


def render(
    inspection: Mapping[str, Any],
    *,
    title: str,
    subtitle: str = "",
    facts: Mapping[str, str] | None = None,
) -> str:
    """The page as text.

    Args:
        inspection: the dictionary with ``summary`` and ``layers`` of a program.
        title: the page's title, such as the network's name.
        subtitle: one line below it, such as target and file.
        facts: further cards, name to value, such as ``{"accuracy": "98.5 %"}``; shown first.
    """
    summary: Mapping[str, Any] = inspection["summary"]
    layers: Sequence[Mapping[str, Any]] = inspection["layers"]
    cards = [*(facts or {}).items()]
    cards += [
        (name, format_value(summary[key], unit)) for key, name, unit in _FIGURES if key in summary
    ]
    body = "\n".join(
        [
            f"<h1>{escape(title)}</h1>",
            f'<p class="subtitle">{escape(subtitle)}</p>',
            '<section class="cards">',
            *(
                f'<div class="card"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
                for name, value in cards
            ),
            "</section>",
            "<h2>Cycles per layer</h2>",
            _layer_table(layers),
            "<h2>Placement</h2>",
            _placement_table(layers),
            "<h2>Operators on the host</h2>",
            _host_table(summary.get("host_operators") or []),
        ]
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n"
        "<footer>furiosa-ir. Cycles and latency are the simulator's estimate, "
        "not a measurement on a device.</footer>\n</main>\n</body>\n</html>\n"
    )


def _placement(layer: Mapping[str, Any]) -> str:
    return str(layer.get("placement", ""))


def _cycles(layer: Mapping[str, Any]) -> float:
    """The layer's cycles; a layer on the host, or folded into another, has none."""
    return layer.get("cycles") or 0


def _placement_class(placement: str) -> str:
    """The colour of a placement."""
    lowered = placement.lower()
    return next((name for name in ("npu", "host") if name in lowered), "other")


def _tag(placement: str) -> str:
    return f'<span class="tag {_placement_class(placement)}">{escape(placement)}</span>'


def _table(head: Sequence[str], rows: Sequence[str]) -> str:
    """A table in a panel; heads that begin with ``#`` are of number columns."""
    cells = "".join(
        f'<th class="number">{escape(name[1:])}</th>'
        if name.startswith("#")
        else f"<th>{escape(name)}</th>"
        for name in head
    )
    return (
        f'<div class="panel"><table><thead><tr>{cells}</tr></thead><tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></div>"
    )


def _text(value: object) -> str:
    """A cell's text; sequences such as a tile's sizes are written 1 x 8 x 32."""
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return " x ".join(_text(item) for item in cast("Sequence[object]", value))
    return escape(str(value))


def _layer_table(layers: Sequence[Mapping[str, Any]]) -> str:
    longest = max((_cycles(layer) for layer in layers), default=0) or 1
    rows: list[str] = []
    for layer in layers:
        placement = _placement(layer)
        width = 100 * _cycles(layer) / longest
        rows.append(
            f"<tr><td>{_text(layer.get('name'))}</td><td>{_text(layer.get('operator'))}</td>"
            f"<td>{_tag(placement)}</td>"
            f'<td class="number">{_text(layer.get("tiles"))}</td>'
            f'<td class="number">{format_value(_cycles(layer), "count")}</td>'
            f'<td class="bar"><div class="{_placement_class(placement)}" '
            f'style="width:{width:.2f}%"></div></td></tr>'
        )
    return _table(["layer", "operator", "placement", "#tiles", "#cycles", ""], rows)


def _placement_table(layers: Sequence[Mapping[str, Any]]) -> str:
    cycles: dict[str, list[float]] = {}
    for layer in layers:
        cycles.setdefault(_placement(layer), []).append(_cycles(layer))
    total = sum(map(sum, cycles.values())) or 1
    rows = [
        f'<tr><td>{_tag(placement)}</td><td class="number">{len(of_layers)}</td>'
        f'<td class="number">{format_value(sum(of_layers), "count")}</td>'
        f'<td class="number">{format_value(sum(of_layers) / total, "share")}</td></tr>'
        for placement, of_layers in cycles.items()
    ]
    return _table(["placement", "#layers", "#cycles", "#share of cycles"], rows)


def _host_table(operators: Sequence[Any]) -> str:
    """Host operators, given as names or as dictionaries with a reason."""
    if not operators:
        return '<p class="note">None: the whole network runs on the NPU.</p>'
    entries: list[Mapping[str, Any]] = [
        operator if isinstance(operator, Mapping) else {"operator": operator}
        for operator in operators
    ]
    keys = list(dict.fromkeys(key for entry in entries for key in entry))
    rows = [
        "<tr>" + "".join(f"<td>{_text(entry.get(key))}</td>" for key in keys) + "</tr>"
        for entry in entries
    ]
    return _table([key.replace("_", " ") for key in keys], rows)
