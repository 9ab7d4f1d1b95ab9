"""Texts of the page can be read in both schemes: WCAG 2.2's contrast of level AA."""

from __future__ import annotations

import re
from itertools import product

import pytest

from tests.conftest import ROOT

STYLE = (ROOT / "furiosa_ir/reports/assets/page.css").read_text(encoding="utf-8")

TEXTS = ("ink", "faint", "accent", "mark", "host", "good")
GROUNDS = ("paper", "back", "shade")
MARKS = ("npu", "host", "tensor", "mark", *(f"c{i}" for i in range(10)))


def colours(scheme: str) -> dict[str, str]:
    """Names and values of a scheme; what the dark one does not say is as in the light one."""
    light = re.search(r":root \{(.*?)\}", STYLE, re.DOTALL)
    dark = re.search(r':root\[data-theme="dark"\] \{(.*?)\}', STYLE, re.DOTALL)
    assert light
    assert dark
    found = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", light[1]))
    return found | (
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", dark[1])) if scheme == "dark" else {}
    )


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dim, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_marks_stand_out(scheme: str) -> None:
    known = colours(scheme)
    poor = {
        (text, ground): round(contrast(known[text], known[ground]), 2)
        for text, ground in product(TEXTS, GROUNDS)
        if contrast(known[text], known[ground]) < 4.5
    }
    assert poor == {}
    # What is no text: 3 to 1, against what it is painted on.
    poor = {
        mark: round(contrast(known[mark], known["paper"]), 2)
        for mark in MARKS
        if contrast(known[mark], known["paper"]) < 3
    }
    assert poor == {}
