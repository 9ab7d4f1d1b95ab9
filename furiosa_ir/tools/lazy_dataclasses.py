"""Dataclasses without what makes importing them slow, for processes that import hundreds and end.

The standard library compiles each method of a dataclass from text: two to six of them, 0.1 to
0.3 ms a class. A compile imports some 400 such classes, xDSL's included, and makes instances of
half of them. In the processes of our console scripts, and nowhere else, `dataclasses.dataclass` is
therefore the one below. Methods are closures over the fields, and `__init__`, which has to be fast,
is compiled when it is called often. Fields are what annotations are, in nearly every class; where
there is more to it (slots, ClassVar, KW_ONLY), the standard library finds them.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from operator import attrgetter
from reprlib import recursive_repr
from threading import RLock
from types import MemberDescriptorType
from typing import Any, cast

# ruff: noqa: N807

_PACKAGES = ("furiosa_ir", "xdsl")
"""Whose classes are made so. What others do with theirs, we do not know."""
_FEW = 8
"""Calls of an `__init__` that are no reason to compile it: half of all classes have no more."""
_library: Callable[..., Any] = dataclasses.dataclass
_lock = RLock()
_made: set[type] = set()


def install() -> None:
    """Puts this `dataclass` in the place of the standard library's, for what is imported next."""
    dataclasses.dataclass = dataclass


def dataclass(cls: type[Any] | None = None, /, **options: Any) -> Any:
    """`dataclasses.dataclass`: the same arguments, classes that behave alike."""
    if cls is None:
        return partial(dataclass, **options)
    given = inspect.get_annotations(cls)
    if not _is_plain(cls, given, options):
        return _library(cls, **options)
    own = set(cls.__dict__)
    has_hash = "__hash__" in own and (cls.__hash__ is not None or "__eq__" not in own)
    if not cls.__doc__:  # or the signature becomes the text, which it takes long to find
        cls.__doc__ = cls.__name__
    if _are_annotations(cls, given, options):
        _note_fields(cls, given, options)
    else:
        cls = _with_fields(cls, given, options)
    fields = dataclasses.fields(cls)
    frozen, eq = options.get("frozen", False), options.get("eq", True)
    methods: list[Callable[..., Any]] = []
    if options.get("init", True):
        methods.append(_init(cls, fields, frozen=frozen))
    if options.get("repr", True):
        methods.append(_repr(fields))
    if eq:
        methods.append(_eq(fields))
    methods = [method for method in methods if method.__name__ not in own]
    if frozen:
        methods += _guards(cls, fields)
        if eq and not has_hash:
            methods.append(_hash(fields))
    elif eq and not has_hash:
        setattr(cls, "__hash__", None)  # noqa: B010  # pyright knows what type it has
    for method in methods:
        method.__qualname__ = f"{cls.__qualname__}.{method.__name__}"
        setattr(cls, method.__name__, method)
    if frozen and options.get("slots"):
        for method in (__getstate__, __setstate__):
            if method.__name__ not in own:
                setattr(cls, method.__name__, method)
    _made.add(cls)
    return cls


def _is_plain(cls: type[Any], given: Mapping[str, object], options: Mapping[str, Any]) -> bool:
    if cls.__module__.partition(".")[0] not in _PACKAGES:
        return False
    if any(options.get(name) for name in ("order", "unsafe_hash", "weakref_slot")):
        return False
    frozen = bool(options.get("frozen"))
    if frozen and not cls.__dict__.keys().isdisjoint(("__setattr__", "__delattr__")):
        return False  # which is an error
    if any("InitVar" in str(kind) for kind in given.values()):
        return False
    if options.get("slots") and any(
        isinstance(value, dataclasses.Field) and not value.init for value in vars(cls).values()
    ):
        return False  # a default that no class attribute can hold
    bases = [base for base in cls.__mro__[1:] if "__dataclass_params__" in base.__dict__]
    return all(base in _made and _is_frozen(base) == frozen for base in bases)


def _is_frozen(cls: type[Any]) -> bool:
    return cls.__dict__["__dataclass_params__"].frozen


def _are_annotations(
    cls: type[Any], given: Mapping[str, object], options: Mapping[str, Any]
) -> bool:
    """Whether all annotations of a class, and nothing else of it, are fields."""
    if options.get("slots") or any(map(_is_no_field, given.values())):
        return False
    for name, value in vars(cls).items():
        is_field = isinstance(value, dataclasses.Field)
        if is_field and name not in given:
            return False  # which is an error, as is a default that can be changed
        default: Any = getattr(cast("Any", value), "default", None) if is_field else value
        if name in given and default.__class__.__hash__ is None:
            return False
    return True


