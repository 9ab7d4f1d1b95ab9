"""Collects ``*.mlir`` files below this folder as tests: see run_lines.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.filecheck.run_lines import RunLineError, run_file


def pytest_collect_file(parent: pytest.Collector, file_path: Path) -> pytest.Collector | None:
    """One test per file; files in an ``Inputs`` folder belong to other tests, as in lit."""
    if file_path.suffix == ".mlir" and "Inputs" not in file_path.parts:
        return MlirFile.from_parent(parent, path=file_path)
    return None


class MlirFile(pytest.File):
    """A file with RUN lines."""

    def collect(self) -> Iterator[pytest.Item]:
        """The file's one test."""
        yield MlirItem.from_parent(self, name="RUN")


class MlirItem(pytest.Item):
    """All RUN lines of one file."""

    def runtest(self) -> None:
        """Runs the lines in order, in a folder of their own."""
        # What the tmp_path fixture does, for an item that has no fixtures.
        factory: pytest.TempPathFactory = self.config._tmp_path_factory
        run_file(self.path, factory.mktemp(self.path.stem))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> str:
        """A failed RUN line needs no traceback; a crash of the tool does."""
        if isinstance(excinfo.value, RunLineError):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the test is, for the report's header."""
        return self.path, 0, str(self.path.relative_to(self.config.rootpath))
