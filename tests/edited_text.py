"""Drawn edits of IR text, and what must come of each: a refusal, or a program that does as it says.

    python -m tests.edited_text [--edits 300] [--level graph ftensor warboy] [--seed 0]

An edit changes what a person would: a number of an attribute, an extent or element of a type, an
attribute that goes, the order of operands, a quantised type wherever it stands. `furiosa compile`
must refuse what `furiosa-opt` refuses; of what it accepts, the simulated program must compute what
the interpreter makes of the text, or, where the text is commands already, have these very commands.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.commands.command_operations import command_op
from furiosa_ir.backends.warboy.dialect.attributes import LayersAttr
from furiosa_ir.backends.warboy.dialect.commands import CommandOp
from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.comparison import Coverage
from furiosa_ir.compiler import compile_source
from furiosa_ir.errors import ExecutionFailure, FuriosaError, readable
from furiosa_ir.interpreter import Interpreter, run_module
from furiosa_ir.interpreter.elements import numpy_dtype
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.ir.text import read_module, write_module
from furiosa_ir.lowering.operation import lower_operation
from furiosa_ir.program import Program
from furiosa_ir.runtime import session
from furiosa_ir.verification.commands import check_same_commands, program_of
from tests.conftest import DIGITS

LEVELS = ("graph", "ftensor", "warboy")
_OPERATION = re.compile(r'^\s*(?:%[^"]*= )?"?(?:graph|ftensor|warboy)\.', re.MULTILINE)
_NUMBER = re.compile(r"(?<![\w.#%@x])-?\d+(?:\.\d+(?:e[+-]\d+)?)?(?![\w.x])")
_EXTENT = re.compile(r"(?<=[<x])\d+(?=x)")
_ELEMENT = re.compile(r"(?<=x)(?:u?i8|i32|i48|f32)(?=[>,])")
_ATTRIBUTE = re.compile(r"\b[a-z_]+ = (?:\[[^\]]*\]|\([^()]*\)|\"[^\"]*\"|-?[\d.e+-]+)(?:, )?")
_QUANTISED = re.compile(r"!quant\.uniform<[^>]*>")
_QUANTISED_NUMBER = re.compile(r"(?<=[:, {])-?\d+(?:\.\d+(?:e[+-]?\d+)?)?(?=[:,>}])")
_OPERANDS = re.compile(r"(?<= )%\w+(?:, %\w+)+(?! = )")
_CONTINUED = re.compile(r"\n {6,}(?=\S)")


@dataclass(frozen=True)
class Outcome:
    """What came of an edit.

    Attributes:
        kind: "refused" (by both), "computes" (what the text says, or has its commands), "refused
            later" (furiosa-opt takes it, a pass or the checker does not), "no oracle" (nothing
            evaluates the text); or a fault: "accepted" (which furiosa-opt refuses), "wrong",
            "crash".
        line: the edited line.
        reason: the sentence of a refusal, or what is wrong.
    """

    kind: str
    line: str
    reason: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether it must not be."""
        return self.kind in ("accepted", "wrong", "crash")


def edit(text: str, rng: random.Random) -> tuple[str, str]:
    """The text with one operation's line edited, and that line."""
    lines = _CONTINUED.sub(" ", text).splitlines()
    candidates = [i for i, line in enumerate(lines) if _OPERATION.match(line)]
    types = sorted(set(_QUANTISED.findall(text)))
    for _ in range(200):
        i = rng.choice(candidates)
        if types and rng.random() < 0.25:
            old = rng.choice(types)
            new = _replaced(old, _QUANTISED_NUMBER, rng, lambda n: _changed_number(n, rng))
            if new is None or new == old:
                continue
            return text.replace(old, new), f"{old} -> {new}"
        change = rng.choice([_number, _number, _number, _extent, _element, _drop, _swap])
        changed = change(lines[i], rng)
        if changed is not None and changed != lines[i]:
            return "\n".join([*lines[:i], changed, *lines[i + 1 :]]) + "\n", changed
    raise AssertionError("nothing to edit")


def _replaced(
    line: str, pattern: re.Pattern[str], rng: random.Random, new: Callable[[str], str]
) -> str | None:
    found = list(pattern.finditer(line))
    if not found:
        return None
    match = rng.choice(found)
    return line[: match.start()] + new(match[0]) + line[match.end() :]


def _number(line: str, rng: random.Random) -> str | None:
    return _replaced(line, _NUMBER, rng, lambda old: _changed_number(old, rng))


def _changed_number(old: str, rng: random.Random) -> str:
    if "." in old:
        return f"{float(old) * rng.choice((2.0, -1.0, 0.5)) + rng.choice((0.0, 1.0)):e}"
    return str(rng.choice((int(old) + 1, int(old) - 1, 0, -1, 2 * int(old), 7)))


def _extent(line: str, rng: random.Random) -> str | None:
    return _replaced(
        line, _EXTENT, rng, lambda old: str(rng.choice((int(old) + 1, 1, 2 * int(old))))
    )


def _element(line: str, rng: random.Random) -> str | None:
    return _replaced(line, _ELEMENT, rng, lambda _: rng.choice(("i8", "ui8", "i32", "i48", "f32")))


def _drop(line: str, rng: random.Random) -> str | None:
    return _replaced(line, _ATTRIBUTE, rng, lambda _: "")


