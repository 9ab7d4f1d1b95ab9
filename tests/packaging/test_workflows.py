"""The workflows of the public host: valid, of least rights, and nothing but scripts of ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
SCRIPTS = sorted(path for path in (ROOT / ".ci").iterdir() if path.is_file())

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="an sdist has no workflows")


def loaded(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in loaded(path)["jobs"].values():
        yield from job["steps"]


def test_there_is_one_for_each_purpose() -> None:
    jobs = {job for path in WORKFLOWS for job in loaded(path)["jobs"]}
    assert {"lint", "test", "docs", "wheels", "fuzz", "bench", "container"} <= jobs
    test = loaded(FOLDER / "ci.yml")["jobs"]["test"]
    assert test["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    for name in ("fuzz", "bench"):
        # YAML 1.1 reads the key `on` as true.
        assert loaded(FOLDER / f"{name}.yml")[True]["schedule"]


def test_they_are_what_the_schema_says() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    command += ["vendor.github-workflows", *map(str, WORKFLOWS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_they_have_least_rights_and_fixed_actions(path: Path) -> None:
    workflow = loaded(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 360
    for line in path.read_text(encoding="utf-8").splitlines():
        if "uses:" in line:
            assert re.search(r"uses: actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line
    for step in steps(path):
        if str(step.get("uses", "")).startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_they_run_scripts_of_the_project_alone(path: Path) -> None:
    ran = [step["run"] for step in steps(path) if "run" in step]
    assert ran
    for command in ran:
        # What an event says is no part of a command: it could be one.
        assert "${{" not in command
        script = command.removeprefix("sudo ").split()[0]
        assert script.startswith(".ci/"), command
        assert os.access(ROOT / script, os.X_OK), script


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    assert os.access(path, os.X_OK)
    done = subprocess.run(["bash", "-n", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
