"""Plug-ins: Python code of the user's that declares operators, lowerings and passes.

A plug-in is named (`--load`, `plugins=`) as a Python file, as the folder of a package, or as a
module in Python's dotted form, which is looked for where Python looks, then below the current
folder.

A plug-in may import its neighbours, `import tables` or `from .tables import EXP`, and so may they.
For a script, Python finds such a name by putting the folder on `sys.path`. Here it is on no path:
the folder may hold files of anybody's (a `json.py` among downloads), and no import of ours or of a
library's may find those. So plug-ins and neighbours are modules below a package that stands for the
folder (`furiosa_plugin_1f2e3d4c.tables`); they have an `__import__` of their own, and that asks for
neighbours only when nothing else has the name. A package's own name is itself, also where another
copy is installed. Two folders' neighbours of one name stay two.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, TracebackType

from furiosa_ir.errors import FuriosaError
from furiosa_ir.plugin_source import PREFIX, Plugin, PluginSource, find_plugin, spec_of

_OURS = frozenset({"furiosa_ir", "furiosa"})
_NOT_NEIGHBOURS = _OURS | sys.stdlib_module_names
_LOCK = threading.RLock()


# Loading.


@dataclass
class _Root:
    """What stands for a folder.

    Attributes:
        folder: the folder.
        names: the modules and packages in it that plug-ins may import; None: all.
        contents: the files that were run, with their SHA-256.
        files: module -> file of the plug-ins that are one.
    """

    folder: Path
    names: set[str] | None
    contents: dict[Path, bytes] = field(default_factory=dict[Path, bytes])
    files: dict[str, Path] = field(default_factory=dict[str, Path])


_roots: dict[str, _Root] = {}
"""By the name of the package that stands for it."""
_loaded: dict[str, PluginSource] = {}
"""By module, in the order of loading."""
_untracked: set[str] = set()
"""Modules that registered something, and nobody knows which files that depends on."""
_installed: dict[str, dict[Path, bytes]] = {}
"""By module: the files of plug-ins that Python found by itself, with their SHA-256."""


def load_plugins(plugins: Sequence[Plugin]) -> None:
    """Imports plug-ins: what they declare counts from then on, in all that the process compiles.

    One that is loaded already is loaded again only if a file of it has changed.

    Raises:
        FuriosaError: one is missing or raises an error; the error names its file and line.
    """
    for plugin in plugins:
        source = find_plugin(plugin)
        with _LOCK:
            # What Python found by itself, and others may have imported, stays as it is.
            if source.module not in _loaded or (source.root is not None and _has_changed(source)):
                _load(source)


def _load(source: PluginSource) -> None:
    if source.root is not None:
        _prepare(source, source.root)
    before = set(sys.modules)
    _loaded.pop(source.module, None)
    _loaded[source.module] = source
    try:
        importlib.import_module(source.module)
    except BaseException as error:
        failure = _load_failure(error, source)
        del _loaded[source.module]
        _untracked.add(source.module)
        for name in set(sys.modules) - before:  # else what is mended would not be read again
            if name.startswith(PREFIX):
                del sys.modules[name]
        if failure is None:
            raise
        raise failure from error
    _untracked.discard(source.module)
    if source.root is None and source.module not in _installed:
        with suppress(OSError, ValueError):
            _installed[source.module] = {path: _digest(path) for _, path in source.files()}


def _load_failure(error: BaseException, source: PluginSource) -> FuriosaError | None:
    """What to tell a user; None of what is no error, such as Ctrl-C."""
    if isinstance(error, FuriosaError):
        return error.at(file=str(plugin_frame(error.__traceback__) or _shown(str(source.file))))
    ends = isinstance(error, SystemExit) and type(error) is not SystemExit  # a tool, by a signal
    if not ends and not isinstance(error, KeyboardInterrupt | GeneratorExit):
        return _failure(error, source.file, "the plug-in does not load: ")
    return None


def _prepare(source: PluginSource, folder: Path) -> None:
    """Makes the package that stands for the folder; what has changed in it is forgotten."""
    top = source.module.partition(".")[0]
    names = None if source.package is None else {source.package}
    root = _roots.setdefault(top, _Root(folder, names))
    root.names = None if root.names is None or names is None else root.names | names
    if source.file.stem != "__init__":
        root.files[source.module] = source.file
    if _has_changed(source):
        for name in [n for n in sys.modules if n == top or n.startswith(f"{top}.")]:
            del sys.modules[name]
        root.contents.clear()
    if top not in sys.modules:
        module = ModuleType(top, f"Stands for the folder {folder}.")
        module.__path__ = [str(folder)]
        sys.modules[top] = module
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)  # in front of what finds files of any path


def _has_changed(source: PluginSource) -> bool:
    """Whether files are others than those that were run."""
    if source.root is None:
        contents = _installed.get(source.module, {})
    else:
        root = _roots.get(source.module.partition(".")[0])
        contents = {} if root is None else root.contents
    try:
        return any(_digest(path) != digest for path, digest in contents.items())
    except OSError:
        return True


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


class _Finder:
    """Finds the modules below packages that stand for folders: names that nobody else has."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        top, *words = name.split(".")
        root = _roots.get(top)
        if root is None or not words or (root.names is not None and words[0] not in root.names):
            return None
        if name in root.files:
            file = str(root.files[name])
            return importlib.util.spec_from_file_location(name, file, loader=_Loader(name, file))
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Runs a plug-in's file as it is: bytecode beside it may be of another, or anybody's."""

    def get_code(self, fullname: str) -> CodeType:
        """See `importlib.abc.InspectLoader`."""
        data = self.get_data(self.path)
        root = _roots[fullname.partition(".")[0]]
        root.contents[Path(self.path)] = hashlib.sha256(data).digest()
        return self.source_to_code(data, self.path)

    def exec_module(self, module: ModuleType) -> None:
        """See `importlib.abc.Loader`."""
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)


def _import(
    name: str,
    globals: Mapping[str, object] | None = None,  # noqa: A002  # the names of `__import__`
    locals: Mapping[str, object] | None = None,  # noqa: A002
    fromlist: Sequence[str] = (),
    level: int = 0,
) -> ModuleType:
    """What an import statement of a plug-in means; the arguments are `__import__`'s."""
    package = _package_of_neighbour(name, globals) if level == 0 else None
    if package is None:
        return builtins.__import__(name, globals, locals, fromlist, level)
    if fromlist:
        return builtins.__import__(f"{package}.{name}", globals, locals, fromlist, 0)
    importlib.import_module(f"{package}.{name}")
    return sys.modules[f"{package}.{name.partition('.')[0]}"]


