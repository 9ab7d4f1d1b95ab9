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
