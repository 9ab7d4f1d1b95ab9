"""What is installed: the distributions that furiosa-ir requires, those of its extras, plug-ins.

Which they are, the metadata of the installed distribution says; `EXTRAS` adds what for.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import (
    Distribution,
    PackageNotFoundError,
    distribution,
    entry_points,
    version,
)
from pathlib import Path

from packaging.requirements import Requirement

from furiosa_ir.backends.installed import GROUPS
from furiosa_ir.findings import Finding
from furiosa_ir.python_process import python_command
from furiosa_ir.version import __version__

NAME = "furiosa-ir"

EXTRAS: Mapping[str, str] = {
    "litert": "TFLite networks with operators on the host, and --verify of TFLite networks",
    "redis": "a compiler cache that machines share, on a Redis server",
    "quantize": "furiosa quantize for TFLite networks",
    "dask": "--scheduler: validation sets and searches on a Dask cluster",
    "iree": "native code of networks, by IREE, and what checks MLIR text",
    "lsp": "furiosa-lsp, the language server for editors",
    "fuzz": "make fuzz, in a checkout",
    "docs": "make docs, in a checkout",
    "test": "make test, in a checkout",
    "lint": "make lint, in a checkout",
    "dev": "all of it, in a checkout",
}
"""What one gets with an extra. One that is not here is shown with what it brings."""

_NATIVE = {
    "numpy": "numpy",
    "ml-dtypes": "ml_dtypes",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "ai-edge-litert": "ai_edge_litert.interpreter",
}
"""Distributions with machine code -> the module that loads it, which may fail all the same."""
_LONGEST_IMPORT = 60.0
"""Seconds for all of `_NATIVE`, on a machine that does much else."""


@dataclass(frozen=True)
class Requirements:
    """What a distribution requires here: where a marker does not hold, nothing.

    Attributes:
        core: always.
        extras: by extra, what it adds.
    """

    core: tuple[Requirement, ...]
    extras: Mapping[str, tuple[Requirement, ...]]


def installed_requirements() -> Requirements | None:
    """Those of the installed furiosa-ir; None where it is run without being installed."""
    try:
        return requirements_of(distribution(NAME))
    except PackageNotFoundError:
        return None


def requirements_of(installed: Distribution) -> Requirements:
    """What a distribution requires on this Python and this machine."""
    extras = installed.metadata.get_all("Provides-Extra") or []
    given = [Requirement(text) for text in installed.requires or ()]
    core = tuple(r for r in given if _holds(r, ""))
    return Requirements(
        core,
        {e: tuple(r for r in given if r not in core and _holds(r, e)) for e in extras},
    )


def _holds(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def load_faults(requirements: Requirements) -> dict[str, str]:
    """Distribution -> why its machine code does not load, of all that is installed; a clause."""
    asked = (*requirements.core, *(r for rs in requirements.extras.values() for r in rs))
    names = dict.fromkeys(r.name for r in asked if r.name in _NATIVE and _version(r) is not None)
    faults = import_faults([_NATIVE[name] for name in names])
    return {name: faults[_NATIVE[name]] for name in names if _NATIVE[name] in faults}


def core_findings(requirements: Requirements, faults: Mapping[str, str]) -> Iterator[Finding]:
    """Each requirement of the core: its version, and whether it loads.

    Args:
        requirements: what there is to look for.
        faults: what `load_faults` found.
    """
    for requirement in sorted(requirements.core, key=lambda r: r.name):
        name, found = requirement.name, _version(requirement)
        advice = f"pip install '{requirement}'"
        if found is None:
            yield Finding(name, "not installed", "broken", advice)
        elif not _is_there(requirement):
            wanted = f"{found}, where {requirement.specifier} is needed"
            yield Finding(name, wanted, "broken", advice)
        elif name in faults:
            advice = f"pip install --force-reinstall '{requirement}'"
            yield Finding(name, f"{found} does not load: {faults[name]}", "broken", advice)
        else:
            yield Finding(name, found)


def extra_findings(requirements: Requirements, faults: Mapping[str, str]) -> Iterator[Finding]:
    """Each extra: whether it is installed, and what one gets with it; arguments as above."""
    for extra, required in requirements.extras.items():
        purpose = EXTRAS.get(extra) or ", ".join(r.name for r in required)
        lacking = [str(r).partition(";")[0] for r in required if not _is_there(r)]
        failing = [r.name for r in required if r.name in faults]
        if not required:
            yield Finding(extra, "nothing for this Python on this machine", "absent", purpose)
        elif lacking:
            some = len(lacking) < min(len(required), _MANY)
            value = f"lacks {', '.join(lacking)}" if some else "not installed"
            yield Finding(extra, value, "absent", f"pip install '{NAME}[{extra}]': {purpose}")
        elif failing:
            advice = f"pip install --force-reinstall '{NAME}[{extra}]'"
            value = f"{failing[0]} does not load: {faults[failing[0]]}"
            yield Finding(extra, value, "broken", advice)
        else:
            named = ", ".join(f"{r.name} {_version(r)}" for r in required)
            yield Finding(extra, named if len(required) < _MANY else "installed")


_MANY = 4
"""So many names and more are not listed."""


def _version(requirement: Requirement) -> str | None:
    try:
        return version(requirement.name)
    except PackageNotFoundError:
        return None


def _is_there(requirement: Requirement) -> bool:
    found = _version(requirement)
    return found is not None and requirement.specifier.contains(found, prereleases=True)


def import_faults(modules: Sequence[str]) -> dict[str, str]:
    """Why modules cannot be imported, as clauses; those that can are not in it.

    In a process of their own: machine code that a processor does not have ends it.
    """
    faults: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        begun, failed, end = _imported(waiting)
        faults |= failed
        if end is None:
            break
        faults[begun] = end
        waiting = waiting[waiting.index(begun) + 1 :]
    return faults


_IMPORT = """
import importlib, json
for module in {modules}:
    print(json.dumps([module, None]), flush=True)
    try:
        importlib.import_module(module)
    except BaseException as error:
        fault = " ".join(f"{{type(error).__name__}}: {{error}}".split())
        print(json.dumps([module, fault]), flush=True)
