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
import difflib
import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, cast, get_args, get_type_hints

from typing_extensions import override
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.utils.arg_spec import ArgSpec, ParameterListType, parse_pipeline
from xdsl.utils.exceptions import ArgSpecParseError
from xdsl.utils.hints import isa, type_repr

from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.extensions import pass_packages
from furiosa_ir.ir.rewriting import RewriteDriver, Rule
from furiosa_ir.plugins import is_ours

PASSES: dict[str, type[Pass]] = {}
"""Name -> pass, of the pass modules imported so far; use `find_pass`, `all_passes`."""


@dataclass(frozen=True)
class Pass(ModulePass):
    """A transformation of a module; subclasses are frozen dataclasses whose fields are options.

    Attributes:
        reads_target: whether it needs the module's target; tools then see to it that there is one.
    """

    reads_target: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        name = vars(cls).get("name")
        if name is None:
            return  # an abstract base
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
        return ArgSpec(spec.name, {k.replace("_", "-"): v for k, v in spec.parameters.items()})

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

    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def rule_list(cls) -> tuple[Rule, ...]:
        return cls.rules

    def rules_for(self, module: ModuleOp) -> tuple[Rule, ...]:
        """Those of the rules that hold for a module."""
        return self.rules

    @override
    def apply(self, ctx: Context, op: ModuleOp) -> None:
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
        raise FuriosaError(f"there is no pass '{name}'", hint=_nearest(name, PASSES))
    return PASSES[name]


def all_passes() -> dict[str, type[Pass]]:
    """Every pass by name, in alphabetical order."""
    import_pass_modules()
    return dict(sorted(PASSES.items()))


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


_PARSED: dict[str, tuple[Pass, ...]] = {}

_BLANKS = re.compile(r'("(?:[^"\\\n]++|\\.)*+"?+)|\s*+([,{}=()])\s*+|(\s++)')

_ANCHOR = re.compile(r"(?:builtin\.module|any)\s*+\((.*)\)", re.DOTALL)

_NESTED = re.compile(r"(?:^|[,(])([\w.]++)\(")


def parse_passes(pipeline: str) -> tuple[Pass, ...]:
    """The passes of a pipeline text, `a,b{option=1 other=x},c`.

    Blanks and line breaks may stand between any two words, and `builtin.module(...)` around the
    whole, as mlir-opt takes it.

    Raises:
        FuriosaError: it does not parse, or names an unknown pass or option, or an option's value
            has the wrong type.
    """
    text = pipeline.strip()
    # Passes are immutable; reading their options' annotations costs a quarter of a small compile.
    known = _PARSED.get(text)
    if known is not None and all(PASSES.get(p.name) is type(p) for p in known):
        return known
    try:
        specs = tuple(parse_pipeline(_plain(text)))
    except ArgSpecParseError as error:
        # xDSL's message is three lines: what, the text, a marker with the reason.
        reason = str(error).strip().splitlines()[-1].lstrip(" ^")
        message = f"the pipeline '{text}' does not parse: {_lower_first(reason)}"
        raise FuriosaError(message) from None
    _refuse_repeated_options(text)
    passes = tuple(make_pass(spec) for spec in specs)
    _PARSED[text] = passes
    return passes


def _plain(text: str) -> str:
    """A pipeline text as xDSL reads it: blanks between options alone, no anchor.

    Raises:
        FuriosaError: it nests pipelines.
    """
    anchored = _ANCHOR.fullmatch(text)
    if anchored is not None:
        text = anchored[1].strip()
    plain = _BLANKS.sub(lambda m: m[1] or m[2] or " ", text)
    unquoted = re.sub(r'"[^"]*"', "", plain)
    if nested := _NESTED.search(unquoted):
        raise FuriosaError(
            f"the pipeline '{text}' nests passes in '{nested[1]}(...)'",
            hint="every pass here takes the whole module: write them one behind the other",
        )
    return plain


_OPTIONS = re.compile(r"([\w.-]++)\s*+\{([^{}]*+)\}")


def _refuse_repeated_options(text: str) -> None:
    """xDSL would take the last of two values.

    Raises:
        FuriosaError: a pass is given an option twice.
    """
    unquoted = re.sub(r'"[^"]*"', "0", _plain(text))
    for what, options in _OPTIONS.findall(unquoted):
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
    types = get_type_hints(cls)
    known = {f.name for f in _option_fields(cls)}
    given = spec.normalize_parameter_names().parameters
    for option, values in given.items():
        name = option.replace("_", "-")
        if option not in known:
            hint = _nearest(name, [n.replace("_", "-") for n in known]) or "it has no options"
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
    try:
        return cls.from_spec(ArgSpec(spec.name, given))
    except ValueError as error:
        raise FuriosaError(f"the pass '{spec.name}': {_lower_first(str(error))}") from None


def _accepts(values: ParameterListType, expected: object) -> bool:
    """Whether xDSL will convert these values to the option's type."""
    if not values:
        return type(None) in get_args(expected)
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


def _nearest(name: str, known: Iterable[str]) -> str | None:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"there are: {', '.join(names)}" if names else None


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