def _note_fields(cls: type[Any], given: Mapping[str, object], options: Mapping[str, Any]) -> None:
    """Gives a class what says which fields it has."""
    fields: dict[str, dataclasses.Field[Any]] = {}
    for base in cls.__mro__[-1:0:-1]:
        fields |= getattr(base, "__dataclass_fields__", {})
    for name, kind in given.items():
        found: Any = getattr(cls, name, dataclasses.MISSING)
        if not isinstance(found, dataclasses.Field):
            of_slot = isinstance(found, MemberDescriptorType)
            found = dataclasses.field(default=dataclasses.MISSING if of_slot else found)
        elif found.default is dataclasses.MISSING:  # pyright: ignore[reportUnknownMemberType]
            delattr(cls, name)
        else:
            setattr(cls, name, found.default)  # pyright: ignore[reportUnknownMemberType]
        found.name, found.type, found._field_type = name, kind, _FIELD  # noqa: SLF001
        if found.kw_only is dataclasses.MISSING:
            found.kw_only = options.get("kw_only", False)
        fields[name] = found
    cls.__dataclass_fields__ = fields
    cls.__dataclass_params__ = _params(options)
    if options.get("match_args", True) and "__match_args__" not in vars(cls):
        positional = (f.name for f in dataclasses.fields(cls) if f.init and not f.kw_only)
        cls.__match_args__ = tuple(positional)
    if _REPLACE is not None and "__replace__" not in vars(cls):
        cls.__replace__ = _REPLACE


@dataclasses.dataclass
class _Sample:
    field: int


_FIELD: Any = getattr(dataclasses.fields(_Sample)[0], "_field_type")  # noqa: B009  # it is private
"""What tells fields from class variables."""
_REPLACE: Any = vars(_Sample).get("__replace__")  # from Python 3.13 on
_params_of: dict[tuple[tuple[str, Any], ...], Any] = {}


def _params(options: Mapping[str, Any]) -> Any:
    """What classes with these options say of them."""
    key = tuple(options.items())
    if key not in _params_of:
        _params_of[key] = _library(type("_Options", (), {}), **options).__dataclass_params__
    return _params_of[key]


def _with_fields(cls: type[Any], given: Mapping[str, Any], options: Mapping[str, Any]) -> type[Any]:
    """The class as the standard library makes it if there is no method to make."""
    bases = [base for base in cls.__mro__[1:] if base in _made and _is_frozen(base)]
    # The library looks into the text of each annotation for what is no field.
    kinds = {name: kind if _is_no_field(kind) else object for name, kind in given.items()}
    if given:
        cls.__annotations__ = kinds
    with _lock:
        theirs: list[Any] = [base.__dataclass_params__ for base in bases]
        for base in bases:  # they, and what inherits from them, are either all frozen or not
            base.__dataclass_params__ = _params({"frozen": False})
        try:
            none = dict.fromkeys(("init", "repr", "eq", "frozen"), False)
            cls = _library(cls, **{**options, **none})
        finally:
            for base, params in zip(bases, theirs, strict=True):
                base.__dataclass_params__ = params
    if given:
        cls.__annotations__ = dict(given)
        for name, kind in given.items():
            if kinds[name] is object:
                cls.__dataclass_fields__[name].type = kind
    for name in ("init", "repr", "eq", "frozen"):
        setattr(cls.__dataclass_params__, name, options.get(name, name != "frozen"))
    return cls


def _is_no_field(kind: object) -> bool:
    return not isinstance(kind, str) or "ClassVar" in kind or "KW_ONLY" in kind


def _init(
    cls: type[Any], fields: Iterable[dataclasses.Field[Any]], *, frozen: bool
) -> Callable[..., None]:
    has_default = False
    for field in fields:
        if field.init and not field.kw_only:
            if has_default and _is_required(field):
                raise TypeError(f"non-default argument {field.name!r} follows default argument")
            has_default = not _is_required(field)
    compiled: Callable[..., None] | None = None
    calls = 0
    assign = object.__setattr__ if frozen else setattr

    def __init__(self: Any, /, *args: Any, **keywords: Any) -> None:
        nonlocal compiled, calls
        calls += 1
        if calls <= _FEW and _set_fields(assign, fields, self, args, keywords):
            return
        if compiled is None:
            compiled = _compiled_init(cls, frozen=frozen)
            compiled.__qualname__ = __init__.__qualname__
        if cls.__dict__.get("__init__") is __init__:  # and nobody has put theirs around it
            setattr(cls, "__init__", compiled)  # noqa: B010  # pyright: not like object's
        compiled(self, *args, **keywords)

    return __init__


