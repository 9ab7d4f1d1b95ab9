"""`furiosa-opt --list-passes`: passes, options and rules, from what the code declares."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from furiosa_ir.backends import backends, look_for_installed
from furiosa_ir.ir.passes import Pass, all_passes, pass_options


def list_passes() -> str:
    """Every pass with its options, documentation and rules; then each backend's phases, targets."""
    look_for_installed()
    lines: list[str] = []
    for cls in all_passes().values():
        lines.extend(_pass_lines(cls))
    for backend in backends():
        lines.append(f"phases of the pipeline '{backend.name}', for --from and --to:")
        for phase in backend.pipeline().phases:
            lines.append(f"  {phase.name:<10} {phase.description}")
            lines.append(f"  {'':<10} {','.join(str(p) for p in phase.passes)}")
        lines.append(f"targets of the pipeline '{backend.name}', for --target-npu:")
        lines.extend(f"  {name:<10} {text}" for name, text in backend.targets.items())
    return "\n".join(lines)


def _pass_lines(cls: type[Pass]) -> Iterator[str]:
    yield cls.name
    yield textwrap.indent(cls.description(), "    ", lambda _: True).rstrip()
    options = pass_options(cls)
    if options:
        yield "    options:"
        for option in options:
            default = "required" if option.default is None else f"default {option.default or '-'}"
            yield f"      {option.name}: {option.type} ({default})"
    rules = cls.rule_list()
    if rules:
        yield "    rules:"
        for rule in rules:
            yield f"      {rule.name}: {rule.pattern}"
            yield f"          {rule.description.partition(chr(10))[0]}"
    yield ""
