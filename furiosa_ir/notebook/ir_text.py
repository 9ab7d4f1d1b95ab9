"""IR text as HTML: coloured, with what is long folded away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from furiosa_ir.ir.text_tokens import token_pattern
from furiosa_ir.notebook.markup import fold

MOST_LINES = 2000
"""Lines of one text that a page shows."""

_SHORT = 40
"""Characters of a constant's elements that stand where they are."""

_CONSTANT = re.compile(r"#graph\.blob<[^<>\"]*>")
_ALIAS = re.compile(r"[!#][\w$.-]+ = ")
_FUNCTION = re.compile(r"  func\.func ")


def ir_html(text: str, most: int | None = MOST_LINES) -> str:
    """The text: functions, aliases and constants can be folded.

    Args:
        text: IR as `ir.text.print_module` writes it, or any other text.
        most: lines that are shown; None: all.
    """
    lines = text.splitlines()
    shown = lines if most is None else lines[:most]
    left = len(lines) - len(shown)
    more = f'<span class="faint">… {left:,} lines more</span>' if left else ""
    return f'<div class="ir">{"".join(_parts(shown))}{more}</div>'


def _parts(lines: list[str]) -> Iterator[str]:
    """Aliases and functions each as something to fold, the rest as it stands."""
    begin = 0
    while begin < len(lines):
        end = begin
        if _ALIAS.match(lines[begin]):
            while end < len(lines) and (_ALIAS.match(lines[end]) or lines[end].startswith("    ")):
                end += 1
            count = sum(1 for line in lines[begin:end] if _ALIAS.match(line))
            title = f'<span class="faint">{count} alias{"es" * (count != 1)}</span>'
            yield fold(title, colored("\n".join(lines[begin:end])))
        elif _FUNCTION.match(lines[begin]):
            end += 1
            while end < len(lines) and lines[end] != "  }":
                end += 1
            end += 1
            body = colored("\n".join(lines[begin + 1 : end]))
            yield fold(colored(lines[begin]), body, is_open=True)
        else:
            end += 1
            while end < len(lines) and not (
                _ALIAS.match(lines[end]) or _FUNCTION.match(lines[end])
            ):
                end += 1
            yield colored("\n".join(lines[begin:end]) + "\n")
        begin = end


def colored(text: str) -> str:
    """The text in colours; the elements of constants show when somebody points at them."""
    made: list[str] = []
    at = 0
    for match in _CONSTANT.finditer(text):
        if len(match[0]) <= _SHORT:
            continue
        made.append(_words(text[at : match.start()]))
        head = match[0].partition("(")[0].rstrip()
        made.append(f'{_words(head)} <span class="faint" title="{escape(match[0])}">…</span>&gt;')
        at = match.end()
    made.append(_words(text[at:]))
    return "".join(made)


def _words(text: str) -> str:
    made: list[str] = []
    at = 0
    for match in token_pattern().finditer(text):
        made.append(escape(text[at : match.start()]))
        made.append(f'<i class="{match.lastgroup}">{escape(match[0])}</i>')
        at = match.end()
    made.append(escape(text[at:]))
    return "".join(made)


def difference_html(text: str, most: int | None = MOST_LINES) -> str:
    """A unified diff, with a colour behind what went and what came.

    Args:
        text: the diff.
        most: lines that are shown; None: all.
    """
    lines = text.splitlines()
    made: list[str] = []
    for line in lines[:most]:
        kind = {"-": "removed", "+": "added"}.get(line[:1])
        if line.startswith(("---", "+++", "@@")):
            made.append(f'<span class="faint">{escape(line)}</span>')
        elif kind is None:
            made.append(_words(line))
        else:
            made.append(f'<span class="{kind}">{_words(line)}</span>')
    if most is not None and len(lines) > most:
        made.append(f'<span class="faint">… {len(lines) - most:,} lines more</span>')
    content = "\n".join(made)
    return f'<div class="ir">{content}</div>'
