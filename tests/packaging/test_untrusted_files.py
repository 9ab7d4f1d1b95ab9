"""No file is run: nothing here unpickles, evaluates or imports what a file says.

`--load` is the one way in which code that is not the project's gets into a compile.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for folder in ("furiosa_ir", "furiosa") for path in (ROOT / folder).rglob("*.py")
)

FORBIDDEN_MODULES = {
    *("cPickle", "cloudpickle", "code", "codeop", "dill", "joblib", "jsonpickle", "marshal"),
    *("pickle", "runpy", "shelve", "torch", "yaml"),
}
FORBIDDEN_CALLS = {"__import__", "compile", "eval", "exec", "os.popen", "os.system", "input"}
FORBIDDEN_CALLS |= {"tempfile.mktemp", "np.fromregex", "numpy.fromregex", "np.loads"}

IMPORTS_BY_NAME = {
    # Modules of the project itself, found by walking its packages or named in a table.
    "furiosa_ir/__init__.py",
    "furiosa_ir/lowering/registry.py",
    "furiosa_ir/ir/context.py",
    "furiosa_ir/ir/extensions.py",
    "furiosa_ir/ir/passes.py",
    # Backends: the parts of one, named in its value; those of installed distributions.
    "furiosa_ir/backends/__init__.py",
    "furiosa_ir/backends/answers.py",
    "furiosa_ir/backends/installed.py",
    # Modules of dialects, named in the table of `ir/extensions.py`.
    "furiosa_ir/tools/catalogue.py",
    "furiosa_ir/api/machine_dialects.py",
    # Commands, and groups of them in a table, imported when they are called.
    "furiosa_ir/tools/furiosa.py",
    # The two commands, which are imported when their process is ready.
    "furiosa_ir/tools/launch.py",
    # What generated pages are of: the project's own modules.
    "furiosa_ir/tools/ir_reference.py",
    "furiosa_ir/tools/python_reference.py",
    # The classes of TFLite's schema.
    "furiosa_ir/tflite_schema.py",
    # `--load PLUGIN`.
    "furiosa_ir/plugins.py",
}
PROCESSES = {
    "furiosa_ir/native_process.py",
    "furiosa_ir/debugging/workers.py",
    "furiosa_ir/installation.py",
}
"""Modules that may start other programs: a Python only as `python_process` says."""
COMMANDS = {"furiosa_ir/debugging/command_test.py"}
"""Modules that run what the command line says is to be run: `furiosa reduce --test CMD`."""
TOOLS = {"furiosa_ir/backends/mlir/native_code.py"}
"""Modules that run a tool of an installed library, by the path that the library says: IREE's."""
COMPILES = {"furiosa_ir/tools/lazy_dataclasses.py"}
"""Modules that make functions of text: of names in our own classes, as the library does."""
PYTHON = "furiosa_ir/python_process.py"
STARTS = ("exec", "spawn", "posix_spawn", "startfile")
MULTIPROCESSING = {"ProcessPoolExecutor", "get_context", "set_start_method"}
"""What starts Pythons that begin by importing the main module again, on this one's path."""


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Each call with the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def process_imports(tree: ast.AST) -> Iterator[str]:
    """What is imported of multiprocessing, but for its sockets."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("multiprocessing"))
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {alias.name for alias in node.names}
            if "multiprocessing" in node.module and node.module != "multiprocessing.connection":
                yield node.module
            elif names & MULTIPROCESSING:
                yield f"{node.module} of processes"


def findings(path: str, source: str) -> list[str]:
    """What a module does that it must not."""
    tree = ast.parse(source)
    found = [f"imports {name}" for name in imports(tree) if name in FORBIDDEN_MODULES]
    found += [f"imports {name}" for name in process_imports(tree)]
    for name, call in calls(tree):
        keywords = {k.arg: ast.unparse(k.value) for k in call.keywords}
        if name in FORBIDDEN_CALLS and not (name == "exec" and path in COMPILES):
            found.append(f"calls {name}")
        loads = name.endswith(("import_module", "spec_from_file_location", "exec_module"))
        named = bool(call.args) and isinstance(call.args[0], ast.Constant)
        if loads and not named and path not in IMPORTS_BY_NAME:
            found.append(f"calls {name}")
        if name in ("np.load", "numpy.load") and keywords.get("allow_pickle", "False") != "False":
            found.append("unpickles arrays")
        if keywords.get("allow_pickle") == "True":
            found.append("unpickles arrays")
        is_safe = path in PROCESSES and has_safe_command(call)
        if name.startswith("subprocess.") and not is_safe and path not in COMMANDS | TOOLS:
            found.append(f"calls {name}")
        module, _, function = name.rpartition(".")
        if (module == "os" and function.startswith(STARTS)) or function in MULTIPROCESSING:
            found.append(f"calls {name}")
        if keywords.get("shell") == "True":
            found.append("starts a shell")
    return found


def has_safe_command(call: ast.Call) -> bool:
    """Whether what is started is a Python that runs no file of its folder (`python_process`)."""
    return bool(call.args) and ast.unparse(call.args[0]).startswith("python_command(")


def unsafe_pythons(tree: ast.AST) -> Iterator[str]:
    """Commands of this interpreter without the flag that keeps the current directory out."""
    allowed: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.List | ast.Tuple) and node.elts:
            flags = [ast.unparse(element) for element in node.elts[1:2]]
            if ast.unparse(node.elts[0]) == "sys.executable" and flags in (["'-P'"], ["'-I'"]):
                allowed.add(node.elts[0])
        named = isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.executable"
        if named and node not in allowed:
            yield ast.unparse(node)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_comes_from_a_file(path: Path) -> None:
    assert findings(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) == []


def test_every_python_is_kept_from_its_folder() -> None:
    """In the package all are `python_process`'s; what is beside it gives the flag itself."""
    for path in SOURCES:
        if path != ROOT / PYTHON:
            found = list(unsafe_pythons(ast.parse(path.read_text(encoding="utf-8"))))
            assert not found, path
            assert "sys.executable" not in path.read_text(encoding="utf-8"), path
    for folder in ("benchmarks", "examples", ".ci"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not list(unsafe_pythons(ast.parse(path.read_text(encoding="utf-8")))), path


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "def f(x):\n    return eval(x)",
        "exec(open('x').read())",
        "np.load(p, allow_pickle=True)",
        "np.load(p, allow_pickle=flag)",
        "importlib.import_module(name)",
        "subprocess.run(x)",
        "run(x, shell=True)",
        "from yaml import load",
        "os.execv(x, y)",
        "os.posix_spawn(x, y, z)",
        "import multiprocessing",
        "from multiprocessing import Pool",
        "from concurrent.futures import ProcessPoolExecutor",
        "multiprocessing.get_context('spawn')",
    ],
)
def test_it_would_be_noticed(source: str) -> None:
    assert findings("furiosa_ir/x.py", source)


def test_an_unsafe_python_would_be_noticed() -> None:
    isolation = max(PROCESSES)
    for command in ("[sys.executable, '-c', code]", "command", "[*python_command(x)]"):
        assert findings(isolation, f"subprocess.Popen({command})")
    assert not findings(isolation, "subprocess.Popen(python_command('x'), stdin=y)")
    assert list(unsafe_pythons(ast.parse("[sys.executable, '-c', 'x']")))
    assert list(unsafe_pythons(ast.parse("p = sys.executable")))
    assert not list(unsafe_pythons(ast.parse("[sys.executable, '-P', '-c', 'x']")))
