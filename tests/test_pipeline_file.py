"""Pipelines in TOML files: what they ask for, and where they go wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from furiosa_ir.errors import FuriosaError
from furiosa_ir.pipeline_file import parse_pipeline_file, read_pipeline_file
from furiosa_ir.pipeline_request import Edit, EditKind


def test_a_pipeline_and_edits():
    text = '''# mine
pipeline = """
  graph,
  ftensor(a{x=1})"""   # and no more

[[edit]]
insert-after = "graph-partition"
passes = ["b{y=2}", "c"]

[[ edit ]]
skip = 'd#2'
[["edit"]]
"replace" = "e"
passes = """[[edit]]
f"""
'''
    made = parse_pipeline_file(text, "p.toml")
    assert made.text == "  graph,\n  ftensor(a{x=1})"
    assert made.edits == (
        Edit(EditKind.INSERT_AFTER, "graph-partition", "b{y=2},c"),
        Edit(EditKind.SKIP, "d#2"),
        Edit(EditKind.REPLACE, "e", "[[edit]]\nf"),
    )
    assert made.where == "p.toml:2"
    assert [edit.where for edit in made.edits] == ["p.toml:7", "p.toml:11", "p.toml:13"]


def test_phases():
    text = '[phases]\nwarboy = "default"\ngraph = ["a", "b{x=1}"]\nftensor = "c,d"\n"x" = []\n'
    made = parse_pipeline_file(text)
    assert made.text == "warboy,graph(a,b{x=1}),ftensor(c,d),x()"
    assert parse_pipeline_file(text.replace("\n", "\r\n")) == made


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "^p.toml: says nothing of a pipeline .the keys are pipeline, phases, edit"),
        ("pipeline = 3", "^p.toml:1: 'pipeline' takes passes .pipeline = "),
        ('\n\npipelin = "a"', "^p.toml:3: there is no key 'pipelin' .the keys are"),
        ('pipeline = "a"\n\n[phases]\n', "^p.toml:3: it has a pipeline already"),
        ("phases = []", "^p.toml:1: 'phases' is no table of phases"),
        ("[phases]\ngraph = [\n1]", "^p.toml:2: 'graph' takes passes"),
        ('edit = "x"', "^p.toml:1: 'edit' is no list of edits"),
        ("edit = [1]", "^p.toml:1: 'edit' is no list of edits"),
        ('[edit]\nskip = "a"', "^p.toml:1: 'edit' is no list of edits"),
        ("[[edit]]\n", "^p.toml:1: an edit does not say what it does .one of insert-before"),
        ('[[edit]]\nskip = "a"\n[[edit]]\nskp = "b"', "^p.toml:4: an edit has no key 'skp'"),
        ('[[edit]]\nskip = "a"\npasses = "b"', "^p.toml:3: what is skipped has no passes"),
        ('[[edit]]\nreplace = "a"', "^p.toml:2: 'replace' lacks passes"),
        ('[[edit]]\nreplace = ""\npasses = "b"', "^p.toml:2: 'replace' takes the name of a pass"),
        (
            '[[edit]]\nskip = "a"\nreplace = "b"',
            "^p.toml:1: an edit does one thing, not sk",
        ),
        ('edit = [{skip = "a"},\n {skip = 1}]', "^p.toml:1: 'skip' takes the name of a pass"),
        ('pipeline = "a\n', "^p.toml:1:14: is no TOML: illegal character"),
        ("pipeline = ", "^p.toml:1.*: is no TOML: invalid value"),
        ("a = " + "[" * 5000, "^p.toml.*: is n"),
    ],
)
def test_what_is_wrong_and_where(text: str, message: str):
    with pytest.raises(FuriosaError, match=message) as caught:
        parse_pipeline_file(text, "p.toml")
    assert "\n" not in str(caught.value)


def test_files(tmp_path: Path):
    path = tmp_path / "p.toml"
    for data, message in [
        (None, "cannot be read: no such file"),
        (b"\xff", "is not text in UTF-8"),
        (b"#" * (1 << 21), "has more than 1048576 bytes"),
    ]:
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(FuriosaError, match=f"^{path}: {message}"):
            read_pipeline_file(path)
    path.write_bytes(b'\xef\xbb\xbfpipeline = "a"')
    assert read_pipeline_file(path).text == "a"
    with pytest.raises(FuriosaError, match="cannot be read: "):
        read_pipeline_file(tmp_path)
