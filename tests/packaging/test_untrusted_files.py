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
    path
    for folder in ("furiosa_ir", "furiosa")
    for path in (ROOT / folder).rglob("*.py")
    if "generated" not in path.parts
)

FORBIDDEN_MODULES = {
    *("cPickle", "cloudpickle", "code", "codeop", "dill", "joblib", "jsonpickle", "marshal"),
    *("pickle", "runpy", "shelve", "torch", "yaml"),
}
FORBIDDEN_CALLS = {"__import__", "compile", "eval", "exec", "os.popen", "os.system", "input"}
FORBIDDEN_CALLS |= {"tempfile.mktemp", "np.fromregex", "numpy.fromregex", "np.loads"}

IMPORTS_BY_NAME = {
    # Modules of the project itself, found by walking its packages or named in a table.
    "furiosa_ir/backends/warboy/lowering/registry.py",
    "furiosa_ir/ir/context.py",
    "furiosa_ir/ir/passes.py",
    # Command groups of a table, imported when they are called.
    "furiosa_ir/tools/furiosa.py",
    # `--load FILE`.
    "furiosa_ir/tools/plugins.py",
}
PROCESSES = {"furiosa_ir/runtime/isolation.py"}
"""Modules that may start other programs."""


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


def findings(path: str, source: str) -> list[str]:
    """What a module does that it must not."""
    tree = ast.parse(source)
    found = [f"imports {name}" for name in imports(tree) if name in FORBIDDEN_MODULES]
    for name, call in calls(tree):
        keywords = {k.arg: ast.unparse(k.value) for k in call.keywords}
        if name in FORBIDDEN_CALLS:
            found.append(f"calls {name}")
        loads = name.endswith(("import_module", "spec_from_file_location", "exec_module"))
        named = bool(call.args) and isinstance(call.args[0], ast.Constant)
        if loads and not named and path not in IMPORTS_BY_NAME:
            found.append(f"calls {name}")
        if name in ("np.load", "numpy.load") and keywords.get("allow_pickle", "False") != "False":
            found.append("unpickles arrays")
        if keywords.get("allow_pickle") == "True":
            found.append("unpickles arrays")
        if name.startswith("subprocess.") and path not in PROCESSES:
            found.append(f"calls {name}")
        if keywords.get("shell") == "True":
            found.append("starts a shell")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_comes_from_a_file(path: Path) -> None:
    assert findings(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) == []


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
    ],
)
def test_it_would_be_noticed(source: str) -> None:
    assert findings("furiosa_ir/x.py", source)
