"""The register of backends: what it knows, what it refuses, and that nobody goes around it."""

from __future__ import annotations

import inspect
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest

from furiosa_ir import plugins
from furiosa_ir.backends import (
    Backend,
    Container,
    backend_for,
    backend_of_content,
    backends,
    default_backend,
    lazily,
    look_for_installed,
    register,
    targets,
    write_program,
)
from furiosa_ir.cache.key import Inputs, compile_key
from furiosa_ir.errors import CompilationFailure, ExecutionFailure, FuriosaError
from furiosa_ir.formats import Format, recognise
from furiosa_ir.ir import passes
from furiosa_ir.ir.extensions import dialects
from furiosa_ir.ir.pipeline import Phase, Pipeline
from furiosa_ir.pipeline_request import EditKind, PipelineRequest, edit_of_option
from furiosa_ir.program import Program
from furiosa_ir.runtime.device import target_of
from furiosa_ir.tools.catalogue import PATH, records, text_of_all
from tests.backends.conftest import ROOT, TOY, Forget

NETWORK = ROOT / "examples" / "digits" / "digits_int8.tflite"


def test_the_register_loads_no_part_of_a_backend() -> None:
    script = (
        "import json, sys\n"
        "import furiosa_ir.formats, furiosa_ir.cache.stored_program\n"
        "from furiosa_ir.backends import targets\n"
        "assert targets()\n"
        "heavy = ('numpy', 'xdsl', 'importlib.metadata')\n"
        "print(json.dumps([m for m in heavy if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert json.loads(done.stdout) == []


def _parts(value: Backend | Container) -> dict[str, str]:
    """The parts that are imported when they are used, by the names of their fields."""
    given = {f.name: getattr(value, f.name) for f in fields(value)}
    return {
        name: part.__name__
        for name, part in given.items()
        if inspect.isfunction(part) and ":" in part.__name__
    }


@pytest.mark.parametrize("backend", backends(), ids=lambda backend: backend.name)
def test_every_part_of_a_backend_is_there(backend: Backend) -> None:
    parts = _parts(backend) | _parts(backend.container)
    assert {"pipeline", "refusal", "assemble", "executor", "costs", "read", "write"} <= set(parts)
    for target in parts.values():
        module, _, name = target.partition(":")
        __import__(module)
        assert callable(getattr(sys.modules[module], name)), target
    phases = backend.pipeline().phases
    assert tuple(phase.name for phase in phases) == backend.levels
    named = [what.name for phase in phases for what in phase.resolve()]
    assert [name for name in named if name in backend.stages] == list(backend.stages)
    assert backend.default_target in backend.targets
    assert set(backend.dialects) <= set(dialects())


def test_targets_have_backends() -> None:
    for target, description in targets().items():
        assert description
        assert target in backend_for(target).targets
    with pytest.raises(CompilationFailure, match="no target 'wrboy'") as caught:
        backend_for("wrboy")
    assert all(target in str(caught.value) for target in targets())


def test_devices_are_the_backends() -> None:
    assert target_of("warboy(2)*1") == "warboy-2pe"
    assert target_of("npu0pe1, npu1") == "warboy"
    assert target_of("warboy-2pe") == "warboy-2pe"
    with pytest.raises(ExecutionFailure, match=r"'gpu' is not a device .*warboy\(1\)\*1"):
        target_of("gpu")


_CONTAINER = replace(default_backend().container, name="other", magic=b"other")


def _other(**changes: object) -> Backend:
    """A backend of a plug-in's that has nothing in common with those that there are."""
    one = default_backend()
    distinct = {
        "name": "other",
        "module": "elsewhere",
        "targets": {"other": "another machine"},
        "default_target": "other",
        "container": _CONTAINER,
        "dialects": {"other": "elsewhere:Other"},
        "devices": (),
        "pass_packages": ("elsewhere.passes",),
    }
    return replace(one, **(distinct | changes))


@pytest.mark.usefixtures("own_register")
def test_what_is_registered_is_known_everywhere() -> None:
    assert recognise(b"other program") is not Format.PROGRAM
    register(_other())
    assert "other" in targets()
    assert "other" in dialects()
    assert recognise(b"other program") is Format.PROGRAM
    assert backend_of_content(b"other program") is backend_for("other")
    assert target_of("other") == "other"
    assert default_backend().name == "warboy"
    # A script's: nobody can tell what code programs depend on.
    assert plugins.scripts_that_register() == ["elsewhere"]
    assert compile_key(Inputs(NETWORK, "other")) is None


@pytest.mark.usefixtures("own_register")
def test_the_catalogue_of_the_project_has_nothing_of_a_plug_in() -> None:
    plugins.load_plugins([str(TOY)])
    phases = [phase for record in records("passes") for phase in record["phases"]]
    assert any(phase.startswith("toy:") for phase in phases)
    assert text_of_all() == PATH.read_text(encoding="utf-8")


@pytest.mark.usefixtures("own_register")
@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"name": "warboy"}, "name"),
        ({"targets": {"warboy": ""}}, "target"),
        ({"targets": {"WarBoy": ""}}, "target"),
        ({"dialects": {"warboy": "elsewhere:Other"}}, "dialect"),
        ({"container": replace(default_backend().container, name="x")}, "file format"),
        (
            {"container": replace(default_backend().container, name="x", magic=b"en")},
            "file format",
        ),
    ],
)
def test_two_backends_do_not_share(changes: dict[str, object], what: str) -> None:
    with pytest.raises(FuriosaError, match=f"have the same {what}"):
        register(_other(**changes))
    assert "other" not in targets()