def _swap(line: str, rng: random.Random) -> str | None:
    def new(old: str) -> str:
        names = old.split(", ")
        rng.shuffle(names)
        return ", ".join(names)

    return _replaced(line, _OPERANDS, rng, new)


@cache
def text_of(network: Path, level: str) -> tuple[str, bytes | None]:
    """A network's text at a level, and its file of constants."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "n.mlir")
        write_module(compile_source(network, target_ir=level).module, path)
        beside = path.with_suffix(".safetensors")
        return path.read_text(), beside.read_bytes() if beside.exists() else None


def try_edit(network: Path, level: str, rng: random.Random, folder: Path) -> Outcome:
    """Edits the network's text at a level and follows it to its end."""
    text, constants = text_of(network, level)
    edited, line = edit(text, rng)
    line = readable(line.strip(), 300)
    path = folder / "edited.mlir"
    path.write_text(edited)
    if constants is not None:
        path.with_suffix(".safetensors").write_bytes(constants)
    refusal = None
    try:
        read_module(path)
    except FuriosaError as error:
        refusal = str(error)
    try:
        program = compile_source(path).enf
    except FuriosaError as error:
        return Outcome("refused" if refusal else "refused later", line, str(error))
    except Exception as error:  # noqa: BLE001  # that is what is looked for
        return Outcome("crash", line, f"{type(error).__name__}: {error}")
    assert program is not None
    if refusal:
        return Outcome("accepted", line, refusal)
    return _compared(path, program, level, line, rng)


def _compared(path: Path, program: bytes, level: str, line: str, rng: random.Random) -> Outcome:
    module = read_module(path)
    random_ = np.random.default_rng(rng.randrange(1 << 32))
    arrays = [_sample(a, random_) for a in Interpreter(module).function("main").body.block.args]
    try:
        with session.create(program) as running:
            got = [t.numpy() for t in running.run(arrays)]
    except FuriosaError as error:
        return Outcome("refused later", line, str(error))
    except Exception as error:  # noqa: BLE001
        return Outcome("crash", line, f"{type(error).__name__}: {error}")
    if level == "warboy":
        other = _other_command(module, read_program(program))
        return Outcome("wrong", line, other) if other else Outcome("computes", line)
    try:
        meant = run_module(module, arrays, lower_operation=lower_operation).values()
    except ExecutionFailure as error:
        return Outcome("no oracle", line, str(error))
    except Exception as error:  # noqa: BLE001
        return Outcome("crash", line, f"interpreter: {type(error).__name__}: {error}")
    for want, have in zip(meant, got, strict=True):
        if have.shape != want.shape or not np.allclose(have, want, 1e-5, 1e-6, equal_nan=True):
            far = np.abs(have.astype(float) - want).max() if have.shape == want.shape else "shape"
            return Outcome("wrong", line, f"differs by {far}")
    return Outcome("computes", line)


def _other_command(module: ModuleOp, program: Program) -> str:
    """The first command of a program that is not the text's; "" if there is none."""
    check_same_commands(program, program_of(module), Coverage())
    for segment in program.segments:
        (function,) = (
            f for f in module.ops if isinstance(f, FuncOp) and f.sym_name.data == segment.name
        )
        ops = [op for op in function.body.block.ops if isinstance(op, CommandOp)]
        if not isinstance(segment, NpuSegment):
            continue
        numbers: dict[SSAValue, int] = {op.token: i for i, op in enumerate(ops)}
        for op, command in zip(ops, segment.commands, strict=True):
            # The layers of a program are those of all its segments.
            names = function.attributes["warboy.layers"]
            assert isinstance(names, LayersAttr)
            (number,) = (value for name, value in op.command.data.fields if name == "layer")
            layer = program.layers[command.layer].name
            again = command_op(replace(command, layer=number), []).command
            waits = tuple(numbers[w] for w in op.waits)
            if (again, layer, command.waits) != (op.command, names.data.rows[number].name, waits):
                return f"{command} of {op}"
    return ""


def _sample(argument: Any, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    dtype, shape = numpy_dtype(element_of(argument)), shape_of(argument)
    if dtype.kind == "f":
        return rng.uniform(-2, 2, shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, shape).astype(dtype)


NETWORKS = (DIGITS / "digits_qdq_int8.onnx", DIGITS / "digits_int8.tflite")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws edits, prints what came of them and every fault; 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=300, help="of each network and level")
    parser.add_argument("--level", nargs="*", default=list(LEVELS))
    parser.add_argument("--networks", nargs="*", type=Path, default=list(NETWORKS))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        for network in given.networks:
            for level in given.level:
                counts: Counter[str] = Counter()
                for i in range(given.edits):
                    rng = random.Random(f"{given.seed}/{i}/{network.name}/{level}")
                    outcome = try_edit(network, level, rng, Path(folder))
                    counts[outcome.kind] += 1
                    faults += outcome.is_fault
                    if outcome.is_fault or outcome.kind == "refused later":
                        print(f"  {outcome.kind}: {outcome.line}\n    {outcome.reason[:300]}")
                print(f"{network.name} {level}: {dict(counts)}", flush=True)
    return int(faults > 0)


if __name__ == "__main__":
    raise SystemExit(main())
