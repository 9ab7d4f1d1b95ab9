"""The options that say which part of a network is meant, and of which extents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_SHAPE = click.option(
    "--input-shape",
    multiple=True,
    metavar="NAME=1,3,H,W",
    help="The shape of an input whose file leaves extents open; may be repeated.",
)
_DIM = click.option(
    "--dim",
    multiple=True,
    metavar="NAME=N",
    help="The extent of a symbolic dimension (ONNX) in every input; may be repeated.",
)
_INPUTS = click.option(
    "--inputs",
    multiple=True,
    metavar="NAME,...",
    help="Begin at these values: what computes them is left out.",
)
_OUTPUTS = click.option(
    "--outputs",
    multiple=True,
    metavar="NAME,...",
    help="End at these values: what is behind them is left out.",
)


def shape_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --input-shape and --dim (`network_part.part_of_options`)."""
    return _SHAPE(_DIM(command))


def part_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --input-shape, --dim, --inputs and --outputs (`network_part.part_of_options`)."""
    return shape_options(_INPUTS(_OUTPUTS(command)))