@pytest.mark.usefixtures("own_register")
@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"default_target": "others"}, "its default target 'others' is none of its targets"),
        ({"targets": {}}, "none of its targets"),
        ({"levels": ()}, "no level of IR"),
        ({"devices": (("x", "y"),)}, "'x' leads to none of its targets"),
        ({"levels": ("graph", "other")}, "both called 'other'"),
        ({"container": replace(_CONTAINER, magic=b"ot")}, "3 to 16 bytes"),
        ({"container": replace(_CONTAINER, magic=b"x" * 17)}, "3 to 16 bytes"),
        ({"container": replace(_CONTAINER, magic=b"\x1c\0\0\0TFL3")}, "begin as networks"),
        ({"container": replace(_CONTAINER, magic=b"\x08\x07\x12")}, "begin as networks"),
    ],
)
def test_a_backend_that_contradicts_itself_is_refused(
    changes: dict[str, object], fault: str
) -> None:
    with pytest.raises(FuriosaError, match=f"the backend 'other' cannot be used: .*{fault}"):
        register(_other(**changes))
    assert "other" not in targets()


def _pipeline(*phases: str) -> Pipeline:
    return Pipeline("other", tuple(Phase(name, "", ()) for name in phases))


@pytest.mark.parametrize(
    ("part", "answer", "wrong"),
    [
        ("pipeline", None, "of type NoneType"),
        ("pipeline", _pipeline("graph"), "its phases are graph, the levels graph, ftensor, warboy"),
        ("assemble", b"", "of type bytes"),
        ("assemble", Program("toy", {}, (), (), (), (), ()), "it is for 'toy'"),
        ("costs", {}, "of type dict"),
        ("read", None, "of type NoneType"),
        ("head", ("other", ""), "of type tuple"),
    ],
)
def test_what_a_part_answers_is_looked_at(part: str, answer: object, wrong: str) -> None:
    def lies(*_: object) -> object:
        return answer

    one = _other()
    if part in ("read", "head"):
        whole: object = replace(one.container, **{part: lies})
    else:
        whole = replace(one, **{part: lies})
    with pytest.raises(FuriosaError, match=wrong) as caught:
        getattr(whole, part)(b"", 0)
    assert "lies" in str(caught.value)  # where to look


@pytest.mark.parametrize("target", ["furiosa_ir.hints:nothing", "furiosa_ir.nowhere:read"])
def test_a_part_that_is_not_there_is_named(target: str) -> None:
    with pytest.raises(FuriosaError, match=f"names '{target}', and there is no such"):
        lazily(target)()


@pytest.mark.usefixtures("own_register")
@pytest.mark.parametrize("written", [b"", b"enf and more", b"othe"])
def test_a_program_is_written_with_its_magic(written: bytes) -> None:
    container = replace(_CONTAINER, write=lambda _, file: file.write(written))
    register(_other(container=container))
    program = Program("other", {}, (), (), (), (), ())
    with pytest.raises(FuriosaError, match="otherwise than their magic says"):
        write_program(program, io.BytesIO())


@pytest.mark.usefixtures("own_register")
def test_a_target_is_a_device_in_any_case() -> None:
    register(_other(targets={"Other-X1": ""}, default_target="Other-X1"))
    assert target_of("Other-X1") == target_of("other-x1") == "Other-X1"


@pytest.mark.usefixtures("own_register")
def test_devices_that_are_no_regular_expression_are_named() -> None:
    register(_other(devices=(("x(", "other"),)))
    with pytest.raises(ExecutionFailure, match="the backend 'other' has devices 'x"):
        target_of("gpu")


def _distribution(folder: Path, value: str, group: str = "furiosa_ir.backends") -> None:
    info = folder / "toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\ntoy = {value}\n")


