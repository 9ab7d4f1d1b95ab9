"""What documentation, docstrings and comments cite of the repository is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "furiosa_ir"
TEXTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
CODE = [
    p
    for d in ("furiosa_ir", "furiosa", "tests", "examples", "benchmarks")
    for p in (ROOT / d).rglob("*.py")
]
FOLDERS = {p.name for base in (ROOT, PACKAGE) for p in base.iterdir() if p.is_dir()} - {"build"}

_CITED = re.compile(r"(?<![\w./<*{}$~:-])((?:\.ci|\w[\w.-]*)(?:/[\w.{},*-]+)+)")
_COMMENT = re.compile(r'"""(?:.|\n)*?"""|#[^\n]*')
_SUFFIXES = {".fbs", ".md", ".mlir", ".py", ".toml"}


def cited(text: str) -> set[str]:
    """Paths whose first folder is one of the repository or of the package."""
    found = {m.rstrip(".,-") for m in _CITED.findall(text)}
    ours = {f for f in found if f.split("/")[0] in FOLDERS}
    return {f for f in ours if Path(f).suffix in _SUFFIXES or f"`{f}`" in text}


def expanded(path: str) -> list[str]:
    """`a/{b,c}.py` is two."""
    braces = re.search(r"\{([^}]*)\}", path)
    if braces is None:
        return [path]
    parts = braces[1].split(",")
    return [
        p for part in parts for p in expanded(path[: braces.start()] + part + path[braces.end() :])
    ]


def exists(path: str, beside: Path) -> bool:
    """Whether it is there from the root, the package, the backend or the folder that cites it."""
    bases = (ROOT, PACKAGE, PACKAGE / "backends/warboy", ROOT / "tests/filecheck", beside)
    path = path.replace("**.", "**/*.")
    if "*" in path:
        return any(any(base.glob(path)) for base in bases)
    return any((base / path).exists() or (base / f"{path}.py").exists() for base in bases)


def missing(path: Path, text: str) -> list[str]:
    return [c for each in sorted(cited(text)) for c in expanded(each) if not exists(c, path.parent)]


def test_documents():
    assert len(TEXTS) > 15
    found = {
        str(p.relative_to(ROOT)): missing(p, p.read_text())
        for p in TEXTS
        if p.name != "CHANGELOG.md"
    }
    assert {path: names for path, names in found.items() if names} == {}


def test_docstrings_and_comments():
    found: dict[str, list[str]] = {}
    for path in CODE:
        text = "\n".join(_COMMENT.findall(path.read_text()))
        if names := missing(path, text):
            found[str(path.relative_to(ROOT))] = names
    assert found == {}


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("see docs/numerics.md.", []),
        ("`tests/gone.py` and docs/{numerics,nothing}.md", ["docs/nothing.md", "tests/gone.py"]),
        ("ir/text is a module, `passes/*.py` some", []),
        ("https://example.com/docs/gone.md", []),
    ],
)
def test_what_is_found(text: str, gone: list[str]):
    assert missing(ROOT / "README.md", text) == gone
