"""The limits of what files may ask for, and what a bad setting of one says."""

from __future__ import annotations

import pytest

from furiosa_ir.errors import FuriosaError
from furiosa_ir.limits import LIMITS, limit, settled, way_out


def test_defaults_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, entry in LIMITS.items():
        monkeypatch.delenv(f"FURIOSA_MAX_{name}", raising=False)
        assert limit(name) == entry.default > 0
        monkeypatch.setenv(f"FURIOSA_MAX_{name}", "123")
        assert limit(name) == 123
        monkeypatch.setenv(f"FURIOSA_MAX_{name}", "")
        assert limit(name) == entry.default
        assert f"FURIOSA_MAX_{name}" in way_out(name)


@pytest.mark.parametrize("value", ["0", "-1", "many", "1e9", "1_000", "²", "9" * 5000, "1 "])
def test_a_malformed_value_is_one_sentence(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("FURIOSA_MAX_RANK", value)
    with pytest.raises(FuriosaError) as caught:
        limit("RANK")
    message = str(caught.value)
    assert message.startswith(f"FURIOSA_MAX_RANK is '{value[:40]}'")
    assert len(message) < 120


def test_a_compile_has_the_limits_that_it_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_MAX_RANK", "5")
    with settled():
        assert limit("RANK") == 5
        monkeypatch.setenv("FURIOSA_MAX_RANK", "7")
        assert limit("RANK") == 5
        with settled():
            assert limit("RANK") == 7
        monkeypatch.setenv("FURIOSA_MAX_DIGITS", "x")
        with pytest.raises(FuriosaError, match="FURIOSA_MAX_DIGITS is 'x'"):
            limit("DIGITS")
    assert limit("RANK") == 7
