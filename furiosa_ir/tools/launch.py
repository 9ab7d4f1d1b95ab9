"""Where the console scripts begin: what must come before the imports that take time."""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
import sys
import time

from furiosa_ir.tools import signals

_IMPORTED = time.perf_counter()
_is_running = False

signals.install(signals.at_start)  # whoever imports this module begins a process


def furiosa() -> None:
    """`furiosa`."""
    _run("furiosa")


def furiosa_opt() -> None:
    """`furiosa-opt`."""
    _run("opt")


def furiosa_lsp() -> None:
    """`furiosa-lsp`."""
    _run("lsp")


def _run(command: str) -> None:
    """The command of that module, which is imported when all is ready for it."""
    global _is_running  # noqa: PLW0603  # there is one process
    _is_running = True
    if sys.__stderr__ is not None:
        # Where the machine code of a library or a plug-in crashes, no exception says in whose.
        faulthandler.enable(all_threads=False)
    if not sys.flags.safe_path:
        sys.path[:] = _without_current_directory(sys.path)
    from furiosa_ir.tools import lazy_dataclasses  # noqa: PLC0415  # signals come first

    lazy_dataclasses.install()
    gc.disable()  # imports leave next to nothing behind that it would find
    module = importlib.import_module(f"{__package__}.{command}")
    gc.enable()
    module.main()


def began() -> float | None:
    """When this module was imported, as `time.perf_counter`, if a console script runs.

    None where a program calls the commands, which does other things as well.
    """
    return _IMPORTED if _is_running else None


def without_collector() -> None:
    """Keeps Python from looking for cycles, in a command whose process ends with it.

    What a compile makes lives as long as the process; searching it takes 5 % of a compile's time.
    """
    if _is_running:
        gc.disable()


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
