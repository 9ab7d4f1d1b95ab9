"""`make demo`: what a new user sees first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest


def test_demo_reports_accuracy_placement_and_latency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from examples import demo

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["demo.py"])
    demo.main()
    printed = capsys.readouterr().out
    shares = [float(share) for share in re.findall(r"held-out images: ([\d.]+)%", printed)]
    assert len(shares) == 2
    assert min(shares) >= 97.0
    assert printed.count("estimated latency") == 2
    assert "placement" in printed
    assert "accuracy" in (tmp_path / "demo.html").read_text(encoding="utf-8")


def test_the_times_are_of_compiles_not_of_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from examples import demo

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["demo.py"])
    monkeypatch.setenv("FC_CACHE_ENABLED", "1")
    monkeypatch.setenv("FC_CACHE_STORE_URL", f"file://{tmp_path / 'cache'}")
    demo.main()
    assert "compiled for warboy-2pe in" in capsys.readouterr().out
    assert not (tmp_path / "cache").exists()
