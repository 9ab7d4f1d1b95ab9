"""The report as one page: what it shows and what shows it are in it, and nothing is loaded.

Texts come from models, which are anybody's. They are in the page as JSON in ASCII without `<`, and
scripts put them on the screen as text, never as markup; and the page's policy allows no script but
its own, by their hashes, and no connection.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from furiosa_ir.errors import readable
from furiosa_ir.reports.page_data import page_data
from furiosa_ir.reports.profile import Profile

_SCRIPTS = (
    "d3.min.js",
    "data.js",
    "selection.js",
    "drawing.js",
    "summary.js",
    "table.js",
    "time_axis.js",
    "timeline.js",
    "memory.js",
    "roofline.js",
    "graph.js",
    "compile.js",
    "page.js",
)
"""In the order in which they are read; each knows those before it."""

VIEWS = ("summary", "layers", "graph", "timeline", "memory", "roofline", "compile")
"""What a page can show, in order."""


def render_page(
    profile: Profile, *, other: Profile | None = None, views: Sequence[str] = VIEWS
) -> str:
    """The page.

    Args:
        profile: what it shows.
        other: a second program to show beside it.
        views: which of `VIEWS`.
    """
    shown = [profile] if other is None else [profile, other]
    data = {"views": list(views), "programs": [page_data(each, views) for each in shown]}
    is_compile_shown = "compile" in views
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    style = _asset("page.css")
    return Template(_asset("page.html")).substitute(
        policy=_policy(script, style),
        title=escape(" and ".join(readable(each.title, 200) for each in shown)),
        style=style,
        data=embedded_json(data),
        texts="".join(
            _texts(each, number) for number, each in enumerate(shown) if is_compile_shown
        ),
        script=script,
    )


def embedded_json(data: Any) -> str:
    """JSON that can stand in a `<script>`: ASCII, and nothing in it begins or ends an element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


@cache
def _asset(name: str) -> str:
    return (files("furiosa_ir.reports") / "assets" / name).read_text(encoding="utf-8")


def _policy(script: str, style: str) -> str:
    """The content security policy: these very scripts and styles, and nothing else."""
    return (
        f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _source(content: str) -> str:
    # A browser takes the text as it stands between the tags.
    digest = hashlib.sha256(f"\n{content}\n".encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _texts(profile: Profile, number: int) -> str:
    """The IR after each pass, compressed; it is unpacked when somebody looks at it."""
    held = [profile.source_text, *(each.text for each in profile.passes)]
    return "".join(
        f'<script type="text/plain" id="ir-{number}-{index}">{_packed(text)}</script>\n'
        for index, text in enumerate(held)
        if text is not None
    )


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
