"""Passes: named module transformations with typed options, found by name.

A pass is a frozen dataclass; its fields are its options:

    @dataclass(frozen=True)
    class SetBatch(Pass):
        '''What it does, with IR before and after.'''
        name = "graph-set-batch"
        size: int = 1

        def apply(self, ctx: Context, op: ModuleOp) -> None: ...

Declaring the class registers it. Pass modules are imported when a name is first asked for: first
the module that is called like the pass (`graph-set-batch` -> `graph_set_batch` or `set_batch`),
then all of the packages (`ir.extensions`).
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast, get_args, get_origin, get_type_hints

from typing_extensions import override
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.utils.arg_spec import ArgSpec, ParameterListType, parse_pipeline
from xdsl.utils.exceptions import ArgSpecParseError
from xdsl.utils.hints import isa, type_repr

from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.extensions import look_for_installed, pass_packages
from furiosa_ir.ir.pipeline_text import (
    FUNCTION_ANCHOR,
    MODULE_ANCHORS,
    Element,
    parse_elements,
)
from furiosa_ir.ir.rewriting import RewriteDriver, Rule
from furiosa_ir.plugins import is_of_plugin, is_ours

PASSES: dict[str, type[Pass]] = {}
"""Name -> pass, of the pass modules imported so far; use `find_pass`, `all_passes`."""


class _Spec(ArgSpec):
    """A specification whose text reads back; xDSL (0.74) neither escapes texts nor floats."""

    @override
    def __str__(self) -> str:
        options = " ".join(
            f"{name}={','.join(map(_value_text, values))}" if values else name
            for name, values in self.parameters.items()
        )
        return f"{self.name}{{{options}}}" if options else self.name


def _value_text(value: str | float) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t") + '"'
        case float():
            digits, exponent, power = repr(value).partition("e")
            return digits + (".0" if exponent and "." not in digits else "") + exponent + power
        case _:
            return str(value)


@dataclass(frozen=True)
class Pass(ModulePass):
    """A transformation of a module; subclasses are frozen dataclasses whose fields are options.

    Attributes:
        reads_target: whether it needs the module's target; tools then see to it that there is one.
        is_function_pass: whether what becomes of a function depends on nothing but that function
            and the module's attributes; pipelines may then nest the pass in `func.func(...)`.
    """

    reads_target: ClassVar[bool] = False
    is_function_pass: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        name = vars(cls).get("name")
        if name is None:
            return  # an abstract base
        if name not in PASSES and not is_ours(cls):
            _import_by_name(name)  # a namesake of ours says so now, not when ours is first used
        other = PASSES.get(name)
        # A plug-in that is loaded again declares its passes again.
        if other is not None and (
            other.__qualname__ != cls.__qualname__ or is_ours(other) > is_ours(cls)
        ):
            raise FuriosaError(
                f"two passes are named '{name}': {other.__module__}.{other.__qualname__} "
                f"and {cls.__module__}.{cls.__qualname__}"
            )
        PASSES[name] = cls

    @override
    def spec(self, *, include_default: bool = False) -> ArgSpec:
        spec = super().spec(include_default=include_default)
        return _Spec(spec.name, {k.replace("_", "-"): v for k, v in spec.parameters.items()})

    @classmethod
    def description(cls) -> str:
        """The pass's docstring."""
        return inspect.getdoc(cls) or ""

    @classmethod
    def rule_list(cls) -> tuple[Rule, ...]:
        """The rewrite rules it consists of; none for a pass that is not a rule set."""
        return ()


