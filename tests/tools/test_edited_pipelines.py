"""`--insert-before`, `--insert-after`, `--replace`, `--skip` and phases, in both command lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from furiosa_ir import plugins
from furiosa_ir.backends import default_backend
from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.pipeline import PIPELINE
from furiosa_ir.cache.settings import CacheSettings
from furiosa_ir.compiler import compile_model, default_pipeline
from furiosa_ir.driver import compile_source
from furiosa_ir.errors import CompilationFailure, FuriosaError
from furiosa_ir.ir.history import history_of
from furiosa_ir.ir.pipeline import Phase, Pipeline
from furiosa_ir.ir.text import print_module, read_module, write_module
from furiosa_ir.pipeline_request import EditKind, PipelineRequest, edit_of_option
from furiosa_ir.pipeline_selection import phases_to_run
from furiosa_ir.tools.furiosa import main
from furiosa_ir.tools.opt import main as opt_main
from tests.conftest import DIGITS

ONNX = DIGITS / "digits_qdq_int8.onnx"
TFLITE = DIGITS / "digits_int8.tflite"
PASSES = [str(p.spec()) for phase in PIPELINE.phases for p in phase.resolve()]
TARGET = 'assign-target{npu="warboy-2pe"}'

PLUGIN = '''
from dataclasses import dataclass
from furiosa_ir.ir.passes import Pass

@dataclass(frozen=True)
class Mine(Pass):
    """Does nothing."""
    name = "my-pass"
    limit: int = 0

    def apply(self, ctx, op):
        pass
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("_roots", "_loaded", "_installed"):  # what is loaded here is forgotten
        monkeypatch.setattr(plugins, name, {})
    monkeypatch.setattr(plugins, "_untracked", set[str]())
    Path("mine.py").write_text(PLUGIN)


def call(command: Any, *arguments: object) -> str:
    result = CliRunner().invoke(command, [str(a) for a in arguments])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def bad_lines(command: Any, *arguments: object) -> list[str]:
    result = CliRunner().invoke(command, [str(a) for a in arguments])
    assert result.exit_code == 1, result.output
    return result.stderr.splitlines()


def bad(command: Any, *arguments: object) -> str:
    return bad_lines(command, *arguments)[-1]


def passes_of(program: str = "a.enf") -> list[str]:
    return json.loads(call(main, "inspect", program, "--json"))["header"]["pipeline"].split(",")


def compiled(source: object, *options: object) -> list[str]:
    call(main, "compile", source, "-o", "a.enf", *options)
    return passes_of()


def edited(*changes: tuple[str, str]) -> list[str]:
    """What `PASSES` are with (pass, passes in its place)."""
    replaced = dict(changes)
    return [p for name in PASSES for p in replaced.get(name, name).split(",") if p]


EDITS = [
    (["--skip", "graph-fuse-tables"], [("graph-fuse-tables", "")]),
    (
        ["--insert-after", "graph-partition=my-pass{limit=3}"],
        [("graph-partition", "graph-partition,my-pass{limit=3}")],
    ),
    (
        ["--insert-before", "plan-tiles = func.func(ftensor-fold-clamps), my-pass"],
        [("plan-tiles", "ftensor-fold-clamps,my-pass,plan-tiles")],
    ),
    (
        ["--replace", "ftensor-fuse-tables=my-pass", "--skip", "graph-fold-constants"],
        [("ftensor-fuse-tables", "my-pass"), ("graph-fold-constants", "")],
    ),
    # In the order of the command line, each of what the one before has left.
    (
        [
            *("--insert-after", "graph-sink-movement=my-pass"),
            *("--insert-before", "my-pass=graph-fold-constants"),
            *("--replace", "my-pass=my-pass{limit=1}"),
            *("--insert-after", "my-pass=my-pass{limit=2}"),
            *("--skip", "my-pass#1"),
        ],
        [("graph-sink-movement", "graph-sink-movement,graph-fold-constants,my-pass{limit=2}")],
    ),
]


@pytest.mark.parametrize(("options", "changes"), EDITS)
def test_edits_of_the_default_pipeline(options: list[str], changes: list[tuple[str, str]]):
    expected = edited(*changes)
    call(opt_main, ONNX, "-o", "all.mlir", "--load", "mine.py", *options)
    passes = history_of(read_module("all.mlir")).passes
    assert [p for p in passes if p != TARGET] == expected


def test_edits_of_a_compile():
    options, changes = EDITS[-1]
    assert compiled(ONNX, "--load", "mine.py", *options) == [TARGET, *edited(*changes)]


def resumed(source: Path, level: str, skipped: str) -> list[str]:
    """The passes of a compile that goes on from text, of a network without the skipped pass."""
    skip = PipelineRequest(edits=(edit_of_option(EditKind.SKIP, skipped),))
    write_module(compile_source(source, target_ir=level, passes=skip).module, "x.mlir")
    module = read_module("x.mlir", resumed=True)
    left = phases_to_run(module, "warboy", default_backend())
    ran = history_of(module).passes
    return [*(p for p in ran if p != TARGET), *(str(w) for p in left for w in p.resolve())]


@pytest.mark.parametrize(
    ("level", "skipped"),
    [
        ("graph", "graph-fuse-tables"),
        ("graph", "graph-fold-space-to-batch"),
        ("graph", "graph-sink-movement"),
        ("ftensor", "ftensor-fold-clamps"),
        ("ftensor", "ftensor-fuse-tables"),
        ("warboy", "graph-sink-movement"),
    ],
)
def test_a_compile_that_goes_on_from_edited_text_does_not_catch_up(level: str, skipped: str):
    assert resumed(ONNX, level, skipped) == edited((skipped, ""))


def test_programs_from_edited_text_are_those_without_a_stop():
    skip = ["--skip", "graph-sink-movement"]
    call(main, "compile", ONNX, "-o", "x.mlir", "--target-ir", "graph", *skip)
    found = compiled("x.mlir", "--skip", "ftensor-fuse-tables")
    expected = edited(("graph-sink-movement", ""), ("ftensor-fuse-tables", ""))
    assert [p for p in found if p != TARGET] == expected
    program = read_program(Path("a.enf"))
    compiled(ONNX, *skip, "--skip", "ftensor-fuse-tables")
    assert read_program(Path("a.enf")).segments == program.segments


def test_what_cannot_be_edited():
    sentence = "the pass 'fuse-kernels' does not run: it is of the phase 'warboy', and what runs is"
    assert f"{sentence} the phase 'graph'" in bad(
        main, "compile", ONNX, "--target-ir", "graph", "-o", "x.mlir", "--skip", "fuse-kernels"
    )
    assert f"{sentence} 'graph' to 'ftensor'" in bad(
        opt_main, ONNX, "--to", "ftensor", "--replace", "fuse-kernels=graph-fold-constants"
    )
    assert "the phase 'graph', and what runs is the phase 'ftensor'" in bad(
        opt_main, ONNX, "--from", "ftensor", "--to", "ftensor", "--skip", "graph-partition"
    )
    call(opt_main, ONNX, "-o", "x.mlir", "--to", "graph", "--skip", "graph-fuse-tables")
    assert "does not run: the text was made without it" in bad(
        main, "compile", "x.mlir", "--skip", "graph-fuse-tables"
    )
    assert "'graph-partition' does not run: the text has been through it" in bad(
        main, "compile", "x.mlir", "--insert-after", "graph-partition=graph-fold-constants"
    )
    assert "--skip: the pass 'schedule' does not run: an edit before this one took it out" in bad(
        main, "compile", ONNX, "--skip", "schedule", "--skip", "schedule"
    )
    assert "'my-pass' is not in the pipeline that it edits" in bad(
        main, "compile", ONNX, "--load", "mine.py", "--skip", "my-pass"
    )
    assert "it is not in the pipeline that the edit changes (its passes are graph-par" in bad(
        opt_main, ONNX, "-p", "graph-partition", "--skip", "graph-fold-constants"
    )
    assert "--skip: there is no pass 'fuse-kernel' in the pipeline (did you mean" in bad(
        opt_main, ONNX, "--skip", "fuse-kernel"
    )
    assert not Path("output.enf").exists()


def test_edits_of_what_is_given():
    text = call(
        opt_main, ONNX, "-p", "graph,graph-fold-constants", "--skip", "graph-fold-constants#2"
    )
    assert text == call(opt_main, ONNX, "--to", "graph")
    assert text == call(opt_main, ONNX, "-p", "builtin.module(graph)")


def test_phases_and_passes_mixed():
    text = "graph, ftensor(lower-to-ftensor, func.func(ftensor-fold-clamps)), fuse-kernels"
    call(opt_main, ONNX, "-o", "x.mlir", "-p", text)
    # What comes behind `ftensor-fold-clamps` is left out, not forgotten.
    behind = PASSES[PASSES.index("ftensor-fuse-tables") : PASSES.index("fuse-kernels")]
    expected = edited(*((name, "") for name in behind))
    assert [p for p in compiled("x.mlir") if p != TARGET] == expected
    assert compiled(ONNX, "-p", "graph,ftensor,warboy") == [TARGET, *PASSES]
    program = read_program(Path("a.enf"))
    assert program == read_program(compile_model(ONNX))


GIVEN = [
    ("graph, ftensor, warboy", "graph", ()),
    ("graph, ftensor, warboy", "ftensor", ("--skip", "ftensor-fuse-tables")),
    ("graph-partition, lower-to-ftensor", "ftensor", ()),
    ("graph-fold-constants", "graph", ()),  # it is in the first dialect
]


@pytest.mark.parametrize(("text", "level", "edit"), GIVEN)
def test_a_given_pipeline_runs_up_to_the_level_asked_for(
    text: str, level: str, edit: tuple[str, ...]
):
    """The IR is furiosa-opt's, progress has one step, and what is dumped is what ran."""
    given = ("compile", TFLITE, "-p", text, "--target-ir", level, *edit)
    result = CliRunner().invoke(main, [str(a) for a in (*given, "-o", "a.mlir")])
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith(f"[1/1] 🔍   Compiling from tflite to {level}\n")
    ran = call(main, *given, "--dump-pipeline")
    call(opt_main, TFLITE, "-p", ran, "-o", "b.mlir", "--print-debuginfo")
    assert Path("a.mlir").read_text() == Path("b.mlir").read_text()
    if text.count(",") == 2:  # all phases, cut where the compiler's own pipeline is
        call(main, "compile", TFLITE, "--target-ir", level, *edit, "-o", "c.mlir")
        assert Path("a.mlir").read_text() == Path("c.mlir").read_text()
        call(main, "compile", "a.mlir", "-o", "a.enf")


