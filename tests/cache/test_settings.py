"""The three variables: defaults, forms, and one sentence for what is malformed."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from furiosa_ir.cache.settings import (
    DEFAULT_LIFETIME,
    RedisAddress,
    parse_store_url,
    settings_from_environment,
)
from furiosa_ir.errors import FuriosaError

HOME = {"HOME": "/home/somebody"}


def test_defaults_are_the_specification_s():
    settings = settings_from_environment(HOME)
    assert settings.store == Path("/home/somebody/.cache/furiosa/compiler")
    assert settings.lifetime == DEFAULT_LIFETIME == 72 * 60 * 60


def test_an_empty_variable_counts_as_absent():
    empty = dict.fromkeys(["FC_CACHE_ENABLED", "FC_CACHE_STORE_URL", "FC_CACHE_LIFETIME"], "")
    assert settings_from_environment(HOME | empty) == settings_from_environment(HOME)


def test_without_a_home(monkeypatch: pytest.MonkeyPatch):
    own = Path(pwd.getpwuid(os.getuid()).pw_dir, ".cache", "furiosa", "compiler")
    assert settings_from_environment({}).store == own
    assert settings_from_environment({"HOME": ""}).store == own
    assert settings_from_environment({"HOME": "relative"}).store is None

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert settings_from_environment({}).store is None


def test_disabled():
    assert settings_from_environment(HOME | {"FC_CACHE_ENABLED": "0"}).store is None
    assert settings_from_environment(HOME | {"FC_CACHE_ENABLED": "1"}).store is not None


@pytest.mark.parametrize(("text", "seconds"), [("60", 60), ("0", 0), ("-1", -1), ("+5", 5)])
def test_lifetime(text: str, seconds: int):
    assert settings_from_environment(HOME | {"FC_CACHE_LIFETIME": text}).lifetime == seconds


@pytest.mark.parametrize(
    ("url", "store"),
    [
        ("/a/b", Path("/a/b")),
        ("file:///a/b%20c", Path("/a/b c")),
        ("file://localhost/a", Path("/a")),
        ("redis://h", RedisAddress("h")),
        ("redis://:secret@h:7000", RedisAddress("h", 7000, password="secret")),
        ("redis://u:p%40ss@h/3", RedisAddress("h", 6379, 3, "u", "p@ss")),
        ("redis://[::1]:7000", RedisAddress("::1", 7000)),
        ("rediss://h", RedisAddress("h", tls=True)),
    ],
)
def test_urls(url: str, store: object):
    assert parse_store_url(url) == store


def test_a_relative_directory_is_where_the_process_is(monkeypatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert parse_store_url("cache") == tmp_path / "cache"


def test_ca_file(tmp_path: Path):
    ca = tmp_path / "ca.pem"
    ca.touch()
    address = parse_store_url(f"rediss://h?ssl_ca_certs={ca}")
    assert isinstance(address, RedisAddress)
    assert address.ca_file == ca


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FC_CACHE_ENABLED", "yes"),
        ("FC_CACHE_ENABLED", "2"),
        ("FC_CACHE_LIFETIME", "3d"),
        ("FC_CACHE_LIFETIME", "1.5"),
        ("FC_CACHE_LIFETIME", "١٢"),
        ("FC_CACHE_STORE_URL", "http://h/x"),
        ("FC_CACHE_STORE_URL", "file://host/a"),
        ("FC_CACHE_STORE_URL", "file://"),
        ("FC_CACHE_STORE_URL", "redis://"),
        ("FC_CACHE_STORE_URL", "redis://h:port"),
        ("FC_CACHE_STORE_URL", "redis://h:0"),
        ("FC_CACHE_STORE_URL", "redis://h:70000"),
        ("FC_CACHE_STORE_URL", "redis://h/one"),
        ("FC_CACHE_STORE_URL", "redis://h?ssl_cert_reqs=none"),
        ("FC_CACHE_STORE_URL", "rediss://h?ssl_cert_reqs=none"),
        ("FC_CACHE_STORE_URL", "rediss://h?ssl_ca_certs=/nowhere.pem"),
        ("FC_CACHE_STORE_URL", "redis://[::1"),
        ("FC_CACHE_STORE_URL", "file:///tmp/a%00b"),
        ("FC_CACHE_STORE_URL", "file:/tmp/zz"),
        ("FC_CACHE_STORE_URL", "redis:/h"),
        ("FC_CACHE_STORE_URL", "~nobody-of-that-name/cache"),
        ("FC_CACHE_STORE_URL", "rediss://h?ssl_ca_certs=~nobody-of-that-name/ca"),
    ],
)
def test_malformed_values_are_named(variable: str, value: str):
    with pytest.raises(FuriosaError) as caught:
        settings_from_environment(HOME | {variable: value})
    text = str(caught.value)
    assert variable in text
    assert f"'{value}'" in text
    assert "\n" not in text


def test_a_ca_file_of_an_impossible_name_is_none():
    with pytest.raises(FuriosaError, match="FC_CACHE_STORE_URL is"):
        parse_store_url(f"rediss://h?ssl_ca_certs={'a' * 5000}")


@pytest.mark.parametrize("password", ["pa$$word", "pa/$$word", "pa#$$word", "pa?$$word", "pa@$$"])
def test_passwords_are_not_shown(password: str):
    with pytest.raises(FuriosaError) as caught:
        parse_store_url(f"redis://user:{password}@h:port")
    assert "$$" not in str(caught.value)
    assert "pa" not in str(caught.value).replace("password", "").replace("PATH", "")
    address = RedisAddress("h", password="pa$$word")
    assert "pa$$word" not in f"{address} {address!r}"


@given(st.text())
def test_any_text_is_a_store_or_a_sentence(text: str):
    try:
        store = parse_store_url(text)
    except FuriosaError as error:
        store = error.message.partition(" ")[0]
    assert store == "FC_CACHE_STORE_URL" or isinstance(store, Path | RedisAddress)
