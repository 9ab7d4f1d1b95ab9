"""Failures are written down, and happen again from the file; a file is data, whoever wrote it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from furiosa_ir import plugins
from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.passes.allocate import Allocate
from furiosa_ir.driver import compile_source
from furiosa_ir.errors import FormatFailure
from furiosa_ir.ir.text import print_module, read_module
from furiosa_ir.reproducer.container import (
    CONSTANTS,
    MANIFEST,
    MODULE,
    Reproducer,
    read_reproducer,
)
from furiosa_ir.tools.furiosa import main
from furiosa_ir.tools.opt import main as opt_main
from tests.conftest import DIGITS

ONNX = DIGITS / "digits_qdq_int8.onnx"

PLUGIN = '''
from dataclasses import dataclass
from furiosa_ir.ir.passes import Pass

@dataclass(frozen=True)
class Failing(Pass):
    """Fails, if it is to."""
    name = "repro-fails"
    how: str = "raise"

    def apply(self, ctx, op):
        if self.how == "raise":
            raise ValueError("on purpose")
        if self.how == "mark":
            op.body.block.first_op._marked = True
        if self.how == "marked" and hasattr(op.body.block.first_op, "_marked"):
            raise ValueError("it is marked")
        if self.how == "exit":
            raise SystemExit(3)
        if self.how == "deep":
            self.apply(ctx, op)
        if self.how == "count":
            global CALLS
            CALLS += 1
            if CALLS == 1:
                raise ValueError("the first time")

CALLS = 0
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("_roots", "_loaded", "_installed"):  # what is loaded here is forgotten
        monkeypatch.setattr(plugins, name, {})
    monkeypatch.setattr(plugins, "_untracked", set[str]())
    # Of its own: this process has loaded those of the tests before.
    Path("fails.py").write_text(f"{PLUGIN}# {tmp_path}\n")


def run(command: Any, *arguments: object) -> Result:
    result = CliRunner().invoke(command, [str(a) for a in arguments])
    assert result.exit_code in (0, 1), result.stderr
    return result


def failure(command: Any, *arguments: object, file: str = "c.zip") -> tuple[str, Reproducer]:
    """The error of a command that fails, and what it has written down."""
    result = run(command, *arguments, "--crash-reproducer", file)
    assert result.exit_code == 1, result.output
    assert f"furiosa-opt --run-reproducer {file}" in result.stderr
    return result.stderr.splitlines()[-1], opened(file)[0]


def opened(file: str = "c.zip") -> tuple[Reproducer, Path]:
    into = Path(f"{file}.read")
    into.mkdir()
    return read_reproducer(Path(file), into), into


def again(*options: object, command: Any = opt_main, file: str = "c.zip") -> Result:
    return run(command, "--run-reproducer", file, *options)


def test_a_pass_in_the_middle():
    error, made = failure(
        opt_main, ONNX, "--load", "fails.py", "--insert-after", "graph-partition=repro-fails"
    )
    assert "the plug-in raises ValueError: on purpose" in error
    assert made.failure.where == "the pass 'repro-fails'"
    assert made.failure.message in error
    assert 'raise ValueError("on purpose")' in made.failure.traceback
    assert made.begins == "before the pass 'repro-fails'"
    behind = "graph-fold-space-to-batch,graph-sink-movement,graph-hoist-row-functions"
    assert made.pipeline == f"graph(repro-fails,{behind})"
    assert made.is_tried
    assert made.source == ONNX.name
    assert {"furiosa-ir", "xdsl", "python", "numpy"} <= made.versions.keys()
    assert {"fails.py": Path("fails.py").read_text()} in [plugin.files for plugin in made.plugins]
    result = again("--load", "fails.py")
    assert result.exit_code == 1
    assert "It failed in the pass 'repro-fails' of digits_qdq_int8.onnx" in result.stderr
    assert "It fails in the same way:" in result.stderr
    assert error in result.stderr


def test_the_module_is_the_one_that_the_pass_took():
    failure(opt_main, ONNX, "--load", "fails.py", "--insert-after", "graph-partition=repro-fails")
    run(
        opt_main,
        ONNX,
        "-o",
        "x.mlir",
        "-p",
        "assign-target{npu=warboy-2pe},graph-fold-quantization,graph-compose-movement,"
        "graph-fuse-tables,graph-fold-constants,graph-partition",
    )
    module = read_module(Path("c.zip.read") / MODULE)
    assert print_module(module) == print_module(read_module("x.mlir"))
    constants = Path("c.zip.read") / CONSTANTS
    assert constants.read_bytes() == Path("x.safetensors").read_bytes()


def test_a_phase_that_does_not_verify():
    error, made = failure(opt_main, ONNX, "--skip", "lower-to-ftensor", "--to", "ftensor")
    assert error.startswith(("ERROR: after the phase 'ftensor': ", "and "))
    assert made.failure.where == "the phase 'ftensor'"
    assert made.begins == "before the pass 'ftensor-hoist-functions'"
    assert made.pipeline == "ftensor(ftensor-hoist-functions)"
    assert made.is_tried
    assert "It fails in the same way:" in again().stderr


def test_the_assembly():
    error, made = failure(main, "compile", ONNX, "-p", "graph,ftensor,fuse-kernels")
    assert "a program needs the pass 'assign-views'" in error
    assert made.failure.where == "the assembly"
    assert made.begins == "behind all passes"
    assert made.target_ir is None
    assert made.is_tried
    assert "It fails in the same way:" in again().stderr
    assert not Path("output.enf").exists()


@pytest.mark.parametrize("command", [(opt_main, "--to", "graph"), (main, "compile")])
def test_a_network_that_is_not_imported(command: tuple[Any, ...]):
    data = (DIGITS / "digits_int8.tflite").read_bytes()
    Path("x.tflite").write_bytes(data[: len(data) // 2])
    error, made = failure(*command, "x.tflite", "-b", 3)
    assert made.failure.where == "the import"
    assert made.begins == "with the network"
    assert made.options == {"batch_size": "3"}
    assert made.is_tried
    with zipfile.ZipFile("c.zip") as archive:
        assert archive.read("network") == data[: len(data) // 2]
    result = again()
    assert "It fails in the same way:" in result.stderr
    assert result.stderr.splitlines()[-1] == error.replace("x.tflite", "c.zip:network")


def test_any_exception(monkeypatch: pytest.MonkeyPatch):
    def breaks(self: Allocate, ctx: object, op: object) -> None:
        raise ZeroDivisionError(f"at {id(op):#x}")

    with monkeypatch.context() as patched:
        patched.setattr(Allocate, "apply", breaks)
        error, made = failure(main, "compile", ONNX)
        assert "internal error, ZeroDivisionError" in error
        assert made.failure.type == "ZeroDivisionError"
        assert made.is_tried  # addresses aside
        assert made.pipeline == "warboy(allocate,schedule)"
    result = again()
    assert result.exit_code == 0
    assert "It does not fail here." in result.stderr
    assert "warboy.dot" in result.stdout or "func.func" in result.stdout


@pytest.mark.parametrize("command", [(opt_main,), (main, "compile")], ids=["opt", "compile"])
@pytest.mark.parametrize(
    ("how", "message"),
    [("exit", "the plug-in raises SystemExit: 3"), ("deep", "the plug-in raises RecursionError")],
)
def test_ends_and_recursion(command: tuple[Any, ...], how: str, message: str):
    edit = ("--insert-before", f"graph-sink-movement=repro-fails{{how={how}}}")
    error, made = failure(*command, ONNX, "--load", "fails.py", *edit)
    assert message in error
    assert made.failure.where == "the pass 'repro-fails'"
    assert made.begins == "before the pass 'repro-fails'"
    assert made.is_tried
    result = again("--load", "fails.py")
    assert result.exit_code == 1
    assert "It fails in the same way:" in result.stderr
    assert message in result.stderr


@pytest.mark.parametrize("command", [(opt_main, "--to", "warboy"), (main, "compile")])
def test_endless_recursion(command: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch):
    def deep(self: Allocate, ctx: object, op: object) -> None:
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr(Allocate, "apply", deep)
    error, made = failure(command[0], *command[1:], ONNX)
    assert "the network is nested too deeply" in error
    assert made.is_tried
    assert made.begins == "before the pass 'allocate'"


def test_what_only_the_whole_phase_shows():
    """An earlier pass has left what no text says; then the phase is what fails."""
    edits = ("--insert-before", "graph-fold-constants=repro-fails{how=mark}")
    last = ("--insert-after", "graph-fold-constants=repro-fails{how=marked}")
    _, made = failure(opt_main, ONNX, "--load", "fails.py", *edits, *last)
    assert made.failure.message.startswith("the plug-in raises ValueError: it is marked")
    assert made.begins == "before the phase 'graph'"
    assert made.is_tried
    assert "It fails in the same way:" in again("--load", "fails.py").stderr


def test_what_does_not_happen_again_is_kept_from_the_beginning():
    edit = ("--insert-after", "lower-to-ftensor=repro-fails{how=count}")
    result = run(opt_main, ONNX, "--load", "fails.py", *edit, "--crash-reproducer", "c.zip")
    assert "it begins as it was read, but did not fail so when it was tried" in result.stderr
    made, _ = opened()
    assert not made.is_tried
    assert made.pipeline.startswith("builtin.module(\n  graph(assign-target{npu=")
    assert ' ftensor(lower-to-ftensor,repro-fails{how="count"},ftensor-fold-clamps' in made.pipeline
    result = again("--load", "fails.py")
    assert result.exit_code == 0


def test_what_is_mended_goes_on_to_its_end():
    edit = ("--insert-before", "schedule=repro-fails")
    failure(main, "compile", ONNX, "-o", "a.enf", "--load", "fails.py", *edit)
    mended = Path("fails.py").read_text().replace('how: str = "raise"', 'how: str = "no"')
    Path("fails.py").write_text(mended)
    result = again("--load", "fails.py", "-o", "x.mlir")
    assert result.exit_code == 0, result.stderr
    assert "WARNING: the plug-in fails.py has changed since: fails.py" in result.stderr
    run(main, "compile", "x.mlir", "-o", "a.enf")
    direct = compile_source(ONNX).program
    assert direct is not None
    assert read_program(Path("a.enf")).segments == direct.segments


def test_what_is_found_by_looking():
    """A pass that changes values; nothing fails but the comparison."""
    wrong = Path(__file__).parents[2] / "examples" / "wrong_passes" / "zero_point.py"
    network, plugin = DIGITS / "digits_int8.tflite", ("--load", wrong, "--check-numerics=1")
    edit = ("--insert-after", "ftensor-hoist-functions=wrong-zero-point")
    _, made = failure(opt_main, network, *plugin, *edit)
    assert made.failure.where == "what watches the pass 'wrong-zero-point'"
    assert made.begins == "before the pass 'wrong-zero-point'"
    assert made.pipeline == "ftensor(wrong-zero-point)"
    assert again(*plugin[:2]).exit_code == 0
    result = again(*plugin)
    assert result.exit_code == 1
    assert "It fails in the same way:" in result.stderr


def test_a_program_of_a_reproducer(monkeypatch: pytest.MonkeyPatch):
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("furiosa_ir.driver._assemble", breaks)
        assert failure(main, "compile", ONNX)[1].begins == "behind all passes"
    result = again("-o", "a.enf", command=main.commands["compile"])
    assert result.exit_code == 0, result.stderr
    assert read_program(Path("a.enf")).segments


def test_where_there_is_nothing_to_write():
    Path("x.onnx").write_bytes(b"\x08no network")
    Path("x.mlir").write_text("builtin.module { oops }")
    for arguments in (("x.mlir", "--to", "graph"), (ONNX, "-p", "no-pass"), (ONNX, "-o", "no/x")):
        result = run(opt_main, *arguments, "--crash-reproducer", "c.zip")
        assert result.exit_code == 1
        assert "WARNING: there is no crash reproducer: no pass had begun" in result.stderr
        assert not Path("c.zip").exists()
    assert run(opt_main, ONNX, "--to", "graph", "--crash-reproducer", "c.zip").exit_code == 0
    assert run(main, "compile", ONNX, "--crash-reproducer", "c.zip").exit_code == 0
    assert not Path("c.zip").exists()
    result = run(main, "compile", ONNX, "--crash-reproducer", "nowhere/c.zip")
    assert "nowhere/c.zip: cannot be written: there is no directory nowhere" in result.stderr
    for command in ((main, "compile", "x.onnx"), (opt_main, "x.onnx")):
        result = run(*command, "--crash-reproducer", "x.onnx")
        assert "the output would replace an input" in result.stderr
    run(opt_main, ONNX, "-o", "x.mlir", "--to", "graph")
    in_place = (opt_main, "x.mlir", "--to", "ftensor", "-o", "x.mlir")
    for file in ("x.mlir", "x.safetensors"):
        assert "cannot be written: " in run(*in_place, "--crash-reproducer", file).stderr
    assert run(*in_place, "--crash-reproducer", "c.zip").exit_code == 0


def test_options_that_do_not_go_together():
    Path("c.zip").write_bytes(b"")
    assert "runs what the file says" in again("-p", "graph").stderr
    result = again("--target-ir", "graph", command=main.commands["compile"])
    assert "runs what the file says" in result.stderr
    assert "--crash-reproducer does not go with" in again("--crash-reproducer", "d.zip").stderr
    result = CliRunner().invoke(opt_main, [str(ONNX), "--trust-plugins"])
    assert result.exit_code == 2


# What comes from others.


def rewritten(change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> None:
    """Writes c.zip anew, as somebody else may have."""
    with zipfile.ZipFile("c.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members[MANIFEST])
    change(manifest, members)
    members[MANIFEST] = json.dumps(manifest).encode()
    with zipfile.ZipFile("c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def strange_plugin(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
    """A plug-in that nobody has loaded, which leaves a mark when it runs."""
    code = b"from pathlib import Path\nPath('ran').touch()\n"
    digests = {"strange.py": "0" * 64, "../up.py": "1" * 64, "/tmp/abs.py": "2" * 64}
    manifest["plugins"] = [{"name": "strange.py", "main": "strange.py", "sha256": digests}]
    for name in digests:
        members[f"plugins/0/{name}"] = code


WRITTEN: list[bytes] = []


@pytest.fixture
def reproducer() -> None:
    """c.zip, of a phase that does not verify."""
    if not WRITTEN:
        failure(opt_main, ONNX, "--skip", "lower-to-ftensor", "--to", "ftensor")
        WRITTEN.append(Path("c.zip").read_bytes())
    Path("c.zip").write_bytes(WRITTEN[0])


@pytest.mark.usefixtures("reproducer")
def test_code_in_a_file_runs_only_where_somebody_says_so(tmp_path: Path):
    rewritten(strange_plugin)
    result = again()
    assert "it needs the plug-in 'strange.py' (SHA-256 0000000000000000...)" in result.stderr
    assert "give it with --load; --trust-plugins runs the copy in the file" in result.stderr
    assert not Path("ran").exists()
    result = again("--trust-plugins")
    assert "WARNING: the copy of the plug-in strange.py was edited: strange.py" in result.stderr
    assert "It fails in the same way:" in result.stderr
    assert Path("ran").exists()
    assert not (tmp_path.parent / "up.py").exists()
    assert not Path("/tmp/abs.py").exists()


@pytest.mark.usefixtures("reproducer")
@pytest.mark.parametrize("main_file", ["../up.py", "/tmp/abs.py", "no.py", "furiosa_ir.plugins"])
def test_a_plugin_that_lies_elsewhere_is_not_run(main_file: str):
    def change(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        strange_plugin(manifest, members)
        manifest["plugins"][0]["main"] = main_file

    rewritten(change)
    result = again("--trust-plugins")
    assert result.exit_code == 1
    assert "it needs the plug-in 'strange.py'" in result.stderr
    assert "--trust-plugins runs" not in result.stderr
    assert not Path("ran").exists()


def archive_of(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_", "."), data)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no sound crash reproducer"),
        (b"PK\x03\x04" + bytes(100), "is no sound crash reproducer"),
        (archive_of(module_mlir=b""), "is no crash reproducer: it has no"),
        (archive_of(reproducer_json=b"{", module_mlir=b""), "is no sound crash reproducer"),
        (archive_of(reproducer_json=b"[]", module_mlir=b""), "reproducer.json is no object"),
        (archive_of(reproducer_json=b"[" * 99999, module_mlir=b""), "is no sound crash reprod"),
        (archive_of(reproducer_json=b"{}", module_mlir=b""), "of format None, not 1"),
        (archive_of(reproducer_json=b'{"format": 1}', module_mlir=b""), "is no sound crash"),
        (archive_of(reproducer_json=b" " * (2 << 20), module_mlir=b""), "more than 1048576 bytes"),
        (archive_of(reproducer_json=b"{}", module_mlir=bytes(160 << 20)), "holds 167772162 bytes"),
    ],
    ids=range(10),
)
def test_files_that_are_no_reproducers(data: bytes, message: str, tmp_path: Path):
    Path("c.zip").write_bytes(data)
    (tmp_path / "into").mkdir()
    with pytest.raises(FormatFailure, match=f"^c.zip: .*{message}"):
        read_reproducer(Path("c.zip"), tmp_path / "into")


@pytest.mark.usefixtures("reproducer")
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("pipeline", "no-such-pass", "there is no pass 'no-such-pass'"),
        ("pipeline", 3, "is no sound crash reproducer"),
        ("target_ir", "../x", "there is no level of IR called '../x'"),
        ("plugins", ["x"], "is no sound crash reproducer"),
        ("failure", None, "is no sound crash reproducer"),
        ("format", 2, "is a crash reproducer of format 2, not 1"),
    ],
)
def test_fields_that_say_something_else(field: str, value: object, message: str):
    rewritten(lambda manifest, _: manifest.update({field: value}))
    result = again()
    assert result.exit_code == 1
    assert message in result.stderr.splitlines()[-1]
    assert "internal error" not in result.stderr


@pytest.mark.usefixtures("reproducer")
def test_an_edited_module_says_where_it_is_wrong():
    rewritten(lambda _, members: members.update({MODULE: b"builtin.module {\n  oops\n}"}))
    assert "ERROR: c.zip:module.mlir:2:" in again().stderr
    result = run(opt_main, "c.zip")
    assert "this is an archive, not a model" in result.stderr
    assert "--run-reproducer" in result.stderr
