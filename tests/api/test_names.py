"""The public names: which there are, that each is documented, and that importing costs nothing."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
import subprocess
import sys
from types import ModuleType

import pytest

import furiosa_ir as fi
from furiosa_ir.ir.context import load_dialect
from furiosa_ir.ir.extensions import dialects
from tests.conftest import ROOT

TREE = ast.parse((ROOT / "furiosa_ir" / "__init__.py").read_text())
DIALECTS = ("graph", "ftensor", "quant", "warboy")


def imported_for_types(tree: ast.Module) -> list[str]:
    """What `if TYPE_CHECKING` imports; `*` for all of a module."""
    guarded = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) in CHECKING]
    imports = [n for guard in guarded for n in guard.body if isinstance(n, ast.ImportFrom)]
    return [
        f"{node.module}.*" if alias.name == "*" else alias.asname or alias.name
        for node in imports
        for alias in node.names
    ]


CHECKING = ("TYPE_CHECKING",)


def test_type_checkers_see_the_names_that_there_are():
    assert sorted(imported_for_types(TREE)) == sorted(fi.__all__) == sorted(fi._PLACES)


def test_the_page_has_each_name():
    page = (ROOT / "docs" / "api.md").read_text()
    rows = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    errors = page.partition("## Errors")[2].partition("##")[0]
    listed = re.findall(r"`(\w+)`", " ".join([*rows, errors]))
    assert sorted({*listed, "__version__"}) == sorted(fi.__all__)


@pytest.mark.parametrize("name", fi.__all__)
def test_each_name_is_documented(name: str):
    found = getattr(fi, name)
    if name == "__version__":
        return
    assert (inspect.getdoc(found) or "").strip()
    if inspect.isclass(found) and found.__module__.startswith("furiosa_ir"):
        for attribute, value in vars(found).items():
            if not attribute.startswith("_") and inspect.isroutine(value):
                assert inspect.getdoc(getattr(found, attribute)), f"{name}.{attribute}"


def test_no_name_is_that_of_a_module():
    """`import furiosa_ir.NAME` would put the module in its place."""
    modules = {module.name for module in pkgutil.iter_modules(fi.__path__)}
    assert modules & set(fi.__all__) == set()


def test_importing_imports_nothing():
    code = (
        "import sys; before = set(sys.modules); import furiosa_ir as fi; dir(fi); fi.__all__; "
        "hasattr(fi, 'nothing'); print(sorted(set(sys.modules) - before)); "
        "fi.FuriosaError; print(sorted(set(sys.modules) & {'numpy', 'xdsl', 'onnx', 'click'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['furiosa_ir']\n[]\n"


def test_what_there_is_not():
    with pytest.raises(AttributeError, match="has no attribute 'laod'"):
        fi.laod  # noqa: B018
    assert set(fi.__all__) <= set(dir(fi))


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_has_its_operations_by_name(name: str):
    module = fi.dialect(name)
    assert isinstance(module, ModuleType)
    dialect = load_dialect(dialects()[name])
    declared = [*dialect.operations, *dialect.attributes]
    assert declared
    for cls in declared:
        if cls.__module__.startswith("furiosa_ir"):
            assert getattr(module, cls.__name__) is cls


@pytest.mark.parametrize("name", ["graph", "ftensor"])
def test_type_checkers_see_operations(name: str):
    """Of each module that declares one: a new operation needs nothing, a new module its line."""
    module = getattr(fi, name)
    seen = imported_for_types(ast.parse(inspect.getsource(module)))
    for op in load_dialect(dialects()[name]).operations:
        assert f"{op.__module__}.*" in seen or op.__name__ in seen, op


@pytest.mark.slow  # a process of node's
def test_strict_pyright_takes_the_page_s_names(tmp_path):
    uses = "\n".join(f"print(fi.{name})" for name in fi.__all__)
    file = tmp_path / "uses.py"
    file.write_text(
        "# pyright: strict\nimport furiosa_ir as fi\n"
        f"{uses}\nx: type[fi.graph.GraphOp] = fi.graph.ReluOp\n"
        "print(fi.ftensor.ClampOp, fi.dialect('warboy').DotOp, fi.quant.UniformType)\n"
    )
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    file.write_text(
        "# pyright: strict\nimport furiosa_ir as fi\nprint(fi.graph.ReluuOp, fi.laod)\n"
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.count("error:") >= 2, done.stdout


def test_dialects_by_name():
    assert fi.dialect("graph") is fi.graph
    assert fi.dialect("warboy").DotOp.name == "warboy.dot"
    with pytest.raises(fi.FuriosaError, match=r"no dialect 'wharboy'.*graph"):
        fi.dialect("wharboy")
