"""docs/python-api.md: every public name, from its signature and docstring."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from enum import Enum
from types import ModuleType
from typing import Any

import furiosa_ir
from furiosa_ir.tools.command_reference import linked

VENDOR_MODULES = (
    "furiosa.runtime.session",
    "furiosa.runtime.sync",
    "furiosa.runtime",
    "furiosa.runtime.errors",
)

_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):$")
_ENTRY = re.compile(r"^    (\S[^:]*?): (.*)$")


def python_page() -> Iterator[str]:
    """The names of `furiosa_ir`, then those of the vendor's modules."""
    yield "# Python: names\n"
    yield (
        "Every public name with its signature and what its docstring says; `api.md` has them by "
        "purpose, with examples, and what stays as it is. xDSL's own classes (`Module`, `Context`) "
        "are documented there."
    )
    yield "\n## furiosa_ir\n\n`import furiosa_ir as fi`"
    documented: set[int] = set()
    for name in furiosa_ir.__all__:
        yield from _of(name, getattr(furiosa_ir, name), "furiosa_ir", documented)
    for path in VENDOR_MODULES:
        module = importlib.import_module(path)
        yield f"\n## {path}\n\n{described(inspect.getdoc(module) or '')}"
        for name in module.__all__:
            yield from _of(name, getattr(module, name), path, documented)


def _of(name: str, value: Any, where: str, documented: set[int]) -> Iterator[str]:
    """A name's section; nothing of modules, of what xDSL documents, and of what stood above."""
    owner = getattr(value, "__module__", "")
    ours = isinstance(owner, str) and owner.startswith("furiosa")
    if isinstance(value, ModuleType) or not ours or id(value) in documented:
        return
    documented.add(id(value))
    yield f"\n### {name} {{ #{where}.{name} }}\n"
    if not callable(value):
        yield f"`{value}`"
        return
    yield f"```text\n{_form(name, value)}\n```\n"
    yield described(inspect.getdoc(value) or "")
    if inspect.isclass(value):
        yield from _members(name, value)


def _form(name: str, value: Callable[..., Any]) -> str:
    """How something is called; an enumeration's members, which each Python looks up by others."""
    if inspect.isclass(value) and issubclass(value, Enum):
        return "\n".join(f"{name}.{member}" for member in value.__members__)
    return name + signature(value)


def _members(name: str, cls: type) -> Iterator[str]:
    for member, value in vars(cls).items():
        if member.startswith("_") or not getattr(value, "__doc__", None):
            continue  # or its base says it
        if isinstance(value, property):
            yield f"\n#### {name}.{member}\n\n{described(inspect.getdoc(value) or '')}"
        elif inspect.isfunction(value) or isinstance(value, classmethod | staticmethod):
            function = getattr(cls, member)
            yield f"\n#### {name}.{member}\n"
            yield f"```text\n{member}{signature(function, bound=True)}\n```\n"
            yield described(inspect.getdoc(function) or "")


def signature(function: Callable[..., Any], *, bound: bool = False) -> str:
    """`(a, b=1, *, c=None)`: annotations are left out, which the docstring's words say better."""
    parameters = list(inspect.signature(function).parameters.values())
    if bound and parameters and parameters[0].name == "self":
        parameters = parameters[1:]
    bare = [p.replace(annotation=inspect.Parameter.empty, default=_shown(p)) for p in parameters]
    return str(inspect.Signature(bare))


class _AsItReads:
    """A default whose representation has no address and no module in it."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        plain = self.value is None or self.value == () or isinstance(self.value, int | float | str)
        return repr(self.value) if plain else "..."


def _shown(parameter: inspect.Parameter) -> object:
    if parameter.default is inspect.Parameter.empty:
        return parameter.default
    return _AsItReads(parameter.default)


def described(doc: str) -> str:
    """A docstring in Markdown: its sections as lists."""
    lines: list[str] = []
    in_section = False
    for line in doc.splitlines():
        if found := _SECTION.match(line):
            in_section = True
            lines += [f"**{found[1]}**", ""]
        elif in_section and (found := _ENTRY.match(line)):
            lines.append(f"* `{found[1]}`: {found[2]}")
        elif in_section and line.startswith("    "):
            lines.append(f"  {line.strip()}" if lines[-1].startswith(("*", "  ")) else line.strip())
        else:
            in_section = in_section and not line
            lines.append(line)
    return linked("\n".join(lines))