def test_a_given_pipeline_on_a_network_of_the_host():
    """Nothing in it comes to a level behind the first."""
    network = (
        "func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> { func.return %x : tensor<4xf32> }"
    )
    Path("host.mlir").write_text(network)
    for text in ("graph,ftensor", "graph-partition"):
        given = ["compile", "host.mlir", "-p", text, "--target-ir", "ftensor"]
        result = CliRunner().invoke(main, given)
        assert result.exit_code == 0, result.stderr
        assert "[1/1] 🔍   Compiling from ir to ftensor\n" in result.stderr


def test_a_given_pipeline_that_ends_at_another_level():
    given = ("compile", TFLITE, "-o", "a.mlir", "--target-ir", "ftensor")
    assert bad(main, *given, "-p", "graph-partition").endswith(
        ": the pipeline ends at the level 'graph', not at 'ftensor' "
        "(--target-ir graph writes what it makes)"
    )
    assert "the pass 'schedule' does not run: it is of the phase 'warboy'" in bad(
        main, *given, "-p", "graph,ftensor,warboy", "--skip", "schedule"
    )
    assert not Path("a.mlir").exists()


def test_a_phase_in_a_text_has_its_verifier():
    text = "graph(graph-fold-quantization)"
    assert "after the phase 'graph': " in "".join(bad_lines(opt_main, ONNX, "-p", text))
    call(opt_main, ONNX, "-p", "graph-fold-quantization")


