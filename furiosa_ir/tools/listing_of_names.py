"""`furiosa list`: what can be named, a line each, one whole, or all of it as JSON."""

from __future__ import annotations

import difflib
import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, cast

import click

from furiosa_ir.errors import FuriosaError
from furiosa_ir.tools.catalogue import KINDS, Record, records
from furiosa_ir.tools.command_line import Program
from furiosa_ir.tools.errors import reported_errors

_WIDEST = 100


def _complete_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """What there is of the kind in front."""
    kind = context.params.get("kind")
    names = (str(r["name"]) for r in (records(kind) if kind in KINDS else ()))
    return [name for name in names if name.startswith(incomplete)]


@click.command("list", cls=Program)
@click.argument("kind", type=click.Choice(tuple(KINDS)))
@click.argument("name", required=False, shell_complete=_complete_names)
@click.option("--json", "as_json", is_flag=True, help="Everything that is known, as JSON.")
@click.option(
    "--load",
    multiple=True,
    metavar="PLUGIN",
    help="Plug-in whose declarations are listed, too: a .py file, a package's folder, a module.",
)
def list_command(kind: str, name: str | None, as_json: bool, load: tuple[str, ...]) -> None:
    """List what there is of KIND, a line each, or all that is known of NAME.

    Options of passes, patterns of rules, operands of operations, what Python imports them from.
    """
    with reported_errors():
        if load:
            from furiosa_ir.plugins import load_plugins  # noqa: PLC0415  # few name one

            load_plugins(load)
        found = records(kind, load)
        if name is not None:
            found = [_of_name(kind, name, found)]
        if as_json:
            data: Any = found if name is None else found[0]
            click.echo(json.dumps(data, indent=1, ensure_ascii=False))
        else:
            click.echo("\n".join(lines(found, _width()) if name is None else detail(found[0])))


def _of_name(kind: str, name: str, found: Iterable[Record]) -> Record:
    """The record of that name; hints go by their numbers, too.

    Raises:
        FuriosaError: there is none.
    """
    by_name = {str(r["name"]): r for r in found}
    by_number = {str(r["number"]): r for r in by_name.values() if "number" in r}
    record = by_name.get(name) or by_number.get(name)
    if record is None:
        # `relu` is graph.relu's name without its dialect before it is like another's.
        whole = [known for known in by_name if known.endswith(f".{name}")]
        close = whole or difflib.get_close_matches(name, by_name, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"`furiosa list {kind}` has them all"
        raise FuriosaError(f"there is no '{name}' among the {kind}", hint=hint)
    return record


def _width() -> int:
    return min(shutil.get_terminal_size().columns, _WIDEST) if sys.stdout.isatty() else _WIDEST


def lines(found: Iterable[Record], width: int) -> Iterator[str]:
    """A line or more for each record: its name, and the summary beside it."""
    rows = list(found)
    margin = min(max((len(r["name"]) for r in rows), default=0), width // 2) + 2
    for row in rows:
        text = textwrap.wrap(row["summary"], max(20, width - margin)) or [""]
        first = f"{row['name']:<{margin}}"
        if len(row["name"]) > margin - 2:
            yield row["name"]
            first = " " * margin
        yield f"{first}{text[0]}".rstrip()
        yield from (" " * margin + line for line in text[1:])


def detail(record: Record) -> Iterator[str]:
    """All of a record: what is short first, then the description."""
    yield record["name"]
    for key, value in record.items():
        if key in ("name", "summary", "description") or value in ([], {}, ""):
            continue
        yield f"  {key + ':':<12} {_short(value)}"
    yield ""
    yield record["description"]


def _short(value: Any) -> str:
    if isinstance(value, dict):
        counts = cast("dict[str, str]", value)
        return ", ".join(k if v == "one" else f"{k} ({v})" for k, v in counts.items())
    if isinstance(value, list):
        entries = cast("list[Record | str]", value)
        return ", ".join(e if isinstance(e, str) else _named(e) for e in entries)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _named(entry: Record) -> str:
    """An option of a pass, or a property of an operation."""
    if "type" in entry:
        default = "required" if entry["default"] is None else f"default {entry['default'] or '-'}"
        return f"{entry['name']}: {entry['type']} ({default})"
    return f"{entry['name']}?" if entry["is_optional"] else str(entry["name"])