@dataclass(frozen=True)
class RewritePass(Pass):
    """A pass that is a set of rewrite rules.

        class FoldClips(RewritePass):
            '''docstring with IR before and after'''
            name = "graph-fold-clips"
            rules = (quantize_of_clip, ...)

    Options, if it has any, reach the rules as `Rewrite.options`.
    """

    is_function_pass = True
    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def rule_list(cls) -> tuple[Rule, ...]:
        return cls.rules

    def rules_for(self, module: ModuleOp) -> tuple[Rule, ...]:
        """Those of the rules that hold for a module."""
        return self.rules

    @override
    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Applies the rules until none fits."""
        RewriteDriver(self.rules_for(op), self).run(op)


@dataclass(frozen=True)
class PassOption:
    """An option of a pass, for listings.

    Attributes:
        name: as written in a pipeline (`batch-size`).
        type: as annotated.
        default: as written in a pipeline; None if it must be given.
    """

    name: str
    type: str
    default: str | None


def find_pass(name: str) -> type[Pass]:
    """The pass of that name.

    Raises:
        FuriosaError: there is none; the message suggests the nearest.
    """
    if name not in PASSES:
        _import_by_name(name)
    if name not in PASSES:
        import_pass_modules()
    if name not in PASSES:
        look_for_installed()
    if name not in PASSES:
        raise FuriosaError(f"there is no pass '{name}'", hint=nearest(name, sorted(PASSES)))
    return PASSES[name]


def all_passes() -> dict[str, type[Pass]]:
    """Every pass by name, in alphabetical order."""
    import_pass_modules()
    return dict(sorted(PASSES.items()))


def passes_of_scripts() -> list[str]:
    """The passes that neither the compiler nor a plug-in declares."""
    return [n for n, c in PASSES.items() if not is_ours(c) and not is_of_plugin(c.__module__)]


def import_pass_modules() -> None:
    """Imports every module that declares passes."""
    for package in pass_packages():
        if importlib.util.find_spec(package) is None:
            continue
        path = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(path, package + "."):
            importlib.import_module(module.name)


def _import_by_name(name: str) -> None:
    words = name.split("-")
    for package in pass_packages():
        if importlib.util.find_spec(package) is None:
            continue
        for candidate in ("_".join(words), "_".join(words[1:])):
            module = f"{package}.{candidate}"
            if candidate and importlib.util.find_spec(module) is not None:
                importlib.import_module(module)
                if name in PASSES:
                    return


def pass_options(cls: type[Pass]) -> tuple[PassOption, ...]:
    """The options of a pass."""
    types = get_type_hints(cls)
    options: list[PassOption] = []
    for field in _option_fields(cls):
        default: str | None = None
        if field.default is not dataclasses.MISSING:
            default = _option_text(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            default = _option_text(field.default_factory())
        options.append(
            PassOption(field.name.replace("_", "-"), type_repr(types[field.name]), default)
        )
    return tuple(options)


def _option_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(_option_text(v) for v in cast("tuple[object, ...]", value))
    return "" if value is None else str(value)


def _option_fields(cls: type[Pass]) -> list[dataclasses.Field[object]]:
    return [f for f in dataclasses.fields(cls) if f.init and f.name != "name"]


def _must_be_given(option: dataclasses.Field[object]) -> bool:
    return option.default is option.default_factory is dataclasses.MISSING


_PARSED: dict[str, tuple[Pass, ...]] = {}


def parse_passes(pipeline: str) -> tuple[Pass, ...]:
    """The passes of a pipeline text, `a,b{option=1 other=x},c`.

    Blanks and line breaks may stand between any two words, `builtin.module(...)` around the whole,
    and `func.func(...)` around passes that look at one function at a time.

    Raises:
        FuriosaError: it does not parse, or names an unknown pass or option, or an option's value
            has the wrong type, or a pass in `func.func(...)` takes the whole module.
    """
    text = pipeline.strip()
    # Passes are immutable; reading their options' annotations costs a quarter of a small compile.
    known = _PARSED.get(text)
    if known is not None and all(PASSES.get(p.name) is type(p) for p in known):
        return known
    passes = tuple(passes_of(parse_elements(text)))
    _PARSED[text] = passes
    return passes


def passes_of(
    elements: Iterable[Element], phases: Sequence[str] = (), *, in_function: bool = False
) -> Iterator[Pass]:
    """The passes that elements of a pipeline text are.

    What is in `func.func(...)` does to each function what it would do if that stood alone, so that
    running pass by pass over all functions comes to the same, and is what happens.

    Args:
        elements: of `ir.pipeline_text.parse_elements`.
        phases: names of phases, which cannot stand here, for messages.
        in_function: whether `func.func(...)` is around them.

    Raises:
        FuriosaError: as `parse_passes`.
    """
    for element in elements:
        if element.nested is None:
            yield _pass_of(element, phases, in_function=in_function)
        elif element.text == FUNCTION_ANCHOR:
            if in_function:
                raise FuriosaError("there are no functions in a function", hint="nest passes once")
            yield from passes_of(element.nested, phases, in_function=True)
        else:
            raise _cannot_hold(element.text, phases)


def _pass_of(element: Element, phases: Sequence[str], *, in_function: bool) -> Pass:
    if element.name in phases:
        raise FuriosaError(
            f"the phase '{element.name}' cannot stand there",
            hint="phases stand side by side in a pipeline, and take no options",
        )
    try:
        specs = tuple(parse_pipeline(element.text))
    except ArgSpecParseError as error:
        # xDSL's message is three lines: what, the text, a marker with the reason.
        reason = str(error).strip().splitlines()[-1].lstrip(" ^")
        message = f"the pipeline '{element.text}' does not parse: {_lower_first(reason)}"
        raise FuriosaError(message) from None
    _refuse_repeated_options(element.text)
    (spec,) = specs
    made = make_pass(spec)
    if in_function and not made.is_function_pass:
        raise FuriosaError(
            f"the pass '{made.name}' takes the module, not one function",
            hint=f"write it outside of {FUNCTION_ANCHOR}(...)",
        )
    return made


def _cannot_hold(name: str, phases: Sequence[str]) -> FuriosaError:
    if name in MODULE_ANCHORS:
        return FuriosaError(
            "there is no module in what takes one",
            hint=f"write {name}(...) around the whole pipeline, or leave it out",
        )
    if name in phases:
        hint = "phases stand side by side in a pipeline"
        return FuriosaError(f"the phase '{name}' cannot stand there", hint=hint)
    if name in PASSES:
        return FuriosaError(f"the pass '{name}' holds no passes", hint="options stand in braces")
    known = [MODULE_ANCHORS[0], FUNCTION_ANCHOR, *phases]
    return FuriosaError(f"passes cannot be nested in '{name}(...)'", hint=nearest(name, known))


_OPTIONS = r"([\w.-]++)\s*+\{([^{}]*+)\}"


def _refuse_repeated_options(text: str) -> None:
    """xDSL would take the last of two values.

    Raises:
        FuriosaError: a pass is given an option twice.
    """
    if "{" not in text:
        return
    unquoted = re.sub(r'"[^"]*"', "0", text)
    for what, options in re.findall(_OPTIONS, unquoted):
        names = [option.partition("=")[0].replace("_", "-") for option in options.split()]
        for name in names:
            if names.count(name) > 1:
                raise FuriosaError(f"the option '{name}' of the pass '{what}' is given twice")


def make_pass(spec: ArgSpec) -> Pass:
    """The pass that a parsed specification asks for.

    Raises:
        FuriosaError: as `parse_passes`.
    """
    cls = find_pass(spec.name)
    fields = _option_fields(cls)
    if not spec.parameters and not any(map(_must_be_given, fields)):
        return _made(cls)  # as most are: the types of options take 0.2 ms to find
    types = get_type_hints(cls)
    known = {f.name for f in fields}
    given = spec.normalize_parameter_names().parameters
    for option, values in given.items():
        name = option.replace("_", "-")
        if option not in known:
            hint = nearest(name, sorted(n.replace("_", "-") for n in known)) or "it has no options"
            if cls.reads_target and option == "target":  # as pipelines of older programs have it
                hint = "the module has it: put assign-target{npu=...} in front of the pipeline"
            raise FuriosaError(f"the pass '{spec.name}' has no option '{name}'", hint=hint)
        given[option] = _widened(values, types[option])
        if not _accepts(given[option], types[option]):
            text = ",".join(map(str, values)) or "nothing"
            raise FuriosaError(
                f"the option '{name}' of the pass '{spec.name}' takes "
                f"{type_repr(types[option])}, not {text}"
            )
    return _made(cls, ArgSpec(spec.name, given))


def _made(cls: type[Pass], spec: ArgSpec | None = None) -> Pass:
    try:
        return cls() if spec is None else cls.from_spec(spec)
    except ValueError as error:
        raise FuriosaError(f"the pass '{cls.name}': {_lower_first(str(error))}") from None


def _accepts(values: ParameterListType, expected: object) -> bool:
    """Whether xDSL will convert these values to the option's type."""
    if not values:
        return type(None) in get_args(expected) or get_origin(expected) is tuple
    return (len(values) == 1 and isa(values[0], cast("Any", expected))) or isa(
        values, cast("Any", expected)
    )


def _widened(values: ParameterListType, expected: object) -> ParameterListType:
    """Whole numbers as floats where only floats are taken: `{share=1}`."""
    names = type_repr(cast("Any", expected))
    if "float" in names and "int" not in names:
        return tuple(float(v) if type(v) is int else v for v in values)
    return values


def pipeline_text(passes: Iterable[Pass]) -> str:
    """The passes as `parse_passes` reads them."""
    return ",".join(str(p.spec()) for p in passes)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """A hint for a name that there is not: the nearest that there is, else all; None of none."""
    import difflib  # noqa: PLC0415  # for errors alone

    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"there are: {', '.join(names)}" if names else None


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
