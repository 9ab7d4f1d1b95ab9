"""`furiosa-lsp`: the language server that editors start."""

from __future__ import annotations

import os

import click

from furiosa_ir.errors import FuriosaError
from furiosa_ir.plugin_source import plugin_list
from furiosa_ir.tools.command_line import Program
from furiosa_ir.tools.errors import reported_errors
from furiosa_ir.tools.plugin_options import LOAD
from furiosa_ir.version import __version__

# `--help` and `--version` need neither pygls nor xDSL.
# ruff: noqa: PLC0415


@click.command("furiosa-lsp", cls=Program)
@click.option(
    "--stdio",
    is_flag=True,
    expose_value=False,
    help="Talk on standard input and output, as it always does.",
)
@LOAD
@click.version_option(__version__, prog_name="furiosa-lsp")
def main(*, load: tuple[str, ...]) -> None:
    """Language server of IR text, for editors: editors/vscode, docs/editors.md."""
    with reported_errors():
        try:
            from furiosa_ir.tools.language_server.server import make_server
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] not in ("pygls", "lsprotocol"):
                raise
            raise FuriosaError(
                "the language server needs pygls", hint="pip install 'furiosa-ir[lsp]'"
            ) from error
        from furiosa_ir.backends import look_for_installed
        from furiosa_ir.plugins import load_plugins

        look_for_installed()
        load_plugins(plugin_list(load))
        # pygls closes what it has talked on; standard output is still flushed at the end.
        with os.fdopen(os.dup(0), "rb") as given, os.fdopen(os.dup(1), "wb") as said:
            make_server().start_io(given, said)