def _set_fields(
    assign: Callable[[Any, str, Any], None],
    fields: Iterable[dataclasses.Field[Any]],
    self: Any,
    args: tuple[Any, ...],
    keywords: dict[str, Any],
) -> bool:
    """Does what `__init__` does; nothing, and False, if the arguments do not fit."""
    values: list[tuple[str, Any]] = []
    place = named = 0
    for field in fields:
        name = field.name
        if field.init and not field.kw_only and place < len(args):
            if name in keywords:
                return False
            value = args[place]
            place += 1
        elif field.init and name in keywords:
            value = keywords[name]
            named += 1
        elif field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        elif not field.init:
            continue  # the class has its default, if there is one
        elif field.default is dataclasses.MISSING:
            return False
        else:
            value = field.default
        values.append((name, value))
    if place < len(args) or named < len(keywords):
        return False
    for name, value in values:
        assign(self, name, value)
    if hasattr(self, "__post_init__"):
        self.__post_init__()
    return True


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def _compiled_init(cls: type[Any], *, frozen: bool) -> Callable[..., None]:
    positional: list[str] = []
    keyword: list[str] = []
    body: list[str] = []
    scope: dict[str, Any] = {"_set": object.__setattr__, "_missing": dataclasses.MISSING}
    me = "self" if all(f.name != "self" for f in dataclasses.fields(cls)) else "_self"
    for field in dataclasses.fields(cls):
        name = value = field.name
        parameter = name
        if field.default_factory is not dataclasses.MISSING:
            scope[f"_made_{name}"] = field.default_factory
            value, parameter = f"_made_{name}()", f"{name}=_missing"
            if field.init:
                value = f"{value} if {name} is _missing else {name}"
        elif field.default is not dataclasses.MISSING:
            scope[f"_default_{name}"] = field.default
            parameter = f"{name}=_default_{name}"
        if field.init:
            (keyword if field.kw_only else positional).append(parameter)
        elif field.default_factory is dataclasses.MISSING:
            continue  # the class has its default, if there is one
        body.append(f"_set({me}, {name!r}, {value})" if frozen else f"{me}.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append(f"{me}.__post_init__()")
    parameters = ", ".join([me, *positional, *(["*", *keyword] if keyword else [])])
    lines = "\n  ".join(body or ["pass"])
    # As the standard library does: names of fields are identifiers.
    exec(f"def __init__({parameters}):\n  {lines}", scope)  # noqa: S102
    return scope["__init__"]


def _values(fields: Iterable[dataclasses.Field[Any]]) -> Callable[[Any], tuple[Any, ...]]:
    names = [field.name for field in fields]
    if len(names) > 1:
        return attrgetter(*names)
    if not names:
        return lambda _: ()
    value = attrgetter(*names)
    return lambda instance: (value(instance),)


def _repr(fields: Iterable[dataclasses.Field[Any]]) -> Callable[[Any], str]:
    def __repr__(self: Any) -> str:
        shown = [f.name for f in fields if f.repr]
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__qualname__}({values})"

    return recursive_repr()(__repr__)


def _eq(fields: Iterable[dataclasses.Field[Any]]) -> Callable[[Any, Any], bool]:
    values = _values([field for field in fields if field.compare])

    def __eq__(self: Any, other: Any) -> bool:
        if other.__class__ is self.__class__:
            return values(self) == values(other)
        return NotImplemented

    return __eq__


def _hash(fields: Iterable[dataclasses.Field[Any]]) -> Callable[[Any], int]:
    values = _values([f for f in fields if (f.compare if f.hash is None else f.hash)])

    def __hash__(self: Any) -> int:
        return hash(values(self))

    return __hash__


def _guards(cls: type[Any], fields: Iterable[dataclasses.Field[Any]]) -> list[Callable[..., None]]:
    names = {field.name for field in fields}

    def __setattr__(self: Any, name: str, value: object) -> None:
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def __delattr__(self: Any, name: str) -> None:
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    return [__setattr__, __delattr__]


# What frozen classes with slots have for copies, as they cannot be assigned to.
def __getstate__(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def __setstate__(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
