"""Running a reproducer: what failed is done again, and fails again, or does not."""

from __future__ import annotations

import hashlib
import logging
import platform
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from furiosa_ir.backends import look_for_installed
from furiosa_ir.driver import CompileResult, compile_source
from furiosa_ir.errors import FormatFailure, FuriosaError
from furiosa_ir.ir.pipeline import Instrumentation
from furiosa_ir.leftovers import temporary_folder
from furiosa_ir.network_part import part_of_options
from furiosa_ir.plugins import PluginFiles, files_of_plugins, load_plugins
from furiosa_ir.reproducer.container import (
    FILE_NAME,
    MODULE,
    NETWORK,
    PluginCopy,
    Reproducer,
    read_reproducer,
)

_LOG = logging.getLogger(__name__)


@contextmanager
def opened_reproducer(path: Path) -> Generator[tuple[Reproducer, Path]]:
    """A reproducer, and the file of its module or network, which is there as long as the block is.

    Raises:
        FormatFailure: as `read_reproducer`.
    """
    with temporary_folder() as folder:
        reproducer = read_reproducer(path, folder)
        name = NETWORK if reproducer.is_of_import else MODULE
        try:
            yield reproducer, folder / name
        except FuriosaError as error:
            raise _renamed(error, str(folder / name), f"{path}:{name}") from error.__cause__


def run_reproducer(
    reproducer: Reproducer, module: Path, instrumentation: Sequence[Instrumentation] = ()
) -> CompileResult:
    """Runs what failed. What it needs of plug-ins has to be loaded (`require_plugins`).

    Args:
        reproducer: what to run.
        module: the file of its module, the constants beside it; or of its network.
        instrumentation: watches the passes.

    Returns:
        What was made, if it does not fail.

    Raises:
        Exception: as it failed, or in another way.
    """
    if reproducer.is_of_import:
        given = reproducer.options
        return compile_source(
            module,
            target=given.get("target"),
            batch_size=_number(given.get("batch_size")),
            part=part_of_options(
                given.get("input_shape", "").splitlines(),
                given.get("dim", "").splitlines(),
                [names for names in (given.get("inputs"),) if names],
                [names for names in (given.get("outputs"),) if names],
            ),
            target_ir=reproducer.target_ir,
            passes=reproducer.pipeline or None,
            instrumentation=instrumentation,
            verify_each=reproducer.verify_each,
        )
    result = compile_source(
        module,
        target_ir=reproducer.target_ir,
        passes=reproducer.pipeline,
        instrumentation=instrumentation,
        verify_each=reproducer.verify_each,
    )
    _ = result.enf  # the failure may be the writer's
    return result


def _number(text: str | None) -> int | None:
    if text is None or text.isdecimal():
        return None if text is None else int(text[:9])
    raise FormatFailure(f"'{text}' is no batch size")


def require_plugins(reproducer: Reproducer, folder: Path, *, trusted: bool = False) -> None:
    """Whether the plug-ins that a reproducer needs are there.

    Args:
        reproducer: about to run.
        folder: where code may be put that is run; it stays as long as that is used.
        trusted: whether to run the code that it holds of those that are not. Nothing of the kind
            happens unless somebody says so: a reproducer may come from anybody.

    Raises:
        FuriosaError: one is missing.
    """
    if reproducer.plugins:
        look_for_installed()
    for index, plugin in enumerate(reproducer.plugins):
        loaded = [p for p in files_of_plugins() if _is_of(p, plugin)]
        if loaded:
            changed = min((_changed(p, plugin) for p in loaded), key=len)
            if changed:
                _LOG.warning("the plug-in %s has changed since: %s", plugin.name, changed[0])
        elif trusted and plugin.main in plugin.files:
            _load_copy(plugin, folder / f"plugin{index}")
        else:
            digest = plugin.sha256.get(plugin.main, "")
            is_held = plugin.main in plugin.files
            held = "; --trust-plugins runs the copy in the file" if is_held else ""
            raise FuriosaError(
                f"it needs the plug-in '{plugin.name}' (SHA-256 {digest[:16]}...)",
                hint=f"give it with --load{held}",
            )


def _is_of(loaded: PluginFiles, plugin: PluginCopy) -> bool:
    """Whether a plug-in that is loaded is the one that is needed, maybe of another version."""
    digests = {digest.hex() for _, digest in loaded.files.values()}
    return loaded.main == plugin.main or plugin.sha256.get(plugin.main) in digests


def _changed(loaded: PluginFiles, plugin: PluginCopy) -> list[str]:
    """The files of a plug-in that are others now, or gone."""
    here = {name: digest.hex() for name, (_, digest) in loaded.files.items()}
    for name in plugin.sha256.keys() - here.keys():  # not run yet
        with suppress(OSError):
            if FILE_NAME.fullmatch(name):
                data = (loaded.folder / name).read_bytes()
                here[name] = hashlib.sha256(data).hexdigest()
    return [name for name, digest in plugin.sha256.items() if here.get(name) != digest]


def _load_copy(plugin: PluginCopy, folder: Path) -> None:
    damaged = [
        name
        for name, text in plugin.files.items()
        if hashlib.sha256(text.encode()).hexdigest() != plugin.sha256[name]
    ]
    if damaged:
        _LOG.warning("the copy of the plug-in %s was edited: %s", plugin.name, damaged[0])
    for name, text in plugin.files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="")
    load_plugins([folder / plugin.main])


def differing_versions(reproducer: Reproducer) -> list[str]:
    """What is of another version here than where it failed, as "xdsl 0.74.0, here 0.75.1"."""
    here = versions()
    return [
        f"{name} {there}, here {here.get(name, 'none')}"
        for name, there in reproducer.versions.items()
        if here.get(name) != there
    ]


_DISTRIBUTIONS = ("furiosa-ir", "xdsl", "numpy", "ml-dtypes", "onnx", "onnxruntime", "tflite")


def versions() -> dict[str, str]:
    """Distribution -> version, of what a compile depends on."""
    found = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _renamed(error: FuriosaError, old: str, new: str) -> FuriosaError:
    """The error with another name for a file."""
    if error.file is None or not error.file.startswith(old):
        return error
    file = new + error.file.removeprefix(old)
    copy = type(error)(error.message, file=file, layer=error.layer, hint=error.hint)
    copy.diagnostics = tuple(
        d._replace(file=new + d.file.removeprefix(old)) if d.file and d.file.startswith(old) else d
        for d in error.diagnostics
    )
    copy.unlisted = error.unlisted
    return copy