def test_an_edited_pipeline_is_another_entry_of_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FC_CACHE_ENABLED", "1")
    monkeypatch.setenv("FC_CACHE_STORE_URL", f"file://{tmp_path}/cache")

    def hits(*options: object) -> bool:
        result = CliRunner().invoke(main, ["compile", str(ONNX), "-o", "a.enf", *map(str, options)])
        assert result.exit_code == 0, result.stderr
        return "Found in the cache" in result.stderr

    kinds = [
        (),
        ("--skip", "graph-fold-constants"),
        ("--replace", "graph-fuse-tables=graph-fold-constants"),
        ("--insert-after", "graph-fuse-tables=graph-fold-constants"),
        ("--insert-before", "graph-fuse-tables=graph-fold-constants"),
    ]
    assert [hits(*options) for options in kinds] == [False] * len(kinds)
    before = passes_of()
    assert [hits(*options) for options in kinds] == [True] * len(kinds)
    assert passes_of() == before


def test_pipelines_in_python(tmp_path: Path):
    cache = CacheSettings(tmp_path / "cache", 60)
    pipeline = default_pipeline().skip("graph-fuse-tables")
    data = compile_model(ONNX, cache=cache, passes=pipeline)
    Path("a.enf").write_bytes(data)
    assert passes_of() == [TARGET, *edited(("graph-fuse-tables", ""))]
    assert compile_model(ONNX, cache=cache, passes=pipeline.text) == data
    text = print_module(compile_source(ONNX, passes=pipeline.between(None, "warboy")).module)
    assert "<without graph-fuse-tables>" in text
    with pytest.raises(CompilationFailure, match="passes cannot be of type int"):
        compile_model(ONNX, passes=3)  # pyright: ignore[reportArgumentType]


