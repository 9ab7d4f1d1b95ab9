"""editors/vscode: its files are what VS Code reads, and its grammar colours our IR."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

import furiosa_ir as fi
from furiosa_ir.ir.extensions import dialects
from furiosa_ir.ir.text_tokens import token_pattern
from furiosa_ir.version import __version__
from tests.conftest import DIGITS, ROOT

FOLDER = ROOT / "editors" / "vscode"
GRAMMAR = json.loads((FOLDER / "syntaxes" / "furiosa-ir.tmLanguage.json").read_text())
PATTERNS = [(rule["name"], re.compile(rule["match"])) for rule in GRAMMAR["patterns"]]
SCOPES = {
    "string": "string",
    "comment": ("comment", "keyword.control.run", "markup.heading"),
    "value": "variable",
    "symbol": "entity.name.function",
    "type": ("entity.name.type", "support.type"),
    "attribute": "constant.other.attribute",
    "operation": ("keyword.operator.operation", "storage.modifier", "entity.other.attribute-name"),
}
"""What `text_tokens` calls a word -> how its scope begins."""


def scopes(line: str) -> Iterator[tuple[int, int, str]]:
    """Begin, end and scope of each word, as TextMate finds them: the first match counts."""
    at = 0
    while at < len(line):
        found = [
            (m.start(), n, m) for n, (_, p) in enumerate(PATTERNS) if (m := p.search(line, at))
        ]
        if not found:
            return
        begin, number, match = min(found, key=lambda each: each[:2])
        assert match.end() > begin, PATTERNS[number]
        yield begin, match.end(), PATTERNS[number][0]
        at = match.end()


def test_the_manifest_names_what_there_is():
    manifest = json.loads((FOLDER / "package.json").read_text())
    contributed = manifest["contributes"]
    (language,), (grammar,) = contributed["languages"], contributed["grammars"]
    for path in (manifest["main"], language["configuration"], grammar["path"]):
        assert (FOLDER / path).is_file()
    assert grammar["language"] == language["id"] == "furiosa-ir"
    assert grammar["scopeName"] == GRAMMAR["scopeName"]
    assert manifest["version"] == __version__
    json.loads((FOLDER / "language-configuration.json").read_text())
    code = (FOLDER / "extension.js").read_text()
    assert set(re.findall(r'get\("(\w+)"\)', code)) == {
        name.partition(".")[2] for name in contributed["configuration"]["properties"]
    }
    assert set(re.findall(r'require\("([\w-]+)', code)) - {"vscode"} == set(
        manifest["dependencies"]
    )


def test_each_rule_is_one():
    for rule in GRAMMAR["patterns"]:
        assert set(rule) == {"name", "match"}
        assert rule["name"].endswith(".furiosa-ir")
        assert re.compile(rule["match"]).match("") is None


@pytest.mark.parametrize("last", ["graph", "ftensor", "warboy"])
def test_it_colours_what_terminals_colour(last: str):
    network = fi.load(DIGITS / "digits_qdq_int8.onnx")
    module = fi.transform(network, fi.default_pipeline().between(last=last), verify_each=False)
    for line in fi.print_module(module).split("\n"):
        coloured = list(scopes(line))
        for match in token_pattern().finditer(line):
            kind, word = match.lastgroup, match[0]
            assert kind is not None
            around = [s for b, e, s in coloured if b <= match.start() and match.end() <= e]
            inside = [s for b, e, s in coloured if match.start() <= b < match.end()]
            # Of `1x8xf32`, which is one word on a terminal, the element type counts.
            named = next(iter([*around, *reversed(inside)]), "")
            assert named.startswith(SCOPES[kind]), (word, named, line)


@pytest.mark.parametrize("name", sorted(dialects()))
def test_operations_of_each_dialect_are_words(name: str):
    assert [s for *_, s in scopes(f"{name}.op_1")] == ["keyword.operator.operation.furiosa-ir"]


@pytest.mark.parametrize(
    ("line", "scope"),
    [
        ("// RUN: furiosa-opt %s", "keyword.control.run"),
        ("// -----", "markup.heading.part"),
        ("// a comment", "comment.line"),
        ('"a \\" %b"', "string.quoted"),
        ("^bb0", "entity.name.label"),
        ("layout = 1", "entity.other.attribute-name"),
        ("true", "constant.language"),
        ("-12", "constant.numeric"),
    ],
)
def test_words(line: str, scope: str):
    assert next(scopes(line))[2].startswith(scope)
