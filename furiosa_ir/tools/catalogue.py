"""What can be named, as data: passes, rules, operations, dialects, targets, hints, backends.

Everything is read from what the code declares, which takes half a second of imports; so
`make docs` writes what comes with the project into `catalogue.json`, and `furiosa list` reads that
while the sources are no newer (a test fails where it is stale, as for the pages under docs/).
Plug-ins and installed backends are asked themselves.

A record is a dictionary that JSON can hold: `name`, `summary` (the first sentence), `description`
and `module` (what Python imports it from), and what the function of its kind adds.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xdsl.irdl import IRDLOperation

    from furiosa_ir.ir.rules import Rule

# `furiosa list` of what comes with the project imports neither xDSL nor numpy.
# ruff: noqa: PLC0415

Record = dict[str, Any]

PATH = Path(__file__).with_suffix(".json")
"""What comes with the project: kind -> records."""

_SOURCES = ("passes", "dialects", "lowering", "backends", "hints.py", "tools/catalogue.py")
"""What the records say is declared here, below the package."""

_CHECKOUT = 60.0
"""Seconds within which git writes a checkout's files, in any order."""


def records(kind: str, plugins: Sequence[Any] = ()) -> list[Record]:
    """What there is of a kind, by name; of what is installed beside the project as well.

    Args:
        kind: one of `KINDS`.
        plugins: what has been loaded beside the project; then everything is asked itself.

    Raises:
        FuriosaError: a declaration is wrong.
    """
    from furiosa_ir.backends import backends, look_for_installed

    if (
        look_for_installed()
        or plugins
        or any(b.module.partition(".")[0] != "furiosa_ir" for b in backends())
        or not _is_fresh()
    ):
        return KINDS[kind]()
    return json.loads(PATH.read_text(encoding="utf-8"))[kind]


def _is_fresh() -> bool:
    """Whether no source that declares something has been edited since the file was written."""
    package = Path(__file__).parents[1]
    try:
        written = PATH.stat().st_mtime + _CHECKOUT
        return all(file.stat().st_mtime <= written for file in _sources(package))
    except OSError:
        return False


def _sources(package: Path) -> Iterator[Path]:
    for name in _SOURCES:
        path = package / name
        yield from path.rglob("*.py") if path.is_dir() else (path,)


def text_of_all() -> str:
    """The content of `catalogue.json`: what comes with the project, without plug-ins."""
    made = {kind: [r for r in make() if _is_ours(r)] for kind, make in KINDS.items()}
    names = {kind: {record["name"] for record in found} for kind, found in made.items()}
    for record in made["passes"]:  # those of plug-ins may run our passes
        phases = record["phases"]
        record["phases"] = [p for p in phases if p.partition(":")[0] in names["backends"]]
    for record in made["rules"]:  # and apply our rules
        record["passes"] = [p for p in record["passes"] if p in names["passes"]]
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _is_ours(record: Record) -> bool:
    return str(record["module"]).partition(".")[0] in ("furiosa_ir", "xdsl")


def passes() -> list[Record]:
    """Beside it: `options` (name, type, default; null where it must be given), `rules`, `phases`.

    A phase is "backend:phase"; a pass that stands in none runs where somebody asks for it.
    """
    from furiosa_ir.backends import backends
    from furiosa_ir.ir.passes import all_passes, pass_options

    phases: dict[str, list[str]] = {}
    for backend in backends():
        for phase in backend.pipeline().phases:
            for what in phase.resolve():
                phases.setdefault(what.name, []).append(f"{backend.name}:{phase.name}")
    return [
        _record(
            name,
            cls,
            options=[
                {"name": o.name, "type": o.type, "default": o.default} for o in pass_options(cls)
            ],
            rules=[rule.name for rule in cls.rule_list()],
            phases=phases.get(name, []),
        )
        for name, cls in all_passes().items()
    ]


def rules() -> list[Record]:
    """Beside it: `pattern` (what it matches) and `passes` (which apply it)."""
    from furiosa_ir.ir.passes import all_passes

    found: dict[tuple[str, str], tuple[Rule, list[str]]] = {}  # a plug-in's may have a known name
    for name, cls in all_passes().items():
        for rule in cls.rule_list():
            key = rule.name, rule.function.__module__
            found.setdefault(key, (rule, []))[1].append(name)
    return [
        _record(rule.name, rule.function, pattern=rule.pattern, passes=names)
        for _, (rule, names) in sorted(found.items())
    ]


