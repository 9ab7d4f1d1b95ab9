"""Dataclasses without what makes importing them slow, for processes that import hundreds and end.

The standard library compiles each method of a dataclass from text: two to six of them, 0.1 to
0.3 ms a class. A compile imports some 400 such classes, xDSL's included, and makes instances of
half of them. In the processes of our console scripts, and nowhere else, `dataclasses.dataclass` is
therefore the one below. Methods are closures over the fields, and `__init__`, which has to be fast,
is compiled when it is called often, once for all classes with such fields. Fields are what
annotations are, in nearly every class; where there is more to it (ClassVar, KW_ONLY), the standard
library finds them.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from operator import attrgetter
from reprlib import recursive_repr
from threading import RLock
from types import CodeType, FunctionType, MemberDescriptorType
from typing import Any, NamedTuple, cast

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
    given = _annotations(cls)
    if not _is_plain(cls, given, options):
        return _library(cls, **options)
    own = set(cls.__dict__)
    has_hash = "__hash__" in own and (cls.__hash__ is not None or "__eq__" not in own)
    if not cls.__doc__:  # or the signature becomes the text, which it takes long to find
        cls.__doc__ = cls.__name__
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


def _annotations(cls: type[Any]) -> Mapping[str, Any]:
    """A class's own; Python 3.14 makes them when asked, unless its module has them as text."""
    given: Mapping[str, Any] | None = vars(cls).get("__annotations__")
    if given is None and vars(cls).get("__annotate_func__") is not None:
        library: Any = sys.modules["annotationlib"]  # dataclasses has imported it
        given = library.get_annotations(cls, format=library.Format.FORWARDREF)
    return {} if given is None else given


def _is_plain(cls: type[Any], given: Mapping[str, object], options: Mapping[str, Any]) -> bool:
    if cls.__module__.partition(".")[0] not in _PACKAGES:
        return False
    if any(options.get(name) for name in ("order", "unsafe_hash", "weakref_slot")):
        return False
    frozen = bool(options.get("frozen"))
    if frozen and not cls.__dict__.keys().isdisjoint(("__setattr__", "__delattr__")):
        return False  # which is an error
    if "InitVar" in " ".join(map(str, given.values())):
        return False
    if options.get("slots") and any(
        isinstance(value, dataclasses.Field) and not value.init for value in vars(cls).values()
    ):
        return False  # a default that no class attribute can hold
    bases = [base for base in cls.__mro__[1:] if "__dataclass_params__" in base.__dict__]
    return all(base in _made and _is_frozen(base) == frozen for base in bases)


def _is_frozen(cls: type[Any]) -> bool:
    return cls.__dict__["__dataclass_params__"].frozen


def _are_annotations(cls: type[Any], given: Mapping[str, object]) -> bool:
    """Whether all annotations of a class, and nothing else of it, are fields."""
    if any(map(_is_no_field, given.values())):
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


@dataclasses.dataclass(init=False, repr=False, eq=False)
class _Sample:
    """A class with a field."""

    field: int


_FIELD: Any = getattr(dataclasses.fields(_Sample)[0], "_field_type")  # noqa: B009  # it is private
"""What tells fields from class variables."""
_add_slots: Callable[..., type[Any]] = getattr(dataclasses, "_add_slots")  # noqa: B009
_REPLACE: Any = vars(_Sample).get("__replace__")  # from Python 3.13 on
_NO_METHODS = dict.fromkeys(("init", "repr", "eq", "frozen"), False)
_params_of: dict[tuple[tuple[str, Any], ...], Any] = {}


def _params(options: Mapping[str, Any]) -> Any:
    """What classes with these options say of them."""
    key = tuple(options.items())
    if key not in _params_of:
        # With a docstring, or the signature becomes one.
        made = _library(type("_Options", (), {"__doc__": "None."}), **{**options, **_NO_METHODS})
        _params_of[key] = _with_methods(made.__dataclass_params__, options)
    return _params_of[key]


def _with_methods(params: Any, options: Mapping[str, Any]) -> Any:
    """Says of a class that was made without methods which it has."""
    for name in _NO_METHODS:
        setattr(params, name, options.get(name, name != "frozen"))
    return params


