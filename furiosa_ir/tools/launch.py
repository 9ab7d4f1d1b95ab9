"""Where the console scripts begin: what must come before the imports that take time."""

from __future__ import annotations

import os
import sys

from furiosa_ir.tools import signals

# ruff: noqa: PLC0415

signals.install(signals.at_start)  # whoever imports this module begins a process


def furiosa() -> None:
    """`furiosa`."""
    _prepare()
    from furiosa_ir.tools.furiosa import main

    main()


def furiosa_opt() -> None:
    """`furiosa-opt`."""
    _prepare()
    from furiosa_ir.tools.opt import main

    main()


def _prepare() -> None:
    if not sys.flags.safe_path:
        sys.path[:] = _without_current_directory(sys.path)


def _without_current_directory(path: list[str]) -> list[str]:
    """A module path without the current directory, unless PYTHONPATH names it.

    It is there by `python -m` and by an empty entry of PYTHONPATH (as a colon at its end makes),
    and may hold a `json.py` that came with a model.
    """
    try:
        here = os.getcwd()  # noqa: PTH109  # pathlib takes 10 ms, and comes later
    except OSError:
        return path
    variable = "" if sys.flags.ignore_environment else os.environ.get("PYTHONPATH", "")
    entries = variable.split(os.pathsep)
    named = [os.path.abspath(entry) for entry in entries if entry]  # noqa: PTH100
    if here in named:
        return path
    # What comes later is site-packages and what its files name: an editable install, say.
    front = path[: 1 + len(entries)]
    return [entry for entry in front if entry and entry != here] + path[len(front) :]
