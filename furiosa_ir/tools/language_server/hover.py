"""What a name or an operation is, as Markdown."""

from __future__ import annotations

from functools import cache

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation, SSAValue

from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.errors import readable
from furiosa_ir.ir.location import layer_name
from furiosa_ir.reports.units import format_value
from furiosa_ir.tools.catalogue import Record, records
from furiosa_ir.tools.language_server.completion import is_run_line
from furiosa_ir.tools.language_server.document import Document
from furiosa_ir.tools.language_server.text_index import Name, Token

_LONGEST = 400


def hover(document: Document, offset: int) -> tuple[Token, str] | None:
    """What there is to say of the word at a place, and which word it is; None if nothing.

    Args:
        document: the text.
        offset: the place, in characters from the beginning.
    """
    token = document.index.token_at(offset)
    if token is None:
        return None
    if token.kind == "comment":
        return _of_run_line(token, offset)
    name = document.index.name_at(offset)
    if name is not None:
        text = _of_name(document, name)
        return None if text is None else (token, text)
    record = _operations().get(token.text.strip('"'))
    if record is None:
        return None
    return token, "\n\n".join([_of_record(record), *_of_operation(document, token)])


@cache
def _operations() -> dict[str, Record]:
    return {record["name"]: record for record in records("ops")}


@cache
def _passes() -> dict[str, Record]:
    return {record["name"]: record for record in records("passes")}


def _of_record(record: Record) -> str:
    """The documentation of an operation or a pass."""
    lines = [f"**`{record['name']}`**"]
    if record["description"]:
        lines.append(_with_code(record["description"]))
    for key, title in (("onnx", "ONNX"), ("tflite", "TFLite"), ("numerics", "on the NPU")):
        if record.get(key):
            lines.append(f"{title}: {', '.join(record[key])}")
    if "options" in record:
        options = [
            f"`{o['name']}`: {o['type']}" + ("" if o["default"] is None else f" = {o['default']}")
            for o in record["options"]
        ]
        lines += [f"Options: {', '.join(options)}"] if options else []
        lines += [f"In {', '.join(record['phases'])}"] if record["phases"] else []
    return "\n\n".join(lines)


def _with_code(text: str) -> str:
    """Docstrings indent code, as Markdown does."""
    return text.replace("<", "&lt;") if "\n    " not in text else text


def _of_operation(document: Document, token: Token) -> list[str]:
    """What the very operation is: its layer, what it makes, what it costs."""
    op = document.operation_at(token.begin)
    if op is None or op.name != token.text.strip('"'):
        return []
    lines: list[str] = []
    layer = layer_name(op)
    if layer:
        lines.append(f"layer `{_plain(layer)}`")
    lines += [_of_value(result) for result in op.results]
    cost = _cost(op)
    return ["---", *lines, *([cost] if cost else [])]


def _cost(op: Operation) -> str:
    macs = getattr(op, "macs", None)
    count = macs() if callable(macs) else 0
    return (
        f"{format_value(count, 'count')} multiply-accumulates"
        if isinstance(count, int) and count
        else ""
    )


def _of_value(value: SSAValue) -> str:
    text = f"`{_plain(str(value.type))}`"
    q = quantization_of(value) if isinstance(value.type, TensorType) else None
    if q is None:
        return text
    low, high = q.storage_range
    if q.axis is not None:
        return f"{text}, {len(q.scales)} scales along dimension {q.axis}"
    least, most = ((end - q.zero_point) * q.scale for end in (low, high))
    return f"{text}: real = {q.scale:.6g} * (stored - {q.zero_point}), {least:.6g} to {most:.6g}"


def _of_name(document: Document, name: Name) -> str | None:
    """What a value, a symbol or an alias is."""
    if name.definition is None:
        return None
    uses = f"{len(name.uses)} use{'s' * (len(name.uses) != 1)}"
    if name.kind != "value":
        end = document.text.find("\n", name.statement)
        line = document.text[name.statement : end if end >= 0 else None]
        return f"```mlir\n{_plain(line.strip(), 1000)}\n```\n\n{uses}"
    value = document.value_of(name)
    if value is None:
        return f"`{name.text}`, {uses}"
    owner = value.owner
    lines = [f"`{name.text}`: {_of_value(value)}"]
    if isinstance(owner, Operation):
        lines.append(f"made by `{owner.name}`")
        layer = layer_name(owner)
        lines += [f"layer `{_plain(layer)}`"] if layer else []
    return "\n\n".join([*lines, uses])


def _of_run_line(token: Token, offset: int) -> tuple[Token, str] | None:
    """A pass in `// RUN: furiosa-opt %s -p PASSES`."""
    if not is_run_line(token.text):
        return None
    at = offset - token.begin
    begin, end = at, at
    while begin > 0 and _is_of_pass(token.text[begin - 1]):
        begin -= 1
    while end < len(token.text) and _is_of_pass(token.text[end]):
        end += 1
    record = _passes().get(token.text[begin:end])
    if record is None:
        return None
    word = Token("word", token.text[begin:end], token.begin + begin, token.begin + end)
    return word, _of_record(record)


def _is_of_pass(character: str) -> bool:
    return character.isalnum() or character in "-_"


def _plain(text: str, longest: int = _LONGEST) -> str:
    """Text of a file within code: nothing that ends it."""
    return readable(text, longest).replace("`", "'")
