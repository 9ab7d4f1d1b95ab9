"""Many processes at once, and killed ones; `python -m tests.cache.stampede` does it at length."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cache.servers import redis_server
from tests.conftest import ROOT

STORES = ["directory", pytest.param("redis", marks=pytest.mark.redis)]


def run(store: str, folder: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.cache.stampede", "--processes", "8", *options]
    if store == "directory":
        return report_of([*command, "--store", str(folder / "cache")])
    with redis_server(folder / "server") as server:
        return report_of([*command, "--store", server.url])


def report_of(command: list[str]) -> dict[str, Any]:
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.stdout, result.stderr
    report = json.loads(result.stdout)
    assert report["problems"] == [], result.stderr
    return report


@pytest.mark.parametrize("store", STORES)
def test_each_network_is_compiled_once(store: str, tmp_path: Path):
    report = run(store, tmp_path, "--patience", "60")
    assert (report["compiles"], report["right"], report["hits"]) == (4, 8, 4)


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES)
def test_killed_processes_leave_nothing_that_matters(store: str, tmp_path: Path):
    report = run(store, tmp_path, "--kill-every", "0.2", "--seconds", "3")
    assert report["killed"] > 0
