"""The HTML report: whole, self-contained, and safe with any layer name."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from furiosa_ir.reports.html import format_value, render

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Checks that tags close in order, and gathers text and links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.links: list[str] = []
        self.widths: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in {"src", "href"}:
                self.links.append(value or "")
            if name == "style" and value:
                self.widths.append(value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def inspection() -> dict[str, Any]:
    row = {"operator": "conv", "placement": "npu", "tiles": 4, "cycles": 200}
    return {
        "summary": {
            "npu_mac_share": 0.9951,
            "cycles": 12345,
            "latency_us": 6.1725,
            "sram_peak_bytes": 1536,
            "dram_bytes": 0,
            "weight_bytes": 3 * 2**20,
            "host_operators": [{"operator": "arg_max", "reason": "Hint [17]: no <integers>"}],
        },
        "layers": [
            {"name": "stem", **row},
            {"name": "<script>alert(1)</script>", **row, "cycles": 50, "tiles": [2, 8]},
            {"name": "out", "operator": "arg_max", "placement": "host", "cycles": None},
        ],
    }


def test_page_shows_every_figure_layer_and_reason(inspection: dict[str, Any]):
    page = Page(render(inspection, title="digits", subtitle="2 PEs", facts={"accuracy": "98 %"}))
    for text in (
        *("digits", "2 PEs", "98 %", "99.51 %", "12,345", "6.173 µs", "1.5 KiB", "0 B", "3 MiB"),
        *("stem", "<script>alert(1)</script>", "2 x 8", "Hint [17]: no <integers>"),
    ):
        assert text in page.text
    assert page.widths == ["width:100.00%", "width:25.00%", "width:0.00%"]


def test_page_loads_nothing_from_elsewhere(inspection: dict[str, Any]):
    text = render(inspection, title="digits")
    assert Page(text).links == []
    assert "<script" not in text
    assert "url(" not in text
    assert "@import" not in text


def test_page_of_a_network_without_layers_or_host_operators():
    page = Page(render({"summary": {"host_operators": []}, "layers": []}, title="empty"))
    assert "the whole network runs on the NPU" in page.text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.5, "microseconds", "0.5 µs"),
        (1250.0, "microseconds", "1.25 ms"),
        (0.0, "microseconds", "0 µs"),
        (0.0, "latency", "none, as nothing runs on the NPU"),
        (1250.0, "latency", "1.25 ms"),
        (1, "share", "100 %"),
        (2**40, "bytes", "1024 GiB"),
        (1234567, "count", "1,234,567"),
        (None, "count", "unknown"),
        (float("nan"), "bytes", "unknown"),
    ],
)
def test_format_value(value: float | None, unit: str, text: str):
    assert format_value(value, unit) == text