def operations() -> list[Record]:
    """Beside it: `dialect`, `operands`, `results`, `properties`, and of `graph` the operators.

    Operands and results are names with how many there are of each: "one", "optional", "any".
    `onnx` and `tflite` name the operators that it models; `numerics` those in which the NPU has a
    form of it.
    """
    from xdsl.irdl import IRDLOperation

    return sorted(
        (
            _operation(dialect, op)
            for dialect, (_, operations_, _) in _dialects().items()
            for op in operations_
            if issubclass(op, IRDLOperation)  # xDSL's stand-in for unknown ones is none
        ),
        key=lambda record: record["name"],
    )


def _operation(dialect: str, op: type[Any]) -> Record:
    from furiosa_ir.dialects.graph.base import GraphOp

    definition = op.get_irdl_definition()
    made = _record(
        op.name,
        op,
        dialect=dialect,
        operands={name: _count(d) for name, d in definition.operands},
        results={name: _count(d) for name, d in definition.results},
        properties=_properties(op),
    )
    if issubclass(op, GraphOp):
        from furiosa_ir.lowering.registry import EXACT, LITERT, find_lowering

        made["onnx"], made["tflite"] = list(op.ONNX), list(op.TFLITE)
        made["numerics"] = [n for n in (EXACT, LITERT) if find_lowering(op, n) is not None]
    return made


def _count(definition: object) -> str:
    kind = type(definition).__name__
    return "any" if kind.startswith("Var") else "optional" if kind.startswith("Opt") else "one"


def _properties(op: type[IRDLOperation]) -> list[Record]:
    from xdsl.irdl.operations import OptPropertyDef

    defaults = getattr(op, "DEFAULTS", {})
    return [
        {
            "name": name,
            "is_optional": isinstance(definition, OptPropertyDef) or name in defaults,
        }
        for name, definition in op.get_irdl_definition().properties.items()
    ]


def dialects() -> list[Record]:
    """Beside it: `operations`, `attributes` and types, by name."""
    return [
        _record(
            name,
            None,
            module=module,
            description=inspect.getdoc(_module(module)) or "Upstream MLIR's, as xDSL has it.",
            operations=sorted(op.name for op in operations_),
            attributes=sorted(a.name for a in attributes),
        )
        for name, (module, operations_, attributes) in sorted(_dialects().items())
    ]


def _dialects() -> dict[str, tuple[str, list[type[Any]], list[type[Any]]]]:
    """Dialect -> its module, operations and attributes."""
    from furiosa_ir.ir.context import load_dialect
    from furiosa_ir.ir.extensions import dialects as known

    loaded = {name: (target, load_dialect(target)) for name, target in known().items()}
    return {
        name: (target.partition(":")[0], list(dialect.operations), list(dialect.attributes))
        for name, (target, dialect) in loaded.items()
    }


def _module(name: str) -> object:
    import importlib

    return importlib.import_module(name)


def targets() -> list[Record]:
    """Beside it: `backend`, and `is_default`."""
    from furiosa_ir.backends import backends, default_backend

    default = default_backend().default_target
    return [
        _record(name, None, module=b.module, description=text, backend=b.name)
        | {"is_default": name == default}
        for b in backends()
        for name, text in b.targets.items()
    ]


def hints() -> list[Record]:
    """Why an operator stays on the host. Beside it: `number` and `sentence`, with placeholders."""
    from furiosa_ir import hints as declared
    from furiosa_ir.backends import default_backend

    made: list[Record] = []
    for make in declared.REASONS:
        words = ["OPERATOR", "REASON"][: len(inspect.signature(make).parameters)]
        hint = make(*words).called(words[0], default_backend().title)
        made.append(
            _record(
                make.__name__.replace("_", "-"), make, number=hint.number, sentence=hint.sentence
            )
        )
    return made


def backends_() -> list[Record]:
    """Beside it: `targets`, `levels` of IR in order, and the `container` of its programs."""
    from furiosa_ir.backends import backends

    return [
        _record(
            b.name,
            None,
            module=b.module,
            description=inspect.getdoc(_module(b.module)) or b.title,
            targets=list(b.targets),
            levels=list(b.levels),
            container=b.container.name,
        )
        for b in backends()
    ]


def _record(
    name: str, declared: object, *, module: str = "", description: str = "", **more: Any
) -> Record:
    if declared is not None:
        module = f"{getattr(declared, '__module__', '')}.{getattr(declared, '__qualname__', '')}"
        description = inspect.getdoc(declared) or ""
        if description.startswith(f"{getattr(declared, '__name__', '')}("):
            description = ""  # a dataclass's signature: nobody wrote one
    summary = description.split("\n\n")[0].replace("\n", " ")
    return {"name": name, "summary": summary, "module": module, **more, "description": description}


KINDS: dict[str, Callable[[], list[Record]]] = {
    "passes": passes,
    "rules": rules,
    "ops": operations,
    "dialects": dialects,
    "targets": targets,
    "hints": hints,
    "backends": backends_,
}
"""Kind -> what makes its records."""
