"""The option that loads plug-ins."""

from __future__ import annotations

import click

LOAD = click.option(
    "--load",
    multiple=True,
    metavar="PLUGIN",
    help="Plug-in of operators, host kernels, passes or backends: a .py file, a package's folder, "
    "a module.",
)
