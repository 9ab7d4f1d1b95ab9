"""The cache's settings: the three environment variables, checked.

`FC_CACHE_ENABLED` is 0 or 1, `FC_CACHE_STORE_URL` says where entries lie, `FC_CACHE_LIFETIME` how
many seconds they are valid. They act on every tool alike: command line, Python API, sessions.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from furiosa_ir.errors import FuriosaError

DEFAULT_LIFETIME = 72 * 3600
"""Seconds; the user's specification."""

_ENABLED = "FC_CACHE_ENABLED"
_URL = "FC_CACHE_STORE_URL"
_LIFETIME = "FC_CACHE_LIFETIME"
_FORMS = "a directory, file://PATH, redis://[:PASSWORD@]HOST[:PORT][/DB] or rediss://..."


@dataclass(frozen=True)
class RedisAddress:
    """Where a Redis server, or any node of a Redis cluster, is.

    Attributes:
        host: name or address.
        port: 1 to 65535.
        database: its number; a cluster has 0 alone.
        username: None for the default user.
        password: None where the server asks for none.
        tls: whether the connection is encrypted, and the server's certificate verified.
        ca_file: certificates to verify it with; None for the system's.
    """

    host: str
    port: int = 6379
    database: int = 0
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca_file: Path | None = None

    def __str__(self) -> str:
        """The address without the password, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}"

    def __repr__(self) -> str:
        return f"RedisAddress({self})"


@dataclass(frozen=True)
class CacheSettings:
    """Where compiled programs are kept, and for how long.

    Attributes:
        store: a directory or a Redis server; None: no cache.
        lifetime: seconds; 0: what is there is invalid; less: valid for ever, and never written to
            where it cannot be.
    """

    store: Path | RedisAddress | None
    lifetime: int = DEFAULT_LIFETIME


NO_CACHE = CacheSettings(None)


def settings_from_environment(environment: Mapping[str, str] = os.environ) -> CacheSettings:
    """What the environment says; an empty variable counts as absent.

    Raises:
        FuriosaError: a value is malformed; the sentence names the variable and the value.
    """
    enabled = environment.get(_ENABLED, "") or "1"
    if enabled not in ("0", "1"):
        raise FuriosaError(f"{_ENABLED} is '{enabled}'", hint="set it to 0 or 1")
    lifetime = environment.get(_LIFETIME, "") or str(DEFAULT_LIFETIME)
    if not re.fullmatch(r"[+-]?[0-9]{1,15}", lifetime):
        raise FuriosaError(
            f"{_LIFETIME} is '{lifetime}'", hint="set it to a whole number of seconds"
        )
    url = environment.get(_URL, "")
    store = parse_store_url(url) if url else _default_directory(environment)
    return CacheSettings(store if enabled == "1" else None, int(lifetime))


def _default_directory(environment: Mapping[str, str]) -> Path | None:
    """$HOME/.cache/furiosa/compiler; None for who has no home."""
    home = environment.get("HOME")
    if not home:
        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:  # a user of a container's, whom nobody has heard of
            return None
    return Path(home, ".cache", "furiosa", "compiler") if Path(home).is_absolute() else None


def parse_store_url(url: str) -> Path | RedisAddress:
    """The store that a value of `FC_CACHE_STORE_URL` names.

    Raises:
        FuriosaError: it names none.
    """
    scheme, separator, _ = url.partition("://")
    if "\0" in unquote(url):
        raise _malformed(url, "it has a zero character in it")
    if re.match("(file|rediss?):(?!//)", url):
        raise _malformed(url, "'//' comes after the scheme")
    if not separator:
        return _path(url, url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # what it says may quote the password
        reason = "its port is none; in a password, '/', '?' and '#' are %2F, %3F and %23"
        raise _malformed(url, reason) from None
    match scheme:
        case "file":
            return _directory(url, parts.netloc, parts.path)
        case "redis" | "rediss":
            database = parts.path.strip("/")
            if database and not re.fullmatch("[0-9]{1,9}", database):
                raise _malformed(url, f"'{database}' is not the number of a database")
            if not parts.hostname or port == 0:
                raise _malformed(url, "it names no host" if port != 0 else "0 is not a port")
            return RedisAddress(
                host=parts.hostname,
                port=port or 6379,
                database=int(database or 0),
                username=unquote(parts.username) if parts.username else None,
                password=unquote(parts.password) if parts.password else None,
                tls=scheme == "rediss",
                ca_file=_ca_file(url, parts.query, tls=scheme == "rediss"),
            )
        case _:
            raise _malformed(url, f"'{scheme}' is none of its schemes")


def _directory(url: str, host: str, path: str) -> Path:
    if host not in ("", "localhost") or not path:
        raise _malformed(url, "a file:// URL has three slashes and an absolute path")
    return Path(unquote(path))


def _ca_file(url: str, query: str, *, tls: bool) -> Path | None:
    """The value of `?ssl_ca_certs=FILE`, which is all that a Redis URL's query may say."""
    options = parse_qs(query, keep_blank_values=True)
    for name in options:
        if name != "ssl_ca_certs" or not tls:
            raise _malformed(url, f"it has the unknown option '{name}'")
    if not options:
        return None
    file = _path(url, options["ssl_ca_certs"][-1])
    if not os.path.isfile(file):  # noqa: PTH113  # unlike Path's, it takes names of any length
        raise _malformed(url, f"there is no CA file '{file}'")
    return file


def _path(url: str, text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except (OSError, RuntimeError) as error:  # no such user, no working directory
        raise _malformed(url, str(error).lower().rstrip(".")) from None


def _malformed(url: str, reason: str) -> FuriosaError:
    # A password must not end up in a log: what stands before the host is left out, however
    # wrongly it is written.
    shown = re.sub("://.*@", "://***@", url, flags=re.DOTALL)
    return FuriosaError(f"{_URL} is '{shown}': {reason}", hint=f"set it to {_FORMS}")
