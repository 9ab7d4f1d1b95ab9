"""Operations in one line, with the names that they have in their module's text."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from furiosa_ir.ir.text_printer import Style, operation_texts

_STYLE = Style(locations=False, elide=True)


def module_of(op: Operation) -> ModuleOp:
    """The module that an operation is in."""
    while not isinstance(op, ModuleOp):
        parent = op.parent_op()
        assert parent is not None
        op = parent
    return op


def operation_lines(ops: Sequence[Operation]) -> list[str]:
    """Operations of one module, each in a line, without what is inside of them."""
    if not ops:
        return []
    texts = operation_texts(module_of(ops[0]), _STYLE)
    return [_line(op, texts.operation(op)) for op in ops]


def _line(op: Operation, text: str) -> str:
    if op.regions:
        text = text.partition("{\n")[0]
    return " ".join(text.split())
