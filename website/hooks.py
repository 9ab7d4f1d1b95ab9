"""What mkdocs does with our pages beyond Markdown.

Documents that lie outside of docs/ become pages; links to sources, which the site does not have,
become plain text; `passes.md` in a sentence becomes a link; comments to the tests go.
"""

from __future__ import annotations

import os
import posixpath
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))
import mlir_lexer  # noqa: F401  # registers itself

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ELSEWHERE = {
    "architecture.md": "ARCHITECTURE.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "rules-for-rules.md": "furiosa_ir/passes/README.md",
    "vscode.md": "editors/vscode/README.md",
    "wrong-passes.md": "examples/wrong_passes/README.md",
    "digits.md": "examples/digits/README.md",
}
"""Pages -> where they lie in the repository."""

SCRIPTS = {"javascripts/iframe-worker.js": "vendored/iframe-worker/iframe-worker.js"}
"""Where search works without a server there are no workers: the shim that the theme would fetch."""

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_NAMED = re.compile(r"(?<![\[\w`])`(?:docs/)?([\w-]+\.md)`(?!\])")
_FENCE = re.compile(r"^( *)```.*?^\1```[ ]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_FOR_TESTS = re.compile(r"<!-- run\b.*?-->\n*", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what lies outside of docs/."""
    for page, path in (ELSEWHERE | SCRIPTS).items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links that hold on the site, and nothing that is for tests."""
    here = page.file.src_uri
    place = ROOT / ELSEWHERE[here] if here in ELSEWHERE else DOCS / here
    titles = _titles(config.nav or [])

    def prose(text: str) -> str:
        text = _NAMED.sub(lambda m: _named(m, here, titles, files), text)
        return _outside_of(_CODE, text, lambda t: t, lambda t: _LINK.sub(_link, t))

    def _link(m: re.Match[str]) -> str:
        picture, words, target = m.groups()
        path, mark, anchor = target.partition("#")
        if not path or "://" in target or target.startswith("mailto:"):
            return m[0]
        real = Path(os.path.normpath(place.parent / path))
        uri = _page_of(real)
        if uri is None:
            return words
        if uri in titles and words.strip("`").rpartition("/")[2] == real.name:
            words = titles[uri]  # who reads the site knows no files
        return f"{picture}[{words}]({_relative(uri, here)}{mark}{anchor})"

    return _outside_of(_FENCE, _FOR_TESTS.sub("", markdown), lambda t: t, prose)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Heads of columns without a word are none: readers of screens would announce them."""
    return re.sub(r"<th([^>]*)></th>", r"<td\1></td>", html)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:  # noqa: ARG001
    """The search is a dialog, which needs a name."""
    dialog = 'data-md-component="search" role="dialog"'
    return output.replace(dialog, f'{dialog} aria-label="Search"')


def _titles(entries: list[Any]) -> dict[str, str]:
    """Page -> what the navigation calls it."""
    found: dict[str, str] = {}
    for entry in entries:
        title, target = next(iter(entry.items()))
        found |= _titles(target) if isinstance(target, list) else {target: title}
    return found


def _page_of(path: Path) -> str | None:
    """Where a file of the repository is on the site, if it is there."""
    for page, source in ELSEWHERE.items():
        if ROOT / source == path:
            return page
    return path.relative_to(DOCS).as_posix() if path.is_relative_to(DOCS) else None


def _relative(uri: str, here: str) -> str:
    return posixpath.relpath(uri, posixpath.dirname(here) or ".")


def _named(m: re.Match[str], here: str, titles: dict[str, str], files: Files) -> str:
    name = m[1]
    for page, source in ELSEWHERE.items():
        if source == name:
            name = page
    there = files.get_file_from_path(name) is not None and name != here
    return f"[{titles.get(name, m[0])}]({_relative(name, here)})" if there else m[0]


def _outside_of(
    kept: re.Pattern[str], text: str, inside: Callable[[str], str], outside: Callable[[str], str]
) -> str:
    parts: list[str] = []
    end = 0
    for m in kept.finditer(text):
        parts += [outside(text[end : m.start()]), inside(m[0])]
        end = m.end()
    return "".join([*parts, outside(text[end:])])
