"""Where a plug-in is: a Python file, the folder of a package, or a module by its name."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder, all_suffixes
from pathlib import Path
from typing import cast

from furiosa_ir.errors import FuriosaError

Plugin = str | Path
"""What names a plug-in: a file, a package's folder, or a module's dotted name."""

PREFIX = "furiosa_plugin_"
"""How packages are called that stand for a folder."""

_MOST_FILES = 2000
_SUFFIXES = tuple(all_suffixes())


@dataclass(frozen=True)
class PluginSource:
    """Where a plug-in is.

    Attributes:
        file: its Python file, of a package its `__init__.py`.
        module: the name that it is imported under.
        root: the folder that its modules lie in; None for a module that Python itself finds.
        package: the one name in `root` that belongs to it; None if all do.
    """

    file: Path
    module: str
    root: Path | None
    package: str | None = None

    def files(self) -> list[tuple[str, Path]]:
        """(name, path) of the Python files it may consist of, itself as "" at the head.

        Names are relative to its folder: the same files are the same plug-in anywhere.

        Raises:
            OSError: there is something else than a file.
            ValueError: there are more than 2000.
        """
        top = self.file.parent
        if self.package is not None:
            assert self.root is not None
            top = self.root / self.package
        elif self.root is None:
            for _ in range(self.module.count(".") - (self.file.stem != "__init__")):
                top = top.parent
            if "." not in self.module and self.file.stem != "__init__":
                return [("", self.file)]
        found: list[Path] = []
        folders = 0
        # A link to a folder is a package as well.
        for folder, packages, names in os.walk(top, followlinks=True):
            packages[:] = sorted(n for n in packages if n.isidentifier() and n != "__pycache__")
            paths = (Path(folder, name) for name in names if name.endswith(_SUFFIXES))
            found += [p for p in paths if p != self.file and p.is_file()]
            folders += 1 + len(packages)
            if len(found) + folders > _MOST_FILES:
                raise ValueError(f"{self.file} lies among too many files")
        return [("", self.file), *sorted((p.relative_to(top).as_posix(), p) for p in found)]


def plugin_list(plugins: object) -> tuple[Plugin, ...]:
    """What a caller gives as plug-ins: names of them, one name, or None.

    Raises:
        FuriosaError: it is something else.
    """
    if plugins is None:
        return ()
    if isinstance(plugins, str | os.PathLike):
        plugins = (cast("Plugin", plugins),)
    names = (
        tuple(cast("Iterable[object]", plugins)) if isinstance(plugins, Iterable) else (plugins,)
    )
    for name in names:
        if not isinstance(name, str | os.PathLike):
            raise FuriosaError(
                f"a plug-in cannot be of type {type(name).__name__}",
                hint='give a list of files, folders of packages or names of modules: ["mine.py"]',
            )
    return cast("tuple[Plugin, ...]", names)


def find_plugin(plugin: Plugin) -> PluginSource:
    """Where a plug-in is. Nothing of it is run.

    Raises:
        FuriosaError: there is none of that name.
    """
    path = Path(plugin)
    try:
        if path.is_dir() and (path / "__init__.py").is_file():
            return _in_folder(path.resolve() / "__init__.py")
        if path.is_file():
            if path.suffix != ".py":
                raise FuriosaError("the plug-in is not a Python file", file=str(path))
            return _in_folder(path.resolve())
    except (OSError, ValueError):  # names that cannot be
        pass
    words = str(plugin).split(".")
    if all(word.isidentifier() for word in words) and words[-1] != "py":
        spec = spec_of(words)
        if spec is not None and spec.origin is not None and spec.has_location:
            return PluginSource(Path(spec.origin), str(plugin), None)
        below = Path(*words)
        for file in (below.with_suffix(".py"), below / "__init__.py"):
            if file.is_file():
                return _in_folder(file.resolve())
    if path.is_dir():
        raise FuriosaError("the plug-in is a folder without an __init__.py", file=str(path))
    raise FuriosaError(
        "the plug-in does not exist",
        file=str(plugin),
        hint="give a Python file, the folder of a package, or a module's name",
    )


def _in_folder(file: Path) -> PluginSource:
    """The plug-in in a file, or of the package that the file is in."""
    # A file may be called anything, a module not: dots would be packages.
    words = [] if file.stem == "__init__" else [file.stem.replace(".", "_")]
    root, package = file.parent, None
    while (root / "__init__.py").is_file() and root.name.isidentifier():
        package = root.name
        words.insert(0, package)
        root = root.parent
    stands_for = PREFIX + hashlib.sha256(os.fsencode(root)).hexdigest()[:8]
    return PluginSource(file, ".".join((stands_for, *words)), root, package)


def spec_of(words: Sequence[str]) -> ModuleSpec | None:
    """What Python would import under a dotted name, without importing the packages around it."""
    try:
        spec = importlib.util.find_spec(words[0])
    except (ImportError, ValueError):  # ValueError: a module that says nothing of its origin
        return None
    for count in range(2, len(words) + 1):
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(".".join(words[:count]), spec.submodule_search_locations)
    return spec
