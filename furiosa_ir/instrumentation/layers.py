"""One layer of a network through the levels: its operations alone, and what they touch.

    // layer stem in @npu_0
    // %image : tensor<1x8x8x1xi8>, an argument
    %stem = ftensor.conv %image, %stem_weight, %stem_bias {...} : tensor<1x8x8x16xi32>
    %stem_1 = ftensor.rescale %stem, ... : tensor<1x8x8x16xi8>
    // %stem_1 : tensor<1x8x8x16xi8>, to ftensor.conv of layer depthwise

An operation is a layer's if its location names the layer; constants that it reads are shown with
it. A kernel is shown whole, with the names of its layers above it, if it is of others, too.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.ir.location import layer_name, layer_names
from furiosa_ir.ir.text_names import label_of
from furiosa_ir.ir.text_printer import OperationTexts, Style, operation_texts

_MOST_READERS = 4
"""Readers of a value that are listed by name."""
_LONGEST = 240
"""Letters of layers' names in a comment."""


@dataclass(frozen=True)
class LayerFilter:
    """Which layers are looked at.

    Attributes:
        patterns: names as locations have them, or one of those that LiteRT's converter joins by
            `;`, or as IR text calls the layer's value; `*`, `?` and `[...]` as in file names.
    """

    patterns: tuple[str, ...]

    def matches(self, layers: Iterable[str]) -> bool:
        """Whether one of the layers is looked at."""
        names = tuple(layers)
        return any(_fits(names, pattern) for pattern in self.patterns)

    def check(self, module: ModuleOp) -> None:
        """Refuses a pattern that fits no layer of a module.

        Raises:
            FuriosaError: it does, with the nearest name.
        """
        known = {layer_names(op) for op in module.walk()}
        for pattern in self.patterns:
            if not any(_fits(names, pattern) for names in known):
                names = sorted({name for names in known for name in names})
                close = difflib.get_close_matches(pattern, names, n=1, cutoff=0.5)
                hint = f"did you mean '{close[0]}'?" if close else None
                raise FuriosaError(f"no operation is of a layer '{pattern}'", hint=hint)

    def __str__(self) -> str:
        return ", ".join(self.patterns)


@lru_cache(maxsize=65536)
def _fits(layers: tuple[str, ...], pattern: str) -> bool:
    """Whether a pattern fits one of an operation's layers, or what its value is called."""
    names = (*layers, *(part for layer in layers for part in layer.split(";")), label_of(layers))
    return any(name == pattern or fnmatchcase(name, pattern) for name in names if name)


def layer_texts(module: ModuleOp, layers: LayerFilter, style: Style) -> dict[str, str]:
    """Symbol of a function -> the text of the layers' operations in it; "" outside of any.

    Functions without such operations are left out.
    """
    texts = operation_texts(module, style)
    shown: dict[str, str] = {}
    for top in module.ops:
        symbol = top.sym_name.data if isinstance(top, FuncOp) else ""
        chosen = list(_chosen(top, layers))
        if chosen:
            text = "\n".join(_lines(top, chosen, layers, texts))
            types, others = texts.definitions(text)
            text = "\n".join([*types, text, *others])
            shown[symbol] = f"{shown[symbol]}\n{text}" if symbol in shown else text
    return shown


def _chosen(op: Operation, layers: LayerFilter) -> Iterator[Operation]:
    """The outermost operations of the layers, in order."""
    if not isinstance(op, FuncOp) and layers.matches(layer_names(op)):
        yield op
        return
    for region in op.regions:
        for block in region.blocks:
            for inner in block.ops:
                yield from _chosen(inner, layers)


def _lines(
    function: Operation, chosen: Sequence[Operation], layers: LayerFilter, texts: OperationTexts
) -> Iterator[str]:
    if isinstance(function, FuncOp):
        yield f"// in @{readable(function.sym_name.data)}"
    inside = set(chosen)
    for op in chosen:
        inside.update(owner for v in op.operands if (owner := _data_of(v)) is not None)
    seen: set[SSAValue] = set()
    for op in function.walk():
        if op not in inside:
            continue
        for operand in op.operands:
            if operand not in seen and operand.owner not in inside:
                seen.add(operand)
                yield f"// {texts.typed_value(operand)}, {_origin(operand)}"
        names = layer_names(op) if op.operands else ()
        if any(not layers.matches([name]) for name in names):
            yield readable(f"// layers {', '.join(names)}", _LONGEST)
        yield texts.operation(op)
    for op in chosen:
        for result in op.results:
            readers = [use.operation for use in result.uses if use.operation not in inside]
            if readers:
                yield f"// {texts.typed_value(result)}, to {_readers(readers)}"


def _data_of(value: SSAValue) -> Operation | None:
    """The operation that makes a value of no other: a constant."""
    owner = value.owner
    return owner if isinstance(owner, Operation) and not owner.operands else None


def _origin(value: SSAValue) -> str:
    owner = value.owner
    return f"of {_described(owner)}" if isinstance(owner, Operation) else "an argument"


def _readers(readers: Sequence[Operation]) -> str:
    # Uses have no order of their own.
    named = sorted(dict.fromkeys(_described(reader) for reader in readers))
    more = f" and {len(named) - _MOST_READERS} more" if len(named) > _MOST_READERS else ""
    return f"{', '.join(named[:_MOST_READERS])}{more}"


def _described(op: Operation) -> str:
    if isinstance(op, ReturnOp):
        return "the function's results"
    layer = readable(layer_name(op), _LONGEST)
    return f"{op.name} of layer {layer}" if layer else op.name
