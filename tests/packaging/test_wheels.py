"""The distributions are complete: sdist -> wheel equals the wheel from the tree, and it imports."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import compile_kernels
from compile_kernels import compiler
from furiosa_ir.tools.example import FILES
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

KERNELS = "furiosa_ir/backends/warboy/simulator/native/kernels.so"
LINKS = ("dialects", "lowering", "passes", "backends", "tools")


def run(*command: str | Path, cwd: Path) -> str:
    """The command's standard output; what it printed is the message if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(kind: str, source: Path, target: Path) -> Path:
    """Builds an sdist or wheel with the hatchling of this environment."""
    run(sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "-o", target, cwd=source)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def wheel_from_sdist(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    # Not tarfile: its `filter` is absent from Debian 12's Python 3.11.2, and later ones demand it.
    run("tar", "-xzf", sdist, cwd=folder)
    (unpacked,) = folder.iterdir()
    return build("wheel", unpacked, tmp_path_factory.mktemp("wheel_from_sdist"))


def contents(wheel: Path) -> dict[str, bytes]:
    """The wheel's files, without RECORD, whose order the builder may choose."""
    with zipfile.ZipFile(wheel) as archive:
        return {n: archive.read(n) for n in archive.namelist() if not n.endswith("/RECORD")}


def test_wheel_from_sdist_equals_wheel_from_tree(wheel: Path, wheel_from_sdist: Path):
    from_tree, from_sdist = contents(wheel), contents(wheel_from_sdist)
    assert sorted(from_tree) == sorted(from_sdist)
    assert [name for name in from_tree if from_tree[name] != from_sdist[name]] == []


def test_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: Path):
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in ("furiosa_ir", "furiosa")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packaged = {name for name in contents(wheel) if ".dist-info/" not in name}
    example = {name for name in packaged if name.startswith("furiosa_ir/tools/digits/")}
    assert {Path(name).name for name in example} == set(FILES)
    assert packaged - example - {KERNELS} == expected - {KERNELS}
    assert (KERNELS in packaged) == (compiler() is not None)
    assert "furiosa_ir/py.typed" in packaged
    assert "furiosa/__init__.py" not in packaged, "furiosa is a namespace that others share"


def test_an_index_would_take_them(sdist: Path, wheel: Path):
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel, cwd=ROOT)


def test_kernels_are_for_any_processor():
    """What a wheel holds was compiled on one machine: each variant says what it needs itself."""
    of_all, variants = compile_kernels._FLAGS, compile_kernels._X86
    assert [flag for flag in of_all if flag.startswith("-m")] == []
    assert "native" not in str((of_all, variants))


def test_sdist_has_tests_examples_and_licence(sdist: Path):
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {
        ".dockerignore",
        "Dockerfile",
        "LICENSE",
        "Makefile",
        "pyproject.toml",
        "examples/digits/digits_int8.tflite",
        "tests/packaging/test_wheels.py",
    } <= names


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="an sdist has no links")
@pytest.mark.parametrize("name", LINKS)
def test_root_link_is_relative_and_leads_into_the_package(name: str):
    link = ROOT / name
    assert link.is_symlink()
    assert link.readlink() == Path("furiosa_ir", name)
    assert link.is_dir()


@pytest.fixture(scope="module")
def environment(wheel_from_sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with our wheel and, after it, this environment's dependencies."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--no-deps", "--no-index", wheel_from_sdist, cwd=folder)
    site = Path(
        run(
            python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder
        ).strip()
    )
    # A path from a .pth file comes last, and .pth files found there (an editable install of this
    # project) are not read: nothing but the wheel can provide furiosa_ir.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


@pytest.mark.parametrize("module", ["furiosa_ir", "furiosa.runtime", "furiosa.runtime.session"])
def test_installed_wheel_imports_outside_the_tree(environment: Path, module: str):
    code = f"import {module}; print({module}.__file__)"
    origin = run(environment / "bin" / "python", "-W", "error", "-c", code, cwd=environment)
    assert Path(origin.strip()).is_relative_to(environment)


@pytest.mark.skipif(compiler() is None, reason="without a C compiler a wheel has no kernels")
def test_installed_wheel_has_its_kernels(environment: Path):
    code = (
        "from furiosa_ir.backends.warboy.simulator.native.library import load_kernels;"
        "print(load_kernels('') is not None)"
    )
    assert run(environment / "bin" / "python", "-c", code, cwd=environment).strip() == "True"


@pytest.mark.parametrize("script", ["furiosa", "furiosa-opt"])
def test_installed_script_runs_outside_the_tree(environment: Path, script: str):
    assert "Usage:" in run(environment / "bin" / script, "--help", cwd=environment)
