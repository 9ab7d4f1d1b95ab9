"""`furiosa example`: a network to begin with, for who has installed the package and has none."""

from __future__ import annotations

from pathlib import Path

import click

from furiosa_ir.errors import FuriosaError
from furiosa_ir.files import write_whole
from furiosa_ir.tools.command_line import Program
from furiosa_ir.tools.errors import reported_errors

FILES = ("digits_int8.tflite", "digits_qdq_int8.onnx", "digits_inputs.npz")
"""A classifier of 8 x 8 images in both formats, and 200 images with labels."""

_PLACES = (
    Path(__file__).with_name("digits"),  # where a wheel has them (pyproject.toml)
    Path(__file__).parents[2] / "examples" / "digits",  # a checkout
)


@click.command("example", cls=Program)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default="digits")
def example_command(folder: Path) -> None:
    """Write a small network to FOLDER (default: digits), as ONNX and TFLite, with 200 images.

    It tells handwritten digits apart, is quantised to int8, and compiles in a moment.
    """
    with reported_errors():
        source = next((p for p in _PLACES if all((p / name).is_file() for name in FILES)), None)
        if source is None:
            raise FuriosaError(
                "the example is not installed", hint="it is in the repository, examples/digits"
            )
        there = [name for name in FILES if _differs(source / name, folder / name)]
        if there:
            raise FuriosaError(
                f"{folder / there[0]} is another file already", hint="name another folder"
            )
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            write_whole((source / name).read_bytes(), folder / name)
            click.echo(str(folder / name))


def _differs(source: Path, target: Path) -> bool:
    """Whether something else is there, which stays."""
    return target.exists() and not (target.is_file() and target.read_bytes() == source.read_bytes())