@pytest.mark.usefixtures("own_register")
def test_installed_backends_are_found_when_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _distribution(tmp_path, "toy_backend:BACKEND")
    (tmp_path / "toy_backend").symlink_to(TOY)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "toy" not in targets()
    assert backend_for("toy").module == "toy_backend"
    assert target_of("toy") == "toy"
    # Their code counts, as a plug-in's does.
    assert [str(name) for name in plugins.loaded_plugins()] == ["toy_backend"]
    key = compile_key(Inputs(NETWORK, "toy"))
    assert key is not None
    assert key.source is None


@pytest.mark.usefixtures("own_register")
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("json:dumps", "cannot be of type function"),
        ("json:nothing", "has no attribute 'nothing'"),
        ("no such module : x", "is no MODULE:NAME"),
        ("", "is no MODULE:NAME"),
        ("nowhere_to_be_found:BACKEND", "does not exist"),
    ],
)
def test_an_entry_point_that_names_no_backend_is_a_warning(
    value: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _distribution(tmp_path, value)
    monkeypatch.syspath_prepend(str(tmp_path))
    look_for_installed()
    assert "the backend 'toy' is not used" in caplog.text
    assert reason in caplog.text


@pytest.mark.usefixtures("own_register")
def test_an_installed_backend_that_does_not_load_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _distribution(tmp_path, "broken_backend:BACKEND")
    (tmp_path / "broken_backend.py").write_text("raise ValueError('no such machine')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    look_for_installed()
    with pytest.raises(CompilationFailure, match="no target 'broken'"):
        backend_for("broken")
    assert "the backend 'toy' is not used" in caplog.text
    assert "no such machine" in caplog.text


PASS = """
from dataclasses import dataclass

import furiosa_ir as fi


@dataclass(frozen=True)
class Installed(fi.RewritePass):
    \"\"\"Does nothing.\"\"\"

    name = "test-of-a-distribution"
"""


@pytest.fixture
def installed_pass(
    own_register: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A distribution with a pass; forgotten again."""
    del own_register
    _distribution(tmp_path, "test_of_a_distribution", "furiosa_ir.plugins")
    module = tmp_path / "test_of_a_distribution.py"
    module.write_text(PASS)
    monkeypatch.syspath_prepend(str(tmp_path))
    passes.import_pass_modules()  # else what is imported meanwhile would be forgotten with it
    monkeypatch.setattr(passes, "PASSES", dict(passes.PASSES))
    yield module
    sys.modules.pop("test_of_a_distribution", None)


def test_an_installed_pass_is_found_when_it_is_named(installed_pass: Path) -> None:
    assert passes.find_pass("test-of-a-distribution").__module__ == installed_pass.stem
    assert "test-of-a-distribution" in [r["name"] for r in records("passes")]


@pytest.mark.usefixtures("installed_pass")
def test_an_installed_pass_is_listed_before_anybody_has_named_it() -> None:
    assert "test-of-a-distribution" in [r["name"] for r in records("passes")]


def test_a_program_of_an_installed_pass_depends_on_its_code(
    installed_pass: Path, own_register: Forget
) -> None:
    """From the first look into the cache on, in each process anew."""
    edit = edit_of_option(EditKind.INSERT_AFTER, "graph-partition=test-of-a-distribution")
    inputs = Inputs(NETWORK, None, pipeline=PipelineRequest(edits=(edit,)))
    first = compile_key(inputs)
    assert first is not None
    for text, is_same in ((PASS, True), (f"{PASS}\nMORE = 1\n", False)):
        own_register()
        del sys.modules["test_of_a_distribution"]
        installed_pass.write_text(text)
        key = compile_key(inputs)
        assert key is not None
        assert (key.digest == first.digest) is is_same


@pytest.mark.usefixtures("own_register")
def test_an_entry_point_of_a_plug_in_names_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _distribution(tmp_path, "json:dumps", "furiosa_ir.plugins")
    monkeypatch.syspath_prepend(str(tmp_path))
    look_for_installed()
    assert "the plug-in 'toy' is not used: 'json:dumps' is no MODULE" in caplog.text


def test_an_installed_pass_named_as_ours_is_not_used(tmp_path: Path) -> None:
    """Whoever looks first: it is the stranger's that is turned down, not what is ours."""
    _distribution(tmp_path, "namesake", "furiosa_ir.plugins")
    code = PASS.replace("test-of-a-distribution", "ftensor-fold-clamps")
    (tmp_path / "namesake.py").write_text(code)
    listing = [sys.executable, "-m", "furiosa_ir.tools.furiosa", "list", "passes"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    told = subprocess.run(listing, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert "ftensor-fold-clamps" in told.stdout
    assert "'toy' is not used" in told.stderr
    assert "two passes are named 'ftensor-fold-clamps'" in told.stderr
