"""What the cache's tests share: Redis servers, and the time that a compile waits for one."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from furiosa_ir.cache import redis_store, redis_value
from furiosa_ir.cache.bounded import TimeBudget
from furiosa_ir.compiler import compile_source
from furiosa_ir.tools.furiosa import main
from tests.cache.servers import RedisServer, redis_server
from tests.conftest import DIGITS

TFLITE = DIGITS / "digits_int8.tflite"


@pytest.fixture(scope="session")
def fresh() -> bytes:
    """The program of TFLITE, compiled without a cache."""
    enf = compile_source(TFLITE, target="warboy-2pe").enf
    assert enf is not None
    return enf


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(shared_server: RedisServer) -> RedisServer:
    """An empty server."""
    with shared_server.client() as client:
        client.flushall()
    return shared_server


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that a compile waits for a server, piece by piece."""
    pieces: list[float] = []

    class Recorded(TimeBudget):
        @contextmanager
        def deadline(self) -> Generator[float]:
            before = self.left
            try:
                with super().deadline() as moment:
                    yield moment
            finally:
                pieces.append(before - self.left)

    monkeypatch.setattr(redis_store, "TimeBudget", Recorded)
    return pieces


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute to wait for a server: what is tested is not its speed, nor this machine's."""
    monkeypatch.setattr(redis_store, "PATIENCE", 60.0)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 1000 bytes, so that small entries have some."""
    monkeypatch.setattr(redis_value, "PART", 1000)


class Command:
    """`furiosa compile TFLITE` with a cache, checked: the program is the right one."""

    def __init__(self, fresh: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        self._fresh = fresh
        self._monkeypatch = monkeypatch

    def __call__(self, store: str, lifetime: int | None = None) -> str:
        """What came of it: "hit", "compiled", or the one warning that there was."""
        self._monkeypatch.setenv("FC_CACHE_ENABLED", "1")
        self._monkeypatch.setenv("FC_CACHE_STORE_URL", store)
        self._monkeypatch.setenv("FC_CACHE_LIFETIME", "" if lifetime is None else str(lifetime))
        result = CliRunner().invoke(main, ["compile", str(TFLITE)])
        assert result.exit_code == 0, result.stderr
        output = Path("output.enf")
        assert output.read_bytes() == self._fresh
        output.unlink()
        lines = result.stderr.splitlines()
        warnings = [line for line in lines if line.startswith(("WARNING", "ERROR"))]
        hit = any("Found in the cache" in line for line in lines)
        assert len(warnings) + hit <= 1, result.stderr
        return warnings[0] if warnings else "hit" if hit else "compiled"


@pytest.fixture
def command(fresh: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """See `Command`; it runs in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    return Command(fresh, monkeypatch)
