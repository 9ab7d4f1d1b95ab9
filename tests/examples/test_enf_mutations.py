"""Every change of the small reader's arithmetic is caught by a vector of docs/enf-vectors.

The reader's executor is changed in one place at a time: an operator, a comparison, a number, a
function for its opposite. A vector has to tell each apart from the page's meaning.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from examples.enf_reader import executor, reader
from tests.backends.warboy.enf.vectors import FOLDER

SOURCE = Path(executor.__file__).read_text()
MODES = [row[1] for row in reader.table("roundings")]

_OPPOSITES: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.MatMult: (ast.Mult,),
    ast.RShift: (ast.LShift,),
    ast.LShift: (ast.RShift,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitXor: (ast.BitOr,),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq, ast.LtE),
}
_NAMES = {
    "minimum": "maximum",
    "maximum": "minimum",
    "max": "min",
    "min": "max",
    "rint": "floor",
    "trunc": "floor",
    "abs": "negative",
    "x_zp": "weight_zp",
}
"""Functions and attributes that stand for each other."""


EQUIVALENT = {
    "_near_even: Eq -> LtE in `s == 0`": "no shift is below 0",
    "_double: Lt -> LtE in `u < 0`": "0 less 1, and half of a power of two, are still 0",
    "_double: 0 -> 1 in `0`, `u < 0`": "the same",
    "_double: 0 -> 1 in `0`, `np.maximum(31 - s, 0)`": "where s >= 31 it is not chosen",
    "_double: 0 -> -1 in `0`, `np.maximum(31 - s, 0)`": "the same",
    "even: Eq -> LtE in `(d * m >> s) % 2 == 0`": "it is 0 or 1",
    "away: Lt -> LtE in `d * m < 0`": "0 less 1, and half of a power of two, are still 0",
    "away: 0 -> 1 in `0`, `d * m < 0`": "the same",
    "lookup: Add -> Sub in `x + 128`": "-256 .. -1 count from the end of 256 entries",
    "_on_host: 0 -> -1 in `0`, `t[0]`": "there is one",
    "_on_host: Eq -> LtE in `len(t) == 1`": "no vector has such a segment: test_enf_reader does",
    "_on_host: Eq -> LtE in `x.shape == y.shape`": "the same",
    "_on_host: 0 -> -1 in `0`, `given[0]`": "there is one",
    "_carry_out: 1 -> 2 in `1`, `-1`": "numpy takes any negative extent for one that it finds",
}
"""Changes that no program can tell, with the reason."""

SESSION = ("__init__",)
"""Beside instructions and engines: what a test of its own runs."""


def _changes(node: ast.AST) -> Iterator[tuple[str, str, Any]]:
    """(what, attribute of the node, its other value)."""
    if isinstance(node, ast.BinOp):
        for other in _OPPOSITES.get(type(node.op), ()):
            yield f"{type(node.op).__name__} -> {other.__name__}", "op", other()
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and not _of_text(node):
        for other in _OPPOSITES.get(type(node.ops[0]), ()):
            yield f"{type(node.ops[0]).__name__} -> {other.__name__}", "ops", [other()]
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        for other in (node.value + 1, node.value - 1):
            yield f"{node.value} -> {other}", "value", other
    elif isinstance(node, ast.Attribute) and node.attr in _NAMES:
        yield f"{node.attr} -> {_NAMES[node.attr]}", "attr", _NAMES[node.attr]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "- -> +", "op", ast.UAdd()


def _of_text(node: ast.Compare) -> bool:
    """Whether names are compared, of which one is no more than another."""
    return "'" in ast.unparse(node.comparators[0])


def _parts(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Functions, methods, and each entry of the tables of functions."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    yield method.name, method
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                assert isinstance(key, ast.Constant)
                yield str(key.value), value


def mutants(part: ast.AST) -> Iterator[tuple[str, ast.AST, ast.AST]]:
    """Each change of a function: what it is, the node as it is meanwhile, and that around it."""
    annotations = {
        id(inner)
        for node in ast.walk(part)
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if annotation is not None
        for inner in ast.walk(annotation)
    }
    for around in ast.walk(part):
        for node in ast.iter_child_nodes(around):
            if id(node) in annotations:
                continue
            for what, attribute, value in _changes(node):
                kept = getattr(node, attribute)
                setattr(node, attribute, value)
                yield what, node, around
                setattr(node, attribute, kept)


def name_of(function: str, what: str, node: ast.AST, around: ast.AST) -> str:
    """How `EQUIVALENT` calls a change."""
    here, there = (ast.get_source_segment(SOURCE, n) for n in (node, around))
    is_small = isinstance(node, ast.Constant) and isinstance(around, ast.expr)
    return f"{function}: {what} in `{here}`" + (f", `{there}`" if is_small else "")


@cache
def vectors() -> dict[str, tuple[Any, list[tuple[list[Any], list[Any] | str]]]]:
    """Name -> program, and (inputs, outputs or error) of each run."""
    found = {}
    for entry in json.loads((FOLDER / "manifest.json").read_text()):
        base = FOLDER / entry["name"]
        program = reader.load(base.with_suffix(".enf").read_bytes())
        # Slices lie no further apart than the program needs: less memory to fill.
        program.room = max((s.sram_bytes for s in program.segments if s.on_npu), default=0)
        arrays = dict(np.load(base.with_suffix(".npz")))
        runs = []
        for number, run in enumerate(entry["runs"]):
            given = [arrays[f"run{number}_input{j}"] for j in range(len(program.inputs))]
            wanted = [arrays.get(f"run{number}_output{j}") for j in range(len(program.outputs))]
            runs.append((given, run.get("error") or wanted))
        found[entry["name"]] = program, runs
    return found


def catching(module: Any, first: str) -> str | None:
    """The name of a vector that a module does not run as it says; `first` is tried first."""
    there = vectors()
    with np.errstate(all="ignore"):
        for name in [first, *there] if first in there else there:
            program, runs = there[name]
            module.load = lambda _, program=program: program
            try:
                session = module.Session(b"")
                if not all(_runs(session, given, wanted) for given, wanted in runs):
                    return name
            except Exception:  # noqa: BLE001  # whatever it is: it does not run
                return name
    return None


def _runs(session: Any, given: list[Any], wanted: list[Any] | str) -> bool:
    try:
        found = session.run(given)
    except reader.Refused as error:
        return str(error) == wanted
    return not isinstance(wanted, str) and all(map(np.array_equal, found, wanted))


def executed(tree: ast.Module) -> Any:
    module = ModuleType("mutant")
    exec(compile(tree, "<mutant>", "exec"), module.__dict__)
    return module


TREE = ast.parse(SOURCE)
PARTS = {name: part for name, part in _parts(TREE) if name not in SESSION}
_NEAR = {"_double": "rescale_double", "_near_even": "near_ties", "minimum": "arithmetic"}
"""Which vector to try first, where its name is another."""

INSTRUCTIONS = {"wrap", "_half", *reader.INSTRUCTIONS, *MODES} | {
    part.id for part in PARTS.values() if isinstance(part, ast.Name)
}


def is_instruction(name: str) -> bool:
    return name in INSTRUCTIONS


def test_without_a_change_all_vectors_run() -> None:
    assert catching(executed(TREE), "") is None


def test_each_instruction_and_rounding_of_the_page_is_changed() -> None:
    assert set(reader.INSTRUCTIONS) | set(MODES) <= set(PARTS)
    assert {part.id for part in PARTS.values() if isinstance(part, ast.Name)} <= set(PARTS)


@pytest.mark.parametrize("mode", MODES)
def test_another_rounding_is_caught(mode: str) -> None:
    for other in set(MODES) - {mode}:
        module = executed(TREE)
        module.ROUNDINGS[mode] = module.ROUNDINGS[other]
        assert catching(module, f"rescale_{mode}") is not None, f"{mode} as {other}"


@pytest.mark.parametrize("name", [*reader.INSTRUCTIONS])
def test_a_result_that_is_off_by_one_is_caught(name: str) -> None:
    module = executed(TREE)
    function = module.FUNCTIONS[name]
    module.FUNCTIONS[name] = lambda *arguments: function(*arguments) + 1
    assert catching(module, name) is not None


def survivors(name: str) -> list[str]:
    """The changes of a function that no vector tells, but for those that none can."""
    found, last = list[str](), _NEAR.get(name, f"rescale_{name}" if name in MODES else name)
    for what, node, around in mutants(PARTS[name]):
        change = name_of(name, what, node, around)
        if change in EQUIVALENT:
            continue
        caught = catching(executed(TREE), last)
        last = caught or last
        if caught is None:
            found.append(change)
    return found


@pytest.mark.parametrize("name", [name for name in PARTS if is_instruction(name)])
def test_each_change_of_an_instruction_is_caught(name: str) -> None:
    assert survivors(name) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PARTS if not is_instruction(name)])
def test_each_change_of_memory_and_engines_is_caught(name: str) -> None:
    assert survivors(name) == []


def test_what_no_program_can_tell_is_there() -> None:
    found = {
        name_of(name, what, node, around)
        for name in {change.partition(":")[0] for change in EQUIVALENT}
        for what, node, around in mutants(PARTS[name])
    }
    assert set(EQUIVALENT) <= found