def _with_fields(cls: type[Any], given: Mapping[str, Any], options: Mapping[str, Any]) -> type[Any]:
    """The class with what says which fields it has, in slots if it is to have them."""
    if not _are_annotations(cls, given):
        return _of_library(cls, given, options)
    _note_fields(cls, given, options)
    if not options.get("slots"):
        return cls
    # From Python 3.14 on it asks for the fields as well: those with a docstring have it in slots.
    defined = (cls.__dataclass_fields__,) if sys.version_info >= (3, 14) else ()
    return _add_slots(cls, False, False, *defined)


def _of_library(cls: type[Any], given: Mapping[str, Any], options: Mapping[str, Any]) -> type[Any]:
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
            cls = _library(cls, **{**options, **_NO_METHODS})
        finally:
            for base, params in zip(bases, theirs, strict=True):
                base.__dataclass_params__ = params
    if given:
        cls.__annotations__ = dict(given)
        for name, kind in given.items():
            if kinds[name] is object:
                cls.__dataclass_fields__[name].type = kind
    _with_methods(cls.__dataclass_params__, options)
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
    """`__init__` from text: that of all classes with such fields, by this one's names."""
    fields = dataclasses.fields(cls)
    forms = tuple([_form(field) for field in fields])
    code = _code_of_init(forms, frozen=frozen, goes_on=hasattr(cls, "__post_init__"))
    names = {f"f{place}": field.name for place, field in enumerate(fields)}
    names["me"] = "_self" if "self" in names.values() else "self"
    code = code.replace(
        co_varnames=tuple([names[name] for name in code.co_varnames]),
        co_names=tuple([names.get(name, name) for name in code.co_names]),
        co_consts=tuple([names.get(value, value) for value in code.co_consts]),
    )
    scope: dict[str, Any] = {"_set": object.__setattr__, "_missing": dataclasses.MISSING}
    defaults: list[Any] = []
    of_keywords: dict[str, Any] = {}
    for place, (field, form) in enumerate(zip(fields, forms, strict=True)):
        if form.is_made:
            scope[f"_made_f{place}"] = field.default_factory
        if form.is_given and not _is_required(field):
            default = dataclasses.MISSING if form.is_made else field.default
            if form.by_keyword:
                of_keywords[field.name] = default
            else:
                defaults.append(default)
    init = FunctionType(code, scope, "__init__", tuple(defaults))
    init.__kwdefaults__ = of_keywords
    return init


class _Form(NamedTuple):
    """What there is of a field in the text of `__init__`, but for its name.

    Attributes:
        is_given: it is a parameter.
        by_keyword: of those by keyword.
        is_made: its default is made by calling something.
    """

    is_given: bool
    by_keyword: bool
    is_made: bool


def _form(field: dataclasses.Field[Any]) -> _Form:
    is_made = field.default_factory is not dataclasses.MISSING
    return _Form(field.init, bool(field.kw_only), is_made)


@cache
def _code_of_init(forms: Sequence[_Form], *, frozen: bool, goes_on: bool) -> CodeType:
    """The code of an `__init__` that calls its fields f0, f1, ..., and itself `me`."""
    positional: list[str] = []
    keyword: list[str] = []
    body: list[str] = []
    for place, form in enumerate(forms):
        name = value = f"f{place}"
        if form.is_made:
            value = f"_made_{name}()"
            if form.is_given:
                value = f"{value} if {name} is _missing else {name}"
        if form.is_given:
            (keyword if form.by_keyword else positional).append(name)
        elif not form.is_made:
            continue  # the class has its default, if there is one
        body.append(f"_set(me, {name!r}, {value})" if frozen else f"me.{name} = {value}")
    if goes_on:
        body.append("me.__post_init__()")
    parameters = ", ".join(["me", *positional, *(["*", *keyword] if keyword else [])])
    lines = "\n  ".join(body or ["pass"])
    scope: dict[str, Any] = {}
    exec(f"def __init__({parameters}):\n  {lines}", scope)  # noqa: S102  # no text but ours
    return scope["__init__"].__code__


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
