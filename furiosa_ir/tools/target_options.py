"""The options that name a target or a level; what there is, the register of backends says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# The register is asked when help is shown, or a name completed: no other command needs it so early.
# ruff: noqa: PLC0415


class TargetName(click.ParamType[str]):
    """A target; whether there is such a one shows when plug-ins are loaded."""

    name = "target"

    def get_metavar(self, *_: object, **__: object) -> str:
        """`[a|b]`."""
        from furiosa_ir.backends import targets

        return f"[{'|'.join(targets())}]"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The targets that begin so."""
        from click.shell_completion import CompletionItem

        from furiosa_ir.backends import targets

        named = targets().items()
        return [CompletionItem(n, help=text) for n, text in named if n.startswith(incomplete)]


class LevelName(click.ParamType[str]):
    """A level of IR, or what programs are called."""

    name = "level"

    def get_metavar(self, *_: object, **__: object) -> str:
        """`[a|b]`."""
        return f"[{'|'.join(_stops())}]"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The levels that begin so."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for name in _stops() if name.startswith(incomplete)]


class _TargetOption(click.Option):
    """An option whose help tells the targets, each in a line, behind its own text."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from furiosa_ir.backends import default_backend, targets

        lines = "; ".join(f"{name}: {text}" for name, text in targets().items())
        known = self.help
        self.help = f"{lines}. {known}, else {default_backend().default_target}."
        try:
            return super().get_help_record(ctx)
        finally:
            self.help = known


def target_option(*names: str, help: str) -> Callable[[Any], Any]:  # noqa: A002  # as click calls it
    """An option for a target.

    Args:
        names: of the option and its parameter.
        help: where the default comes from, without the last resort.
    """
    return click.option(*names, type=TargetName(), cls=_TargetOption, help=help)


def _stops() -> list[str]:
    from furiosa_ir.backends import backends

    return list(dict.fromkeys(name for backend in backends() for name in backend.stops))
