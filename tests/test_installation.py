"""What the metadata of a distribution requires here, and whether it is there and loads."""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, PathDistribution, version
from pathlib import Path

import pytest

from furiosa_ir import installation
from furiosa_ir.installation import (
    Requirements,
    core_findings,
    extra_findings,
    import_faults,
    requirements_of,
)

METADATA = """\
Metadata-Version: 2.4
Name: furiosa-ir
Version: 9.0
Requires-Dist: numpy>=1.0
Requires-Dist: click>=999
Requires-Dist: there-is-no-such-thing~=2.0
Requires-Dist: elsewhere; python_version < '3'
Provides-Extra: both
Requires-Dist: rich>=1; extra == 'both'
Requires-Dist: nothing-of-that-name>=3; extra == 'both'
Provides-Extra: redis
Requires-Dist: nothing-of-that-name>=3; extra == 'redis'
Provides-Extra: whole
Requires-Dist: rich>=1; extra == 'whole'
Provides-Extra: fuzz
Requires-Dist: atheris; (sys_platform == 'beos') and extra == 'fuzz'
"""


@pytest.fixture
def required(tmp_path: Path) -> Requirements:
    folder = tmp_path / "furiosa_ir-9.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(METADATA)
    installed: Distribution = PathDistribution(folder)
    return requirements_of(installed)


def test_requirements_hold_where_their_markers_do(required: Requirements) -> None:
    assert [r.name for r in required.core] == ["numpy", "click", "there-is-no-such-thing"]
    names = {extra: [r.name for r in given] for extra, given in required.extras.items()}
    assert names == {
        "both": ["rich", "nothing-of-that-name"],
        "redis": ["nothing-of-that-name"],
        "whole": ["rich"],
        "fuzz": [],
    }


def test_what_the_core_lacks_is_broken(required: Requirements) -> None:
    found = {f.name: f for f in core_findings(required, {"numpy": "ImportError: no libc"})}
    assert {f.state for f in found.values()} == {"broken"}
    assert found["there-is-no-such-thing"].value == "not installed"
    assert found["there-is-no-such-thing"].advice == "pip install 'there-is-no-such-thing~=2.0'"
    assert found["click"].value == f"{version('click')}, where >=999 is needed"
    assert found["numpy"].value.endswith("does not load: ImportError: no libc")
    sound = next(f for f in core_findings(required, {}) if f.name == "numpy")
    assert (sound.value, sound.state) == (version("numpy"), "ok")


def test_what_an_extra_lacks_one_may_do_without(required: Requirements) -> None:
    found = {f.name: f for f in extra_findings(required, {})}
    assert found["whole"].state == "ok"
    assert found["both"].value == "lacks nothing-of-that-name>=3"
    # What nobody has described is described by what it brings.
    assert found["both"].advice == "pip install 'furiosa-ir[both]': rich, nothing-of-that-name"
    assert (found["redis"].value, found["redis"].state) == ("not installed", "absent")
    assert "machines share" in found["redis"].advice
    assert found["fuzz"].value == "nothing for this Python on this machine"
    broken = {f.name: f for f in extra_findings(required, {"rich": "no"})}["whole"]
    assert (broken.value, broken.state) == ("rich does not load: no", "broken")


def test_one_module_that_ends_the_process_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As machine code does on a processor that it is not for."""
    (tmp_path / "fine.py").write_text("print('talks')\n")
    (tmp_path / "dies.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    (tmp_path / "leaves.py").write_text("import os\nos._exit(3)\n")
    (tmp_path / "raises.py").write_text("raise ImportError('libgomp.so.1:\\nno such file')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert import_faults(["dies", "fine", "raises", "leaves", "absent_one"]) == {
        "dies": "it ends the process with SIGILL",
        "raises": "ImportError: libgomp.so.1: no such file",
        "leaves": "it ends the process with 3",
        "absent_one": "ModuleNotFoundError: No module named 'absent_one'",
    }


def test_a_module_that_never_ends_is_one_that_does_not_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hangs.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(installation, "_LONGEST_IMPORT", 2.0)
    assert import_faults(["hangs"]) == {"hangs": "not within 2 s"}
