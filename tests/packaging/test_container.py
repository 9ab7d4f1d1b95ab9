"""The container file: parsed and linted here; built, and tried as its user, where docker works."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

FILE = ROOT / "Dockerfile"
HADOLINT = Path(sys.executable).with_name("hadolint")


@cache
def docker_works() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=20)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint has no wheel for this machine")
def test_it_parses_and_has_no_faults(tmp_path: Path) -> None:
    command = [HADOLINT, "--no-color", "-"]
    text = FILE.read_text(encoding="utf-8")
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    broken = text.replace("ENTRYPOINT [", "ENTRYPINT [")
    done = subprocess.run(command, input=broken, capture_output=True, text=True, check=False)
    assert done.returncode == 1


def test_its_user_is_not_root_and_it_is_the_command() -> None:
    last = FILE.read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (\d+):(\d+)$", last, re.MULTILINE) == [("1000", "1000")]
    assert 'ENTRYPOINT ["furiosa"]' in last
    assert "debian:trixie-slim" in last.splitlines()[0]


def test_what_installing_needs_is_sent_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line[1:] for line in lines if line.startswith("!")}
    assert lines[1] == "*"  # all else stays here: .git, .venv, models
    needed = {"pyproject.toml", "hatch_build.py", "compile_kernels.py", "README.md", "LICENSE"}
    assert needed | {"furiosa", "furiosa_ir"} <= sent
    for pattern in sent:
        assert list(ROOT.glob(pattern)), pattern


@pytest.mark.slow
@pytest.mark.skipif(not docker_works(), reason="docker is not here, or has no daemon")
@pytest.mark.timeout(900)
def test_it_builds_and_compiles_as_its_user() -> None:
    done = subprocess.run([ROOT / ".ci" / "container"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
