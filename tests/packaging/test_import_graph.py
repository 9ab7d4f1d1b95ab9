"""The graph of imports: no circles, no arrow upwards, no module that the linter does not see.

All imports count: those in functions, and those that only annotations need.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

from furiosa_ir.backends import backends
from tests.conftest import ROOT

PACKAGE = "furiosa_ir"
REGISTER = f"{PACKAGE}.backends"
"""The register of backends, which passes ask: below them, though machines' packages are above."""

Arrow = tuple[str, str]


@cache
def arrows() -> tuple[Arrow, ...]:
    graph = grimp.build_graph(
        PACKAGE, exclude_type_checking_imports=False, include_external_packages=False
    )
    found = ((m, i) for m in graph.modules for i in graph.find_modules_directly_imported_by(m))
    return tuple(sorted(found))


def circle(edges: Iterable[Arrow]) -> list[str]:
    """The modules of a circle; none if there is none."""
    order: TopologicalSorter[str] = TopologicalSorter()
    for above, below in edges:
        if above != below:
            order.add(above, below)
    try:
        order.prepare()
    except CycleError as error:
        return error.args[1]
    return []


def modules() -> Iterator[str]:
    for path in (ROOT / PACKAGE).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for path in (ROOT / PACKAGE).rglob("__init__.py")
    if path.parent != ROOT / PACKAGE
)


def layers() -> dict[str, int]:
    """Module or package -> the height of its layer, as pyproject.toml has them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    named = next(c["layers"] for c in settings["contracts"] if c["id"] == "layers")
    named.insert(named.index("dialects"), "backends")
    return {f"{PACKAGE}.{name}": height for height, name in enumerate(reversed(named))}


def layer_of(module: str, known: dict[str, int]) -> int | None:
    """The layer of the package that a module is in; the register has one of its own."""
    if module == REGISTER:
        return known[REGISTER]
    return next(
        (
            h
            for name, h in known.items()
            if name != REGISTER and f"{module}.".startswith(f"{name}.")
        ),
        None,
    )


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(arrows()) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_parts_of_a_package_import_each_other_in_a_circle(package: str) -> None:
    """Its modules and the packages in it, each taken as a whole."""

    def part(module: str) -> str:
        return module.removeprefix(f"{package}.").partition(".")[0]

    inside = [(a, b) for a, b in arrows() if a.startswith(f"{package}.")]
    edges = [(part(a), part(b)) for a, b in inside if b.startswith(f"{package}.")]
    assert circle(edges) == []


def test_no_arrow_points_upwards() -> None:
    known = layers()
    upwards: list[Arrow] = []
    for above, below in arrows():
        a, b = layer_of(above, known), layer_of(below, known)
        if a is not None and b is not None and a < b:
            upwards.append((above, below))
    assert upwards == []


def test_each_module_is_in_a_layer() -> None:
    known = layers()
    assert [m for m in modules() if m != PACKAGE and layer_of(m, known) is None] == []


def test_no_exception_is_made() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert not any("ignore_imports" in contract for contract in settings["contracts"])


def test_the_graph_has_all_modules_and_all_kinds_of_imports() -> None:
    """A folder without `__init__.py` would be no part of it, to the linter either."""
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=False)
    assert sorted(set(modules()) - set(graph.modules)) == []
    assert (REGISTER, f"{PACKAGE}.backends.installed") in arrows()  # in a function
    assert (REGISTER, f"{PACKAGE}.program") in arrows()  # for annotations


def test_machines_have_names_in_their_backends_alone() -> None:
    built_in = [b for b in backends() if b.module.startswith(PACKAGE)]
    machines = {name for b in built_in for name in (b.name, *b.targets)}
    # So are the language of IR text and an operator set called, everywhere.
    machines = machines - {"mlir", "tosa"} | {"backends.mlir", "mlir:backend", "tosa:backend"}
    found = [
        str(path)
        for path in sorted((ROOT / PACKAGE).rglob("*.py"))
        if path.relative_to(ROOT / PACKAGE).parts[0] != "backends"
        and any(name in path.read_text().lower() for name in machines)
    ]
    assert found == []


def test_a_circle_is_found() -> None:
    assert circle([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")])
    assert circle([("a", "b"), ("b", "c"), ("a", "c")]) == []
