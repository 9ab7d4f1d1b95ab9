"""What all pages have in common: style, tables, text of files made fit for HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from furiosa_ir.errors import readable

_LONGEST = 120
"""Characters of a cell; the whole text is its title."""

_LIGHT = (
    "--string:#1a7f37;--comment:#6e7781;--value:#8250df;--symbol:#953800;--type:#0b6e8a;"
    "--attribute:#0550ae;--line:#d0d7de;--faint:#6e7781;--removed:#ffebe9;--added:#e6ffec;"
    "--chosen:#ddf4ff"
)
_DARK = (
    "--string:#7ee787;--comment:#8b949e;--value:#d2a8ff;--symbol:#ffa657;--type:#76d9e6;"
    "--attribute:#79c0ff;--line:#30363d;--faint:#8b949e;--removed:#4b1113;--added:#12361f;"
    "--chosen:#0c2d6b"
)
STYLE = (
    "<style>"
    f".fi{{{_LIGHT}}}"
    f"@media(prefers-color-scheme:dark){{.fi{{{_DARK}}}}}"
    # JupyterLab and VS Code have themes of their own, whatever the system's is.
    f"[data-jp-theme-light=true] .fi,.vscode-light .fi{{{_LIGHT}}}"
    f"[data-jp-theme-light=false] .fi,.vscode-dark .fi{{{_DARK}}}"
    ".fi{font-size:13px;max-width:100%}"
    ".fi .ir{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px;line-height:1.45;"
    "white-space:pre;overflow-x:auto}"
    ".fi i{font-style:normal}.fi i.string{color:var(--string)}.fi i.comment{color:var(--comment)}"
    ".fi i.value{color:var(--value)}.fi i.symbol{color:var(--symbol)}.fi i.type{color:var(--type)}"
    ".fi i.attribute{color:var(--attribute)}.fi i.operation{font-weight:600}"
    ".fi .removed{background:var(--removed)}.fi .added{background:var(--added)}"
    ".fi summary{cursor:pointer}.fi .faint{color:var(--faint)}"
    ".fi table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.4em 0}"
    ".fi th,.fi td{text-align:left;padding:.15em .8em .15em 0;white-space:nowrap;"
    "border-bottom:1px solid var(--line)}"
    ".fi td.number,.fi th.number{text-align:right}.fi th{color:var(--faint);font-weight:500}"
    "</style>"
)


def page(*parts: str) -> str:
    """A piece of HTML with the style that it needs."""
    return f'{STYLE}<div class="fi">{"".join(parts)}</div>'


def plain(text: object, longest: int = _LONGEST) -> str:
    """Text of a file, escaped; one line, not endless."""
    return escape(readable(str(text), longest))


def cell(value: object, *, is_number: bool = False) -> str:
    """A cell of a table; a text that is too long for it is its title."""
    if value is None:
        value = ""
    text = str(value)
    title = f' title="{plain(text, 4096)}"' if len(text) > _LONGEST else ""
    kind = ' class="number"' if is_number else ""
    return f"<td{kind}{title}>{plain(text)}</td>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; heads that begin with `#` are of numbers."""
    numbers = [name.startswith("#") for name in head]
    heads = "".join(
        f"<th{' class=number' * is_number}>{plain(name.removeprefix('#'))}</th>"
        for name, is_number in zip(head, numbers, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(cell(v, is_number=n) for v, n in zip(row, numbers, strict=True))}</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def facts(rows: Iterable[tuple[str, object]]) -> str:
    """A table of names and what they are."""
    body = "".join(f"<tr><th>{plain(name)}</th>{cell(value)}</tr>" for name, value in rows)
    return f"<table><tbody>{body}</tbody></table>"


def fold(title: str, content: str, *, is_open: bool = False) -> str:
    """What a click shows; title and content are HTML."""
    return f"<details{' open' * is_open}><summary>{title}</summary>{content}</details>"
