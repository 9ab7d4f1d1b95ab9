"""Classes of `lazy_dataclasses` behave as those of the standard library do."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from operator import lt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa_ir.tools import lazy_dataclasses
from tests.draws import draws

MODULE = lazy_dataclasses.__name__  # of a package whose classes are made so
FLAGS = st.fixed_dictionaries(
    {},
    optional={
        "init": st.booleans(),
        "repr": st.booleans(),
        "compare": st.booleans(),
        "hash": st.sampled_from([None, True, False]),
        "kw_only": st.booleans(),
    },
)
FIELD = st.tuples(
    st.sampled_from(["plain", "default", "flags", "factory", "class", "keywords"]), FLAGS
)


class Own:
    """Documented."""

    def __init__(self, *args: object, **_: object) -> None:
        object.__setattr__(self, "seen", len(args))

    def __repr__(self) -> str:
        return "own"

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return 7

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def __post_init__(self) -> None:
        object.__setattr__(self, "late", 3)


METHODS = {
    name: vars(Own)[name]
    for name in (
        "__init__",
        "__repr__",
        "__eq__",
        "__hash__",
        "__setattr__",
        "__post_init__",
        "__doc__",
    )
}
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        name: st.booleans()
        for name in ("init", "repr", "eq", "order", "unsafe_hash", "frozen", "slots", "kw_only")
    },
)
LEVEL = st.tuples(
    OPTIONS,
    st.lists(FIELD, max_size=3),
    st.lists(st.sampled_from(sorted(METHODS)), unique=True, max_size=1),
    st.booleans(),
)


def declared(decorator: Callable[..., Any], levels: list[Any]) -> type[Any]:
    """Classes that inherit from each other; the last of them."""
    cls: type[Any] = object
    for depth, (options, fields, methods, is_dataclass) in enumerate(levels):
        kinds: dict[str, str] = {}
        body: dict[str, Any] = {"__module__": MODULE, "__annotations__": kinds}
        for place, (kind, flags) in enumerate(fields):
            name = "self" if (depth, place, kind) == (0, 1, "default") else f"f{depth}{place}"
            kinds[name] = {"class": "ClassVar[int]", "keywords": "KW_ONLY"}.get(kind, "int")
            if kind in ("default", "class"):
                body[name] = place
            elif kind == "flags":
                body[name] = dataclasses.field(default=place + 10, **flags)
            elif kind == "factory":
                body[name] = dataclasses.field(default_factory=lambda: (1, 2), **flags)
        body |= {name: METHODS[name] for name in methods}
        cls = type(f"C{depth}", (cls,), body)
        if is_dataclass or depth == 0:
            cls = decorator(cls, **options)
    return cls


def outcome(function: Callable[[], Any]) -> Any:
    """What comes of a call: its result, or its exception."""
    try:
        return function()
    except Exception as error:  # noqa: BLE001  # whichever it is
        return type(error), str(error)


def behaviour(decorator: Callable[..., Any], levels: list[Any]) -> Iterator[object]:
    """What there is to see of a class."""
    try:
        cls = declared(decorator, levels)
    except Exception as error:  # noqa: BLE001  # whichever it is
        yield type(error)
        return
    described = [(f.name, f.type, f.default, f.init, f.kw_only) for f in dataclasses.fields(cls)]
    yield [inspect.get_annotations(level) for level in cls.__mro__]
    yield described, getattr(cls, "__match_args__", None), repr(cls.__dataclass_params__)
    yield sorted(name for name in vars(cls) if name not in ("__doc__", "__weakref__", "__dict__"))
    names = [f.name for f in dataclasses.fields(cls) if f.init]
    for count in range(len(names) + 1):
        for start in range(count + 1):
            positional = list(range(100, 100 + start))
            keywords = dict.fromkeys(names[start:count], 5)
            made = outcome(partial(cls, *positional, **keywords))
            if isinstance(made, tuple):
                yield made
                continue
            other = outcome(partial(cls, *positional, **keywords))
            yield [getattr(made, f.name, "none") for f in dataclasses.fields(cls)]
            if cls.__repr__ is not object.__repr__:
                yield outcome(partial(repr, made))
            yield outcome(partial(lt, made, other))
            yield outcome(lambda m=made, o=other: (m == o, m == 1))
            if cls.__hash__ is not object.__hash__:
                yield outcome(partial(hash, made))
            yield outcome(lambda m=made: copy.copy(m) == m)
            yield outcome(lambda m=made: dataclasses.replace(m) == m)
            yield outcome(partial(dataclasses.asdict, made))
            # Of a frozen class with slots, the library's raise a TypeError of `super` for these.
            others = () if any(options.get("slots") for options, *_ in levels) else ("late", "no")
            for name in (*names[:1], *others):
                yield outcome(partial(setattr, made, name, 9)), getattr(made, name, "none")
                yield outcome(partial(delattr, made, name)), getattr(made, name, "none")


@settings(max_examples=draws(500), deadline=None)
@given(st.lists(LEVEL, min_size=1, max_size=3), st.sampled_from([0, 1, 1000]))
def test_classes_behave_as_ever(levels: list[Any], few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lazy_dataclasses, "_FEW", few)
        ours = list(behaviour(lazy_dataclasses.dataclass, levels))
    theirs = list(behaviour(dataclasses.dataclass, levels))
    assert ours == theirs


def test_init_is_compiled_when_it_is_called_often(monkeypatch: pytest.MonkeyPatch) -> None:
    level: Any = ({"frozen": True}, [("plain", {}), ("factory", {})], [], True)
    cls = declared(lazy_dataclasses.dataclass, [level])
    stub = vars(cls)["__init__"]
    wrapped: list[object] = []

    def around(self: object, *args: object) -> None:
        wrapped.append(args)
        stub(self, *args)

    monkeypatch.setattr(cls, "__init__", around)
    assert repr(cls(1)) == repr(cls(1)) == "C0(f00=1, f01=(1, 2))"
    assert wrapped == [(1,), (1,)]
    monkeypatch.undo()
    for _ in range(20):
        cls(1)
    assert vars(cls)["__init__"] is not stub


def test_classes_of_others_are_the_standard_librarys() -> None:
    class Plugins:
        field: int

    made = lazy_dataclasses.dataclass(order=True)(Plugins)
    assert made(1) < made(2)
    assert vars(made)["__init__"].__code__.co_varnames == ("self", "field")


def test_only_console_scripts_have_them() -> None:
    code = (
        "import dataclasses; was = dataclasses.dataclass\n"
        "import furiosa_ir.driver; assert dataclasses.dataclass is was\n"
        "import sys; from furiosa_ir.tools import launch; sys.argv[1:] = ['--version']\n"
        "import atexit; atexit.register(lambda: print(dataclasses.dataclass is was))\n"
        "launch.furiosa()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["False"]
