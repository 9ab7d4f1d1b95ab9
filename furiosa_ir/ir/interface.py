"""What a module says of itself in attributes: its framework, the names and places of its parts.

Importers write all of it. Text may leave names out, as MLIR does, or say nonsense.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FloatAttr,
    IntegerAttr,
    ModuleOp,
    StringAttr,
)
from xdsl.dialects.func import CallOp, FuncOp
from xdsl.ir import Attribute

from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.segments import DTYPE, HOST, NAME, NPU, PLACEMENT, SCALE, SOURCE, ZERO_POINT

FRAMEWORKS = ("onnx", "tflite")
_BOUNDARY: Mapping[str, type[Attribute]] = {
    DTYPE: StringAttr,
    SCALE: FloatAttr,
    ZERO_POINT: IntegerAttr,
}
"""What an argument or result of an NPU segment says of the quantised tensor that it stands for."""


def complete_interface(module: ModuleOp) -> None:
    """Checks the attributes that name and place things, and gives names to what has none.

    Arguments and results without `graph.name` are called `input_0`, `output_0` and so on, as
    `furiosa run` calls them; a module without `graph.source` is of the framework that its
    operators come from, or ONNX.

    Raises:
        VerificationFailure: an attribute is of the wrong kind, or only some of what belongs
            together is there.
    """
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    source = module.attributes.setdefault(SOURCE, StringAttr(_framework(module)))
    if _text(source) not in FRAMEWORKS:
        raise VerificationFailure(
            f"{SOURCE} is {_shown(source)}", hint='it is "onnx" or "tflite", the framework'
        )
    for function in functions:
        name_boundary(function)
    _check_placements(functions)


def name_boundary(function: FuncOp) -> None:
    """Gives a function's arguments and results names where they have none.

    Raises:
        VerificationFailure: an attribute of one is of the wrong kind.
    """
    inputs, outputs = function.function_type.inputs, function.function_type.outputs
    function.arg_attrs = _named(function, function.arg_attrs, len(inputs), "input")
    function.res_attrs = _named(function, function.res_attrs, len(outputs), "output")


def _framework(module: ModuleOp) -> str:
    for op in module.walk():
        origin = op.properties.get("origin")
        data = getattr(origin, "data", None)
        if isinstance(data, tuple) and data and data[0] in FRAMEWORKS:
            return str(data[0])  # pyright: ignore[reportUnknownArgumentType]
    return FRAMEWORKS[0]


def _text(attribute: Attribute | None) -> str | None:
    return attribute.data if isinstance(attribute, StringAttr) else None


def _shown(attribute: Attribute | None) -> str:
    return "missing" if attribute is None else f"{attribute}"


def _named(
    function: FuncOp, given: ArrayAttr[DictionaryAttr] | None, count: int, what: str
) -> ArrayAttr[DictionaryAttr] | None:
    """The attributes of a function's arguments or results, each with a name."""
    entries = list(given or ()) or [DictionaryAttr({})] * count
    where = f"of @{function.sym_name.data}"
    if len(entries) != count:
        raise VerificationFailure(
            f"there are attributes for {len(entries)} {what}s {where}, which has {count}"
        )
    for i, entry in enumerate(entries):
        name = entry.data.get(NAME, StringAttr(f"{what}_{i}"))
        if not _text(name):
            raise VerificationFailure(
                f"{NAME} of {what} {i} {where} is {_shown(name)}", hint="a name is a string"
            )
        _check_boundary(entry.data, f"{what} {i} {where}")
        entries[i] = DictionaryAttr({**entry.data, NAME: name})
    return ArrayAttr(entries) if entries else None


def _check_boundary(entry: Mapping[str, Attribute], where: str) -> None:
    for key, kind in _BOUNDARY.items():
        value = entry.get(key)
        if value is not None and not isinstance(value, kind):
            raise VerificationFailure(f"{key} of {where} is {_shown(value)}")
    if (SCALE in entry) != (ZERO_POINT in entry):
        raise VerificationFailure(f"{where} has a scale or a zero point without the other")
    if SCALE in entry and DTYPE not in entry:
        raise VerificationFailure(f"{DTYPE} of {where} is missing")
    dtype = _text(entry.get(DTYPE))
    if dtype is not None and dtype not in _DTYPES:
        raise VerificationFailure(f"{DTYPE} of {where} is '{dtype}'")
    scale, zero_point = entry.get(SCALE), entry.get(ZERO_POINT)
    if isinstance(scale, FloatAttr) and not 0 < scale.value.data < float("inf"):
        raise VerificationFailure(f"{SCALE} of {where} is {scale.value.data}")
    if isinstance(zero_point, IntegerAttr) and dtype is not None:
        number, kind = zero_point.value.data, np.dtype(dtype)
        limits = np.iinfo(kind) if kind.kind in "iu" else None
        if limits is None or not limits.min <= number <= limits.max:
            raise VerificationFailure(f"{ZERO_POINT} of {where} is {number}, of {dtype} data")


_DTYPES = frozenset(np.dtype(t).name for t in (bool, "i1", "u1", "i2", "u2", "i4", "u4", "i8"))
"""Integers that an NPU segment may take or make."""


def _check_placements(functions: Sequence[FuncOp]) -> None:
    """Whoever calls segments knows of each where it runs."""
    for function in functions:
        placement = function.attributes.get(PLACEMENT)
        if placement is not None and _text(placement) not in (NPU, HOST):
            raise VerificationFailure(
                f"{PLACEMENT} of @{function.sym_name.data} is {_shown(placement)}",
                hint='it is "npu" or "host"',
            )
    placed = {f.sym_name.data for f in functions if PLACEMENT in f.attributes}
    calls = chain.from_iterable(f.walk() for f in functions if f.sym_name.data == "main")
    for call in calls:
        if isinstance(call, CallOp) and call.callee.string_value() not in placed:
            raise VerificationFailure(
                f"@main calls @{call.callee.string_value()}, which has no {PLACEMENT}",
                hint='segments have "npu" or "host"',
            )
