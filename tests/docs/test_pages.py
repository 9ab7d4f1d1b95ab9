"""The committed reference pages are what `make docs` writes."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from furiosa_ir.tools.docs import PAGES, main


def test_pages_are_not_stale() -> None:
    result = CliRunner().invoke(
        main, ["--check", "--output", str(Path(__file__).parents[2] / "docs")]
    )
    assert result.exit_code == 0, result.output


def test_a_stale_page_is_found(tmp_path: Path) -> None:
    assert CliRunner().invoke(main, ["--output", str(tmp_path)]).exit_code == 0
    page = tmp_path / next(iter(PAGES))
    page.write_text(page.read_text(encoding="utf-8") + "more", encoding="utf-8")
    result = CliRunner().invoke(main, ["--check", "--output", str(tmp_path)])
    assert result.exit_code == 1
    assert "stale" in result.output


def test_a_network_at_each_level_fits_three_screens() -> None:
    """Of 60 lines, 160 columns each."""
    page = (Path(__file__).parents[2] / "docs" / "levels.md").read_text(encoding="utf-8")
    levels = page.split("```mlir\n")[1:]
    assert len(levels) == 3
    for level in levels:
        lines = level.partition("```")[0].splitlines()
        assert len(lines) <= 180
        assert max(map(len, lines)) <= 160
