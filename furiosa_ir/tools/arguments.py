"""Files as arguments of the commands."""

from __future__ import annotations

from pathlib import Path

import click

from furiosa_ir.errors import FuriosaError

STDOUT = Path("/dev/stdout")
"""What `-` means as an output; see `furiosa_ir.streams`."""
INPUT = click.Path(path_type=Path, readable=False)
"""What is read, or a folder of such files; whoever reads it says why that is impossible."""


class OutputFile(click.ParamType[Path]):
    """A file to write; `-` is standard output."""

    name = "file"

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """The path.

        Raises:
            FuriosaError: it can only be the name of a directory, as `out/`.
        """
        if str(value) == "-":
            return STDOUT
        path = Path(value)
        if isinstance(value, str) and value.endswith(("/", "/.")):
            reason = "it is a directory" if path.is_dir() else f"there is no directory {value}"
            raise FuriosaError(
                f"cannot be written: {reason}", file=value, hint="give the name of a file"
            )
        return path


OUTPUT = OutputFile()
COLOR = click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colours in IR text; auto: on a terminal, unless NO_COLOR is set.",
)
