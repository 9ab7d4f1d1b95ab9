"""docs/commands.md: every command and option, as click has them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from furiosa_ir.tools.command_line import OptionalValue
from furiosa_ir.tools.furiosa import main as furiosa
from furiosa_ir.tools.lsp import main as furiosa_lsp
from furiosa_ir.tools.opt import main as furiosa_opt

PROGRAMS = {"furiosa": furiosa, "furiosa-opt": furiosa_opt, "furiosa-lsp": furiosa_lsp}


def commands_page() -> Iterator[str]:
    """Every command of the three programs: what it does, what it takes."""
    yield "# Commands\n"
    yield (
        "`furiosa`, `furiosa-opt` and `furiosa-lsp`, as `--help` of each command has it. What they "
        "have in common (files, open extents, exit codes): `command-line.md`."
    )
    for name, command in PROGRAMS.items():
        yield from _described(name, command, "##")


def _described(name: str, command: click.Command, heading: str) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    yield f"\n{heading} {name}\n"
    yield f"```text\n{name} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    yield linked(inspect.cleandoc(command.help or "").replace("\f", "").replace("\b\n", ""))
    rows = [row for parameter in command.params if (row := _row(parameter)) is not None]
    if rows:
        yield "\n| | |\n|---|---|"
        yield from rows
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            inner = command.get_command(context, each)
            assert inner is not None
            yield from _described(f"{name} {each}", inner, "###" if heading == "##" else "####")


def _row(parameter: click.Parameter) -> str | None:
    """A row of the table; None of an argument, which the usage has."""
    if not isinstance(parameter, click.Option) or parameter.hidden:
        return None
    names = ", ".join(
        f"`{'/'.join(filter(None, (n, s)))}`"
        for n, s in zip(
            parameter.opts, parameter.secondary_opts or [""] * len(parameter.opts), strict=True
        )
    )
    value = _value(parameter)
    if isinstance(parameter, OptionalValue):
        value = f"[={value}]"
    cells = [f"{names} {f'`{value}`' if value else ''}".rstrip(), _help(parameter)]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _value(option: click.Option) -> str:
    if option.is_flag or option.count:
        return ""
    if option.metavar is not None:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(map(str, option.type.choices))
    names = {"integer": "N", "integer range": "N", "float": "X", "float range": "X"}
    return names.get(option.type.name, option.type.name.upper())


def _help(option: click.Option) -> str:
    words = linked(" ".join((option.help or "").split()))
    more = [
        f"default: {option.default}" if option.show_default and not option.is_flag else "",
        "may be repeated" if option.multiple and "repeat" not in words else "",
    ]
    said = "; ".join(filter(None, more))
    return f"{words} ({said})" if said else words


def linked(text: str) -> str:
    """Text as Markdown: what it names of docs/ as links, and no tags outside of code."""
    parts = re.split(r"(`[^`]*`)", text)
    for i in range(0, len(parts), 2):
        words = parts[i].replace("<", "&lt;")
        parts[i] = re.sub(r"(?<![\[(\w/])docs/([\w-]+\.md)", r"[\1](\1)", words)
    return "".join(parts)
