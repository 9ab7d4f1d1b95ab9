"""`furiosa completion`: what a shell asks at the Tab key, for both commands."""

from __future__ import annotations

import click

from furiosa_ir.tools.command_line import Program
from furiosa_ir.tools.errors import reported_errors

_SHELLS = ("bash", "zsh", "fish")


@click.command("completion", cls=Program)
@click.argument("shell", type=click.Choice(_SHELLS))
def completion_command(shell: str) -> None:
    """Print a script that completes `furiosa` and `furiosa-opt` in SHELL.

    For this session: eval "$(furiosa completion bash)"; for good, the same in ~/.bashrc (zsh:
    ~/.zshrc; fish: furiosa completion fish > ~/.config/fish/completions/furiosa.fish).
    """
    with reported_errors():
        from click.shell_completion import get_completion_class  # noqa: PLC0415  # few ask for it

        made = get_completion_class(shell)
        assert made is not None
        for program in ("furiosa", "furiosa-opt"):
            variable = f"_{program}_COMPLETE".replace("-", "_").upper()
            script = made(completion_command, {}, program, variable).source()
            # click's fish (8.4) takes what stands in front of the first comma: a list has more.
            click.echo(script.replace('string split "," $', 'string split -m 1 "," $'))


def complete_passes(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The passes that go on with the last word of a pipeline or of a list of passes."""
    from furiosa_ir.tools.catalogue import records  # noqa: PLC0415  # Tab asks, no command does

    begin = max(incomplete.rfind(c) for c in ",=(") + 1
    front, word = incomplete[:begin], incomplete[begin:]
    return [f"{front}{r['name']}" for r in records("passes") if r["name"].startswith(word)]