def _package_of_neighbour(name: str, globals_: Mapping[str, object] | None) -> str | None:
    """The package that a neighbour lies in; None for what is none, or has another's name."""
    package = str((globals_ or {}).get("__package__") or "")
    top = package.partition(".")[0]
    root = _roots.get(top)
    first = name.partition(".")[0]
    if root is None or first in _NOT_NEIGHBOURS:
        return None
    if root.names is not None and first in root.names:
        return top  # itself: another copy may be installed, or lie on the path
    found = None
    # Beside the module that imports.
    for folder in (package,) if root.names is not None else dict.fromkeys((package, top)):
        path = getattr(sys.modules.get(folder), "__path__", None)
        if path is not None and PathFinder.find_spec(f"{folder}.{first}", path) is not None:
            found = folder
            break
    return found if found is not None and spec_of([first]) is None else None


# What became of them.


def plugins_in_effect(plugins: Sequence[Plugin]) -> list[PluginSource] | None:
    """The plug-ins that a compile depends on: those it names, and what the process has loaded.

    Returns:
        None if nobody can tell: code of no plug-in has registered something (a script), or a
        plug-in that is not named was changed since it was loaded.

    Raises:
        FuriosaError: one is not there.
    """
    named = {source.module: source for source in map(find_plugin, plugins)}
    with _LOCK:
        others = [source for module, source in _loaded.items() if module not in named]
    # What is named, and not installed, is loaded again if need be.
    lasting = [*others, *(source for source in named.values() if source.root is None)]
    if _untracked - set(named) or any(map(_has_changed, lasting)):
        return None
    return [*named.values(), *others]


@dataclass(frozen=True)
class PluginFiles:
    """The files of a plug-in that has been loaded.

    Attributes:
        name: what it is called by: its file's name, or a module's.
        main: its own file, of `files`.
        folder: what the names of its files are below.
        files: name below its folder -> (path, SHA-256), of those that were run.
        is_files: whether it was given as files, rather than as a module that is installed.
    """

    name: str
    main: str
    folder: Path
    files: dict[str, tuple[Path, bytes]]
    is_files: bool


def files_of_plugins() -> list[PluginFiles]:
    """The files of the plug-ins that this process has loaded, in order."""
    found: list[PluginFiles] = []
    with _LOCK:
        for source in _loaded.values():
            folder, contents = source.file.parent, _installed.get(source.module, {})
            if source.root is not None:
                root = _roots[source.module.partition(".")[0]]
                folder, contents = root.folder, root.contents
            files = {
                path.relative_to(folder).as_posix(): (path, digest)
                for path, digest in contents.items()
                if path.is_relative_to(folder)
            }
            main = source.file.relative_to(folder).as_posix()
            is_files = source.root is not None
            name = main if is_files else source.module
            found.append(PluginFiles(name, main, folder, files, is_files))
    return found


def loaded_plugins() -> list[Plugin]:
    """What names the plug-ins that this process has loaded, in order."""
    with _LOCK:
        return [s.module if s.root is None else s.file for s in _loaded.values()]


def scripts_that_register() -> list[str]:
    """Modules that have registered something, and are no plug-ins: another process lacks it."""
    return sorted(_untracked - set(_loaded))


