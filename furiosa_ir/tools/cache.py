"""`furiosa cache`: what the compiler cache holds, and how to make room in it."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click

from furiosa_ir.cache.compilation import open_store
from furiosa_ir.cache.settings import CacheSettings, settings_from_environment
from furiosa_ir.cache.store import Pruned, Store, StoredEntry, StoreFailure
from furiosa_ir.cache.stored_program import fault_of_program
from furiosa_ir.errors import FuriosaError
from furiosa_ir.reports.units import format_value
from furiosa_ir.tools.errors import reported_errors

_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 1 << 10,
    "mi": 1 << 20,
    "gi": 1 << 30,
    "ti": 1 << 40,
}

_JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")


class Size(click.ParamType[int]):
    """A number of bytes: 500MB, 2GiB, 1000000."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Bytes."""
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]i?)?b?", str(value).strip().lower())
        if match is None or len(match[1]) > 20:
            self.fail(f"'{value}' is no size; give one like 500MB or 2GiB", param, ctx)
        return int(float(match[1]) * _UNITS[match[2] or ""])


@click.group()
def cache() -> None:
    """Show and clean the compiler cache that FC_CACHE_STORE_URL names."""


@cache.command()
@_JSON
def stats(as_json: bool) -> None:
    """How many programs there are, how large and how old."""
    with reported_errors(), _opened() as (settings, store):
        entries = list(store.entries())
        size = sum(e.size for e in entries)
        made = sorted(e.created for e in entries)
        if as_json:
            figures = {
                "store": str(store),
                "lifetime": settings.lifetime,
                "entries": len(entries),
                "bytes": size,
                "oldest": made[0] if made else None,
                "newest": made[-1] if made else None,
            }
            click.echo(json.dumps(figures, indent=2))
            return
        click.echo(f"store     {store}")
        click.echo(f"lifetime  {lifetime_text(settings.lifetime)}")
        click.echo(f"programs  {len(entries)}, {format_value(size, 'bytes')}")
        if made:
            click.echo(f"age       {_age(made[-1])} to {_age(made[0])}")


@cache.command("list")
@_JSON
def list_(as_json: bool) -> None:
    """Every program: key, size, age, time since its last use."""
    with reported_errors(), _opened() as (_, store):
        entries = sorted(store.entries(), key=lambda e: -e.used)
        if as_json:
            click.echo(json.dumps([_row(e) for e in entries], indent=2))
            return
        for e in entries:
            size = format_value(e.size, "bytes")
            click.echo(f"{e.key}  {size:>10}  made {_age(e.created)} ago, used {_age(e.used)} ago")


@cache.command()
@click.option(
    "--max-size", type=Size(), help="Throw away the least recently used until this much is left."
)
@_JSON
def prune(max_size: int | None, as_json: bool) -> None:
    """Throw away what is past FC_CACHE_LIFETIME, and what killed processes left behind."""
    with reported_errors(), _opened() as (settings, store):
        pruned = store.prune(settings.lifetime, max_size)
        if as_json:
            click.echo(json.dumps(vars(pruned), indent=2))
        else:
            click.echo(_sentence(pruned))


@cache.command()
def clear() -> None:
    """Throw everything away."""
    with reported_errors(), _opened() as (_, store):
        click.echo(f"{len(store.clear().evicted)} programs thrown away")


@cache.command()
@_JSON
@click.option(
    "--load",
    multiple=True,
    metavar="PLUGIN",
    help="Plug-in of a backend: without it, its programs are none that anybody knows.",
)
def verify(as_json: bool, load: tuple[str, ...]) -> None:
    """Read every program, and throw away what is damaged; exit code 1 if something was."""
    with reported_errors(), _opened() as (_, store):
        if load:
            from furiosa_ir.plugins import load_plugins  # noqa: PLC0415  # few need it

            load_plugins(load)
        entries = list(store.entries())
        damaged = {e.key: why for e in entries if (why := _damage(store, e.key)) is not None}
        for key in damaged:
            store.delete(key)
        if as_json:
            click.echo(json.dumps({"entries": len(entries), "damaged": damaged}, indent=2))
        else:
            for key, why in damaged.items():
                click.echo(f"{key}  thrown away: {why}")
            click.echo(f"{len(entries)} programs read, {len(damaged)} damaged")
        if damaged:
            raise click.exceptions.Exit(1)


def _damage(store: Store, key: str) -> str | None:
    """What is wrong with an entry or the program in it; None if nothing is."""
    with tempfile.TemporaryDirectory(prefix="furiosa-") as folder:
        file = Path(folder, "program")
        damage = store.damage(key, file)
        if damage is None and file.exists():  # it may have been thrown away meanwhile
            damage = fault_of_program(file)
        return damage


@contextmanager
def _opened() -> Generator[tuple[CacheSettings, Store]]:
    """The store that the environment names.

    Raises:
        FuriosaError: there is none, or it cannot be used.
    """
    settings = settings_from_environment()
    store: Store | None = None
    try:
        store = open_store(settings, is_patient=True)
        if store is None:
            raise FuriosaError("the compiler cache is off", hint="set FC_CACHE_ENABLED to 1")
        yield settings, store
    except StoreFailure as failure:
        raise FuriosaError(
            f"the compiler cache {settings.store} cannot be used: {failure}"
        ) from None
    finally:
        if store is not None:
            store.close()


def _row(entry: StoredEntry) -> dict[str, object]:
    return {
        "key": entry.key,
        "bytes": entry.size,
        "created": entry.created,
        "used": entry.used,
    }


def _sentence(pruned: Pruned) -> str:
    freed = format_value(pruned.freed, "bytes")
    return (
        f"{len(pruned.expired)} programs expired, {len(pruned.evicted)} evicted, "
        f"{len(pruned.orphans)} files left behind; {freed} freed"
    )


def lifetime_text(seconds: int) -> str:
    """How long programs are valid, for people.

    Args:
        seconds: as FC_CACHE_LIFETIME has them.
    """
    if seconds == 0:
        return "0 s: everything is compiled anew"
    return "for ever" if seconds < 0 else f"{seconds} s"


def _age(moment: float) -> str:
    """The time since then, in one unit."""
    seconds = max(0.0, time.time() - moment)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
