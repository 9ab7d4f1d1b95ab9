"""TOSA as text in generic form, with constants in line: what tools that know no parameters read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from xdsl.dialects.builtin import FunctionType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.printer import Printer

from furiosa_ir.backends.mlir.dialect import type_of
from furiosa_ir.ir.constants import INLINE_ELEMENTS, BlobAttr, Constant
from furiosa_ir.ir.segments import body_of


def function_text(function: FuncOp) -> str:
    """A public function in generic form, without a line end behind it."""
    body = body_of(function)
    names: dict[SSAValue, str] = {a: f"%arg{i}" for i, a in enumerate(body.args)}
    arguments = ", ".join(f"{names[a]}: {_text(a.type)}" for a in body.args)
    signature = FunctionType.from_lists(
        [a.type for a in body.args], list(function.function_type.outputs)
    )
    held = f'function_type = {_text(signature)}, sym_name = "{function.sym_name.data}"'
    held = f'{held}, sym_visibility = "public"'
    return "\n".join(
        [
            f'  "func.func"() <{{{held}}}> ({{',
            f"  ^bb0({arguments}):",
            *(f"    {_operation(op, names)}" for op in body.ops),
            "  }) : () -> ()",
        ]
    )


def _operation(op: Operation, names: dict[SSAValue, str]) -> str:
    for result in op.results:
        names[result] = f"%{len(names)}"
    results = ", ".join(names[r] for r in op.results)
    operands = ", ".join(names[v] for v in op.operands)
    given = ", ".join(_text(v.type) for v in op.operands)
    made = ", ".join(_text(r.type) for r in op.results)
    held = ", ".join(f"{name} = {_text(value)}" for name, value in sorted(op.properties.items()))
    properties = f" <{{{held}}}>" if held else ""
    type_ = f"({given}) -> {made if len(op.results) == 1 else f'({made})'}"
    begin = f"{results} = " if results else ""
    return f'{begin}"{op.name}"({operands}){properties} : {type_}'


def _text(attribute: Attribute) -> str:
    if isinstance(attribute, BlobAttr):
        return f"dense<{_elements(attribute.data)}> : {_text(type_of(attribute.data))}"
    written = io.StringIO()
    Printer(written).print_attribute(attribute)
    return written.getvalue()


def _elements(constant: Constant) -> str:
    """Few elements as numbers, more as the hexadecimal digits of their bytes."""
    array = constant.array
    if constant.size > INLINE_ELEMENTS:
        return f'"0x{array.astype(array.dtype.newbyteorder("<")).tobytes().hex().upper()}"'
    return "".join(_nested(array.tolist()))


def _nested(values: Any) -> Iterator[str]:
    if isinstance(values, int):
        yield str(values)
        return
    yield "["
    for i, value in enumerate(values):
        yield ", " if i else ""
        yield from _nested(value)
    yield "]"