def is_registered_from_outside(declared: object) -> bool:
    """Whether a class or function that is being registered is a plug-in's or a script's.

    Whoever keeps a register asks: what is declared outside counts before what the compiler has,
    in whatever order they come, and programs in the cache depend on it.
    """
    if is_ours(declared):
        return False
    note_registration(str(getattr(declared, "__module__", "")))
    return True


def note_registration(module: str) -> None:
    """Takes down that a module from outside has registered something."""
    if not is_of_plugin(module):
        _untracked.add(module)


def is_ours(declared: object) -> bool:
    """Whether a class or function is this package's, and neither a plug-in's nor a script's."""
    return str(getattr(declared, "__module__", "")).partition(".")[0] in _OURS


def is_of_plugin(module: str) -> bool:
    """Whether a module belongs to a plug-in that is loaded, or is being loaded."""
    top = module.partition(".")[0]
    return top in _roots or any(
        source.root is None and source.module.partition(".")[0] == top
        for source in _loaded.values()
    )


@dataclass(frozen=True)
class PluginFrame:
    """A line of a plug-in; as text, FILE:LINE.

    Attributes:
        file: where it stands; below the current folder, relative to that.
        line: counted from 1.
        function: what it is in; "<module>" outside of functions.
    """

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def plugin_frame(traceback: TracebackType | None) -> PluginFrame | None:
    """The innermost line of a plug-in that an exception came through.

    Args:
        traceback: the exception's.

    Returns:
        None if no plug-in had to do with it.
    """
    found, is_called_by_us = None, False
    outside = {module.partition(".")[0] for module in _untracked}
    while traceback is not None:
        frame = traceback.tb_frame
        module = str(frame.f_globals.get("__name__", ""))
        top = module.partition(".")[0]
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        # A script that registers operators also calls the compiler. Code that dataclasses make is
        # of the module, but of no file.
        is_called_by_us = is_called_by_us or top in _OURS
        if (
            is_called_by_us
            and not file.startswith("<")
            and (top in outside or is_of_plugin(module))
        ):
            found = PluginFrame(_shown(file), traceback.tb_lineno, name)
        traceback = traceback.tb_next
    return found


def plugin_failure(error: BaseException, running: str | None = None) -> FuriosaError | None:
    """What to tell a user of an exception that came out of a plug-in: its file, line and reason.

    Args:
        error: the exception.
        running: what of the plug-in was running, as in "the pass 'x'".

    Returns:
        None if no plug-in had to do with it; the error itself if it is a `FuriosaError`, which
        says what is to be said.
    """
    if plugin_frame(error.__traceback__) is None:
        return None
    if isinstance(error, FuriosaError):
        return error
    failure = _failure(error, None, "the plug-in raises ")
    if running is not None:
        message = f"{failure.message}, in {running}"
        failure = FuriosaError(message, file=failure.file, hint=failure.hint)
    return failure


def wrong_result(
    function: Callable[..., object], what: str, running: str, layer: str | None = None
) -> Exception:
    """The error of a function that has returned what it must not; of a plug-in's a user's error.

    Args:
        function: a function or method.
        what: what it returns, and what it should: "None, not a list".
        running: what it was called for, as in "the lowering of graph.add".
        layer: the layer that it concerns.
    """
    plain = getattr(function, "__func__", function)
    code = getattr(plain, "__code__", None)
    text = f"'{getattr(plain, '__name__', plain)}' returns {what}, in {running}"
    if is_ours(plain) or not isinstance(code, CodeType):
        return TypeError(text)
    where = f"{_shown(code.co_filename)}:{code.co_firstlineno}"
    return FuriosaError(f"the plug-in's {text}", file=where, layer=layer)


def raise_plugin_failure(
    error: BaseException, layer: str | None = None, running: str | None = None
) -> None:
    """For whoever takes any exception to mean that a file is bad: a plug-in's means that it is.

    Args:
        error: the exception.
        layer: the layer that it concerns.
        running: as in `plugin_failure`.

    Raises:
        FuriosaError: the exception came out of a plug-in (`plugin_failure`).
    """
    failure = plugin_failure(error, running)
    if failure is not None:
        raise failure.at(layer=layer) from error


def _failure(error: BaseException, file: Path | None, what: str) -> FuriosaError:
    frame = plugin_frame(error.__traceback__)
    where = str(frame) if frame is not None else str(file)
    text = " ".join(str(error).split())
    if isinstance(error, SyntaxError) and error.filename:
        where, text = f"{_shown(error.filename)}:{error.lineno}", error.msg
    text = f"{what}{type(error).__name__}{': ' if text else ''}{text}"
    if frame is not None and frame.function != "<module>":
        text += f", in '{frame.function}'"
    return FuriosaError(text, file=where, hint="FURIOSA_TRACEBACK=1 shows how it came there")


def _shown(file: str) -> str:
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (OSError, ValueError):
        return file
