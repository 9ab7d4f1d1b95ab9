"""The options that say which passes run, of `furiosa-opt` and `furiosa compile`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import click
from typing_extensions import override

from furiosa_ir.pipeline_request import Edit, EditKind, PipelineRequest, edit_of_option
from furiosa_ir.tools.completion import complete_passes

_EDITS = "furiosa_ir.edits"
"""Where the command line's edits are, in its context: the options' order among each other counts,
which click keeps for none but one option."""

SUFFIX = ".toml"
"""What names a file in place of a pipeline: no pass has a point in its name."""

_HELP = {
    EditKind.INSERT_BEFORE: "Run the passes MINE ('a,b{option=1}') in front of PASS as well.",
    EditKind.INSERT_AFTER: "Run the passes MINE behind PASS as well.",
    EditKind.REPLACE: "Run the passes MINE in place of PASS.",
    EditKind.SKIP: "Do not run PASS.",
}


class _EditOption(click.Option):
    """An option that notes itself among the edits, in the order of the command line."""

    def __init__(self, kind: EditKind) -> None:
        self._kind = kind
        super().__init__(
            [f"--{kind.value}"],
            multiple=True,
            metavar="PASS" if kind is EditKind.SKIP else "PASS=MINE",
            help=f"{_HELP[kind]} May be repeated.",
            expose_value=False,
            shell_complete=complete_passes,
        )

    @override
    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        (name,) = self.opts
        option = parser._long_opt[name]  # noqa: SLF001  # click calls nothing of ours in between
        process: Callable[[str, Any], None] = option.process

        def noted(value: str, state: Any) -> None:
            ctx.meta.setdefault(_EDITS, []).append((self._kind, value))
            process(value, state)

        option.process = noted


def pipeline_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --pipeline, its edits and --dump-pipeline.

    The command gets `pipeline`, a `PipelineRequest`, and `dump_pipeline`.
    """

    @wraps(command)
    def call(*arguments: Any, pipeline: str | None, **options: Any) -> Any:
        given = click.get_current_context().meta.get(_EDITS, ())
        edits = tuple(edit_of_option(kind, value) for kind, value in given)
        return command(*arguments, pipeline=_request(pipeline, edits), **options)

    made: Callable[..., Any] = click.option(
        "--dump-pipeline", is_flag=True, help="Print the pipeline that would run, as -p takes it."
    )(call)
    for kind in reversed(EditKind):
        made = _with_option(made, _EditOption(kind))
    return click.option(
        "-p",
        "--pipeline",
        "--pass-pipeline",
        metavar="TEXT|FILE.toml",
        shell_complete=complete_passes,
        help="These passes in place of the compiler's own: 'a,b{option=1 other=x},c', phases "
        "('graph,ftensor(a,b)') among them; or those, and the edits, of a file.",
    )(made)


def _request(pipeline: str | None, edits: tuple[Edit, ...]) -> PipelineRequest:
    """What is asked for; edits of the command line change what a file makes."""
    if pipeline is None or not pipeline.strip().endswith(SUFFIX):
        return PipelineRequest(pipeline, edits)
    from furiosa_ir.pipeline_file import read_pipeline_file  # noqa: PLC0415  # few need it

    file = read_pipeline_file(Path(pipeline.strip()))
    return replace(file, edits=(*file.edits, *edits))


def _with_option(command: Callable[..., Any], option: click.Option) -> Callable[..., Any]:
    # What `click.option` does, which makes the option itself.
    options: list[click.Parameter] = getattr(command, "__click_params__", [])
    options.append(option)
    command.__click_params__ = options  # pyright: ignore[reportFunctionMemberAccess]
    return command
