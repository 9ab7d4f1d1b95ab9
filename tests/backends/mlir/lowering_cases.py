"""Networks of every operator and form (`tests/conformance`), segment by segment in native code.

    python -m tests.backends.mlir.lowering_cases [-n DRAWS] [-k ONLY]

Each device segment's function is compared with the interpreter's values of it; those are the
framework's, as tests/conformance holds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

import numpy as np
from hypothesis import Phase
from xdsl.dialects.builtin import TensorType
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.mlir.upstream_module import device_functions
from furiosa_ir.driver import compile_source
from furiosa_ir.numerics.array import Array
from tests.backends.mlir.native_functions import NativeFunctions
from tests.conformance import conformance
from tests.conformance.conformance import Count, Form

TOGETHER = 40
"""Functions of one module."""


def drawn_models(form: Form, number: int) -> Iterator[bytes]:
    """Networks of a form, as files."""
    models: list[bytes] = []

    def keep(model: bytes, _inputs: list[Any], _count: Count) -> None:
        models.append(model)

    run = conformance.run
    conformance.run = keep
    try:
        for turn in range(10 * number):
            conformance._draw(form, lambda n: form.run(n, Count()), turn, Phase.generate)
            if len(set(models)) >= number:
                break
    finally:
        conformance.run = run
    return islice(dict.fromkeys(models), number)


def inputs_of(function: FuncOp, seed: int) -> list[Array]:
    """Bytes of all kinds for a function's arguments."""
    rng = np.random.default_rng(seed)
    types = cast("list[TensorType[Any]]", [a.type for a in function.body.block.args])
    return [rng.integers(-128, 128, t.get_shape()).astype(np.int8) for t in types]


def differing_forms(forms: dict[str, Form], number: int) -> tuple[list[str], int, int]:
    """Forms of which native code makes something else; how many functions and elements."""
    different: list[str] = []
    functions = elements = 0
    native, names = NativeFunctions(), list[str]()

    def compare() -> None:
        nonlocal native, names, elements, functions
        different.extend(names[i] for i in native.differing())
        elements, functions = elements + native.elements, functions + len(names)
        native, names = NativeFunctions(), []

    for name, form in forms.items():
        for model in drawn_models(form, number):
            module = compile_source(model, target="mlir", target_ir="ftensor").module
            for function in device_functions(module):
                function.detach()
                native.add(function, inputs_of(function, len(names)))
                names.append(name)
        if len(names) >= TOGETHER:
            compare()
    if names:
        compare()
    return different, functions, elements


def main() -> None:
    """Prints how much was compared; exits 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--draws", type=int, default=1)
    parser.add_argument("-k", "--only", default="")
    given = parser.parse_args()
    forms = {f.name: f for f in conformance.forms().values() if given.only in f.name}
    different, functions, elements = differing_forms(forms, given.draws)
    print(f"{len(forms)} forms, {functions} functions, {elements} elements; differ: {different}")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