def test_verifiers_of_a_caller_see_each_compile(tmp_path: Path):
    """A program that the cache has would be one that they have not seen."""
    seen: list[int] = []
    graph, *others = default_pipeline().phases
    watched = Phase("graph", "", graph.passes, lambda module: seen.append(1))
    cache, mine = CacheSettings(tmp_path / "cache", 60), Pipeline("mine", (watched, *others))
    for _ in range(2):
        compile_model(ONNX, cache=cache, passes=mine)
    assert len(seen) == 2


def test_passes_of_a_script_are_not_looked_up_in_the_cache(tmp_path: Path):
    from tests.ir.test_pipeline import Step  # any pass of no plug-in

    cache = CacheSettings(tmp_path / "cache", 60)
    compile_model(ONNX, cache=cache, passes=default_pipeline().insert_after("schedule", Step(3)))
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    compile_model(ONNX, cache=cache, passes=default_pipeline())
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_a_failing_edit_names_its_option():
    with pytest.raises(FuriosaError, match="stands in the pipeline 2 times"):
        default_pipeline().insert_after("schedule", "graph-partition").skip("graph-partition")
    assert "--skip: the pass 'graph-partition' stands in the pipeline 2 times" in bad(
        opt_main, ONNX, "--insert-after", "schedule=graph-partition", "--skip", "graph-partition"
    )


def test_no_output_replaces_a_file_with_a_pipeline():
    Path("p.toml").write_text('pipeline = "graph"')
    sentence = "p.toml: cannot be written: the output would replace an input"
    assert sentence in bad(opt_main, ONNX, "-p", "p.toml", "-o", "p.toml")
    assert sentence in bad(main, "compile", ONNX, "-p", "p.toml", "-o", "p.toml")
    assert "--pipeline goes with neither" in bad(opt_main, ONNX, "-p", "p.toml", "--to", "graph")


@pytest.mark.parametrize(
    ("done", "edit"),
    [
        ("", ()),
        ("graph-partition", ()),
        ("graph,ftensor(lower-to-ftensor)", ()),
        ("", ("--skip", "graph-fold-quantization")),
        ("graph-partition", ("--skip", "graph-sink-movement")),
    ],
)
def test_the_dumped_pipeline_is_what_is_left(done: str, edit: tuple[str, ...]):
    """Of text that has been through some passes as well; the same IR, history and all."""
    source: Path = ONNX
    if done:
        source = Path("x.mlir")
        call(opt_main, ONNX, "-o", source, "-p", done)
    text = call(opt_main, source, "--dump-pipeline", *edit)
    call(opt_main, source, "-o", "a.mlir", "-p", text)
    call(opt_main, source, "-o", "b.mlir", "--to", "warboy", *edit)
    assert Path("a.mlir").read_text() == Path("b.mlir").read_text()
    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()
    assert call(main, "compile", source, "--dump-pipeline", *edit) == text