"""


def _imported(modules: Sequence[str]) -> tuple[str, dict[str, str], str | None]:
    """(the module whose import began last, what failed, how the process ended if not by itself)."""
    code = _IMPORT.format(modules=list(modules))
    try:
        done = subprocess.run(  # noqa: S603  # this Python, code of ours
            python_command(code),
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST_IMPORT,
        )
        output, status = done.stdout, done.returncode
        end = None if status == 0 else _ending(status)
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b"").decode(errors="replace")
        end = f"not within {_LONGEST_IMPORT:g} s"
    except OSError as error:
        output, end = "", f"{error.strerror or error}".lower()
    begun, failed = modules[0], dict[str, str]()
    for line in output.splitlines():
        if line.startswith('["'):
            module, fault = json.loads(line)
            begun = module
            if fault is not None:
                failed[module] = fault
    return begun, failed, end


def _ending(status: int) -> str:
    if status >= 0:
        return f"it ends the process with {status}"
    try:
        return f"it ends the process with {signal.Signals(-status).name}"
    except ValueError:
        return f"it ends the process with signal {-status}"


def package_finding() -> Finding:
    """How furiosa-ir itself is installed, and where."""
    where = str(Path(__file__).parent)
    try:
        installed = version(NAME)
    except PackageNotFoundError:
        advice = "what it requires is unknown: pip install it"
        return Finding(NAME, f"not installed, run from {where}", "absent", advice)
    if installed == __version__:
        return Finding(NAME, where)
    advice = "pip install it again, so that what it requires is known"
    return Finding(NAME, f"{where}, installed as {installed}", "absent", advice)


def plugin_findings() -> Iterator[Finding]:
    """What other distributions declare: backends and passes. None of it is loaded."""
    for group, kind in GROUPS.items():
        for entry in entry_points(group=group):
            owner = entry.dist
            of = f", {owner.metadata['Name']} {owner.version}" if owner is not None else ""
            yield Finding(entry.name, f"{kind} {entry.value}{of}")
