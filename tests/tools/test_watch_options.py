"""What is seen of a compile, of both command lines: the same options, the same text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from furiosa_ir.cache.directory import DirectoryStore
from furiosa_ir.ir.equivalence import difference
from furiosa_ir.ir.text import read_module
from furiosa_ir.tools import furiosa, opt
from furiosa_ir.tools.colors import colored_difference
from furiosa_ir.tools.command_line import Command, OptionalValue
from tests.conftest import DIGITS

NETWORK = DIGITS / "digits_int8.tflite"
T = "tensor<4xf32>"
TEXT = f"""func.func @main(%x: {T}) -> {T} {{
  %0 = graph.relu %x : {T} loc("first")
  func.return %0 : {T}
}}
"""
PASSES = "graph-compose-movement,graph-fold-constants"


def on_text(*arguments: object) -> Result:
    result = CliRunner().invoke(opt.main, ["-p", PASSES, *map(str, arguments)], input=TEXT)
    assert result.exit_code == 0, result.stderr
    return result


def compiled(output: Path, *arguments: object, network: Path = NETWORK) -> Result:
    command = ["compile", str(network), "-o", str(output), *map(str, arguments)]
    result = CliRunner().invoke(furiosa.main, command)
    assert result.exit_code == 0, result.stderr
    return result


def headers(text: str) -> list[str]:
    return re.findall(r"IR Dump (.*) //----- //", text)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--print-ir-before=graph-fold-constants"], ["Before graph-fold-constants"]),
        (["--print-ir-before", "graph-fold-constants"], ["Before graph-fold-constants"]),
        (
            [f"--print-ir-after={PASSES}"],
            ["After graph-compose-movement", "After graph-fold-constants"],
        ),
        (
            ["--print-ir-after", "graph-compose-movement", "--print-ir-after=graph-fold-constants"],
            ["After graph-compose-movement", "After graph-fold-constants"],
        ),
        (
            ["--print-ir-before-all"],
            ["Before graph-compose-movement", "Before graph-fold-constants"],
        ),
        (
            ["--print-ir-after", "--print-ir-scope=module"],
            ["After graph-compose-movement", "After graph-fold-constants"],
        ),
        (["--print-ir-after-change"], []),
        (["--print-ir-after-change=diff"], []),
        (["--print-ir-after-failure"], []),
        (["--elide-constants"], []),
    ],
)
def test_dumps_go_to_standard_error(arguments: list[str], expected: list[str]):
    result = on_text(*arguments)
    assert headers(result.stderr) == expected
    assert not headers(result.stdout)
    assert "graph.relu" in result.stdout


@pytest.mark.parametrize("command", ["opt", "compile"])
def test_both_command_lines_have_each_option(command: str):
    result = (
        CliRunner().invoke(opt.main, ["--help"])
        if command == "opt"
        else CliRunner().invoke(furiosa.main, ["compile", "--help"])
    )
    for option in (
        "--print-ir-before",
        "--print-ir-before-all",
        "--print-ir-after",
        "--print-ir-after-all",
        "--print-ir-after-change",
        "--print-ir-after-failure",
        "--print-ir-tree-dir",
        "--print-ir-scope",
        "--only",
        "--elide-constants",
        "--log-rewrites",
        "--remarks",
        "--timing",
        "--statistics",
        "--info-output-file",
    ):
        assert option in result.output


class TestOptionalValues:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ([], (None, ".")),
            (["--form"], ("short", ".")),
            (["--form", "file"], ("short", "file")),
            (["--form=long", "file"], ("long", "file")),
            (["file", "--form"], ("short", "file")),
            (["--", "--form"], (None, "--form")),
        ],
    )
    def test_a_value_stands_behind_an_equals_sign_alone(self, arguments, expected):
        @click.command(cls=Command)
        @click.argument("file", default=".")
        @click.option("--form", cls=OptionalValue, alone="short")
        def main(file: str, form: str | None) -> None:
            click.echo(repr((form, file)))

        assert CliRunner().invoke(main, arguments).output == f"{expected!r}\n"

    def test_help_shows_it_so(self):
        text = CliRunner().invoke(furiosa.main, ["compile", "--help"]).output
        assert "--timing[=tree|list|json]" in text
        assert "--check-numerics[=N]" in text

    def test_a_value_that_there_is_not(self):
        result = CliRunner().invoke(opt.main, ["--timing=xml", str(NETWORK)])
        assert result.exit_code == 2
        assert "'xml' is not one of 'tree', 'list', 'json'" in result.stderr


def test_a_file_is_no_pass():
    result = CliRunner().invoke(opt.main, ["--print-ir-before", str(NETWORK)])
    assert result.exit_code == 2
    assert "is a file, not a pass; --print-ir-before-all is around each pass" in result.stderr


@pytest.mark.parametrize("command", ["opt", "compile"])
def test_a_pass_that_there_is_not(command: str, tmp_path: Path):
    main, words = (opt.main, []) if command == "opt" else (furiosa.main, ["compile"])
    arguments = [*words, str(NETWORK), "-o", str(tmp_path / "a"), "--print-ir-after=schedul"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert result.stderr == "ERROR: there is no pass 'schedul' (did you mean 'schedule'?)\n"
    assert not list(tmp_path.iterdir())


def test_a_pass_that_only_a_plug_in_declares_is_watched(tmp_path: Path):
    plugin = tmp_path / "telling.py"
    plugin.write_text(
        "from dataclasses import dataclass\n"
        "import furiosa_ir as fi\n"
        "@dataclass(frozen=True)\n"
        "class Telling(fi.Pass):\n"
        '    "Does nothing."\n'
        f'    name = "telling-{tmp_path.name}"\n'
        "    def apply(self, ctx, op):\n"
        "        return None\n",
        encoding="utf-8",
    )
    name = f"telling-{tmp_path.name}"
    inserted = ["--load", plugin, "--insert-before", f"graph-partition={name}"]
    result = compiled(tmp_path / "out.enf", *inserted, f"--print-ir-after={name}")
    assert headers(result.stderr) == [f"After {name}"]


def test_parts_of_a_file_are_compared_with_themselves():
    text = f"{TEXT}// -----\n{TEXT.replace('relu', 'tanh')}"
    arguments = ["-p", PASSES, "--split-input-file", "--print-ir-after-change"]
    result = CliRunner().invoke(opt.main, arguments, input=text)
    assert result.exit_code == 0
    assert result.stderr == ""


def test_text_without_constants_says_so_when_it_is_read(tmp_path: Path):
    path = tmp_path / "a.mlir"
    result = CliRunner().invoke(
        opt.main, [str(NETWORK), "--to", "ftensor", "--elide-constants", "-o", str(path)]
    )
    assert result.exit_code == 0
    assert list(tmp_path.iterdir()) == [path]
    text = path.read_text()
    assert "ftensor.constant #graph.blob<elided> : tensor<16x3x3x1xi8>" in text
    assert not re.search(r'blob<"', text)
    for arguments in (["compile", str(path)], ["compile", str(path), "--target-ir", "warboy"]):
        result = CliRunner().invoke(furiosa.main, [*arguments, "-o", str(tmp_path / "b")])
        assert result.exit_code == 1
        error = result.stderr[result.stderr.index("ERROR") :].splitlines()[0]
        assert re.match(rf"ERROR: {path}:\d+:\d+: a constant was left out when this text ", error)
        assert error.endswith("(print it again without --elide-constants)")


def test_a_tree_of_files_that_one_can_go_on_from(tmp_path: Path):
    folder = tmp_path / "new" / "tree"
    compiled(tmp_path / "a.enf", "--print-ir-tree-dir", folder)
    names = sorted(p.name for p in folder.iterdir())
    assert names[:3] == [
        "00_input.mlir",
        "01_assign-target.mlir",
        "02_graph-fold-quantization.mlir",
    ]
    *steps, constants = names
    assert constants == "shared-constants.safetensors"
    assert [int(name[:2]) for name in steps] == list(range(len(steps)))
    after = {name[3:].removesuffix(".mlir"): folder / name for name in steps}
    assert list(after)[-1] == "schedule"
    again_path = tmp_path / "again.mlir"
    arguments = [str(after["lower-to-ftensor"]), "--to=warboy", "-o", str(again_path)]
    result = CliRunner().invoke(opt.main, arguments)
    assert result.exit_code == 0, result.stderr
    last, again = read_module(after["schedule"]), read_module(again_path)
    last.attributes.pop("furiosa.history")
    again.attributes.pop("furiosa.history")
    assert difference(again, last) is None
    compiled(tmp_path / "b.enf", network=after["assign-views"])


def test_a_tree_of_what_passes_changed_by_function(tmp_path: Path):
    compiled(
        tmp_path / "a.graph",
        "--target-ir=graph",
        "--print-ir-tree-dir",
        tmp_path / "tree",
        "--print-ir-after-change=diff",
        "--print-ir-scope=function",
        "--elide-constants",
    )
    files = sorted(str(p.relative_to(tmp_path / "tree")) for p in tmp_path.rglob("*.diff"))
    assert files == [
        "func_func_main/05_graph-partition.diff",
        "func_func_npu_0/05_graph-partition.diff",
    ]
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_file_of_what_a_pass_failed_on(tmp_path: Path):
    arguments = ["-p", "graph-partition,schedule", "--print-ir-after-failure"]
    arguments += ["--print-ir-tree-dir", str(tmp_path)]
    result = CliRunner().invoke(opt.main, [str(NETWORK), *arguments])
    assert result.exit_code == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "00_input.mlir",
        "03_schedule.failed.mlir",
        "shared-constants.safetensors",
    ]


def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").write_text("")
    arguments = [str(NETWORK), "--to=graph", "--print-ir-tree-dir", str(tmp_path / "file" / "x")]
    result = CliRunner().invoke(opt.main, arguments)
    assert result.exit_code == 1
    assert f"{tmp_path / 'file' / 'x'}: cannot be made: not a directory" in result.stderr


def test_a_compile_that_is_watched_takes_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FC_CACHE_ENABLED", "1")
    monkeypatch.setenv("FC_CACHE_STORE_URL", f"file://{tmp_path / 'cache'}")
    plain = tmp_path / "plain.enf"
    compiled(plain)
    assert "Found in the cache" in compiled(plain).stderr

    def put(*_arguments: object) -> None:
        raise AssertionError("what is watched does not go to the cache")

    monkeypatch.setattr(DirectoryStore, "put", put)
    watched = tmp_path / "watched.enf"
    result = compiled(watched, "--statistics=json", "--log-rewrites=json", "--timing=json")
    assert "Found in the cache" not in result.stderr
    assert watched.read_bytes() == plain.read_bytes()
    found = [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]
    *log, statistics, timing = found
    assert {e["pass"] for e in log} == {
        "graph-partition",
        "lower-to-ftensor",
        "ftensor-fold-clamps",
        "fuse-kernels",
        "schedule",
    }
    assert statistics["passes"][0]["pass"].startswith("assign-target")
    assert [s["name"] for s in timing["spans"] if s["name"].startswith("phase")] == [
        "phase graph",
        "phase ftensor",
        "phase warboy",
    ]


def test_one_layer_through_the_levels(tmp_path: Path):
    result = compiled(
        tmp_path / "a.enf", "--print-ir-after-change", "--only", "residual", "--log-rewrites"
    )
    assert headers(result.stderr) == [
        "After graph-partition",
        "After lower-to-ftensor",
        "After ftensor-fold-clamps",
        "After fuse-kernels",
        "After assign-views",
        "After plan-tiles",
        "After allocate",
        "After schedule",
    ]
    log = [line for line in result.stderr.splitlines() if line.startswith("lower-to-ftensor: ")]
    assert log == [
        "lower-to-ftensor: add: graph.add of layer residual in @npu_0",
        "lower-to-ftensor: relu: graph.relu of layer residual in @npu_0",
    ]
    assert "// layers pointwise, residual\n%pointwise = warboy.dot" in result.stderr
    lowered = result.stderr.partition("After lower-to-ftensor")[2].partition("IR Dump")[0]
    assert "// in @npu_0" in lowered
    assert re.search(r"// %stem_2 : tensor<1x8x8x16xi8>, of ftensor.clamp of layer stem", lowered)
    assert re.search(r"// %residual_4 : .*, to ftensor.reduce_window of layer pooled", lowered)
    assert "ftensor.conv %" not in lowered


@pytest.mark.parametrize("shown", ["--print-ir-after-all", "--log-rewrites", "--remarks"])
def test_a_layer_that_there_is_not(shown: str, tmp_path: Path):
    command = ["compile", str(NETWORK), "-o", str(tmp_path / "a"), "--only", "residul", shown]
    result = CliRunner().invoke(furiosa.main, command)
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "no operation is of a layer 'residul' (did you mean 'residual'?)\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["opt", "compile"])
def test_a_layer_of_which_nothing_is_shown(command: str, tmp_path: Path):
    main, words = (opt.main, []) if command == "opt" else (furiosa.main, ["compile"])
    arguments = [*words, str(NETWORK), "-o", str(tmp_path / "a"), "--only", "stem", "--timing"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "ERROR: --only says of which layers dumps and logs are, and there " in result.stderr
    assert not list(tmp_path.iterdir())


def test_what_the_assembly_failed_on_is_dumped(tmp_path: Path):
    command = ["compile", str(NETWORK), "-o", str(tmp_path / "a"), "-p", "graph-partition"]
    result = CliRunner().invoke(furiosa.main, [*command, "--print-ir-after-failure"])
    assert result.exit_code == 1
    assert headers(result.stderr)[0].startswith("After Failure of ")
    assert "graph.conv" in result.stderr


def test_differences_have_colours():
    text = "// header\n--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n same"

    class Terminal:
        def isatty(self) -> bool:
            return True

    painted = colored_difference(text, "always", Terminal())  # pyright: ignore[reportArgumentType]
    assert re.sub(r"\x1b\[\d*m", "", painted) == text
    assert "\x1b[31m-old\x1b[0m\n\x1b[32m+new\x1b[0m\n same" in painted
    assert colored_difference(text, "never", Terminal()) == text  # pyright: ignore[reportArgumentType]


class TestInfoOutputFile:
    def test_it_has_all_that_is_shown(self, tmp_path: Path):
        info = tmp_path / "info.txt"
        result = compiled(
            tmp_path / "a.enf",
            "--print-ir-after=schedule",
            "--statistics=json",
            "--timing=json",
            "--color=always",
            f"--info-output-file={info}",
        )
        assert "IR Dump" not in result.stderr
        assert "{" not in result.stderr
        *dump, statistics, timing = info.read_text(encoding="utf-8").splitlines()
        assert headers(dump[0]) == ["After schedule"]
        assert set(json.loads(statistics)) == {"passes"}
        assert json.loads(timing)["accounted"] > 0.5

    def test_it_is_there_when_the_command_fails(self, tmp_path: Path):
        info = tmp_path / "info.txt"
        arguments = ["-p", "schedule", "--print-ir-after-failure", f"--info-output-file={info}"]
        result = CliRunner().invoke(opt.main, [str(NETWORK), *arguments])
        assert result.exit_code == 1
        assert result.stderr.startswith("ERROR: ")
        assert headers(info.read_text()) == ["After Failure of pass 'schedule'"]

    @pytest.mark.parametrize("command", ["opt", "compile"])
    @pytest.mark.parametrize("name", ["a.enf", "net.tflite", "no/such.txt"])
    def test_it_takes_the_place_of_nothing(self, command: str, name: str, tmp_path: Path):
        network = tmp_path / "net.tflite"
        network.write_bytes(NETWORK.read_bytes())
        main, words = (opt.main, []) if command == "opt" else (furiosa.main, ["compile"])
        arguments = [*words, str(network), "-o", str(tmp_path / "a.enf"), "--timing"]
        arguments.append(f"--info-output-file={tmp_path / name}")
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 1
        assert result.stderr.count("ERROR: ") == 1
        assert "cannot be written" in result.stderr
        assert network.read_bytes() == NETWORK.read_bytes()


@pytest.mark.slow  # a process of its own, against a stopwatch
def test_a_process_is_accounted_for(tmp_path: Path):
    """95 % and more on a machine that has nothing else to do."""
    info = tmp_path / "time.json"
    command = [sys.executable, "-m", "furiosa_ir.tools.furiosa", "compile", str(NETWORK)]
    command += ["-o", str(tmp_path / "a.enf"), "--timing=json", f"--info-output-file={info}"]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall = time.perf_counter() - began
    spans = json.loads(info.read_text())["spans"]
    assert [s["name"] for s in spans[:3]] == ["start of Python", "command line", "imports"]
    assert 0.85 * wall < sum(s["seconds"] for s in spans) <= wall + 0.01
