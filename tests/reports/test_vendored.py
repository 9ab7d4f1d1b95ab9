"""The parts of d3 in the page: what stands there is what was bundled, with its licences."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from furiosa_ir.program import Program
from furiosa_ir.reports.page import render_page
from furiosa_ir.reports.profiling import profile_program
from tests.conftest import ROOT

ASSETS = ROOT / "furiosa_ir" / "reports" / "assets"
MADE = json.loads((ASSETS / "d3.min.json").read_text(encoding="utf-8"))


def test_the_bundle_is_the_recorded_one() -> None:
    bundle = (ASSETS / "d3.min.js").read_bytes()
    assert hashlib.sha256(bundle).hexdigest() == MADE["sha256"]


@pytest.mark.parametrize("package", MADE["packages"])
def test_packages_are_the_locked_ones_and_named_with_their_licence(package: str) -> None:
    name, version = package.split()
    lock = json.loads((ROOT / "vendored/d3/package-lock.json").read_text(encoding="utf-8"))
    held = lock["packages"][f"node_modules/{name}"]
    assert (held["version"], held["integrity"]) == (version, MADE["packages"][package])
    notices = (ASSETS / "d3.min.js").read_text(encoding="utf-8").partition("*/")[0]
    assert package in notices
    assert notices.count("Mike Bostock") == notices.count("THE SOFTWARE IS PROVIDED") + 1
    assert "Robert Penner" in notices


def test_only_what_is_asked_for_is_there(digits_program: Program) -> None:
    asked = json.loads((ROOT / "vendored/d3/package.json").read_text(encoding="utf-8"))
    for name, version in asked["dependencies"].items():
        assert f"{name} {version}" in MADE["packages"]
    assert Path(ASSETS / "d3.min.js").stat().st_size < 100_000
    page = render_page(profile_program(digits_program))
    assert all(package in page for package in MADE["packages"])
