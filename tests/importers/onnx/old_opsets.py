"""Operators of old operator sets, compared with onnxruntime.

    python -m tests.importers.onnx.old_opsets

A pair is an operator and an operator set that has it. Its nodes (`old_opset_cases`) run in
onnxruntime as a network of that set, and

* compiled by us, with the operands as inputs and as constants;
* in onnxruntime, raised to sets 13 and 27 by `importers.onnx.opsets`.

onnxruntime has no kernels of most versions before set 7: there the reference is the case's own
(`want`), or onnxruntime with the node in set 7 where both mean the same. Prints a line for each
pair that differs, and the counts.
"""

from __future__ import annotations

import argparse
import logging
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import FuriosaError
from furiosa_ir.importers.onnx.opsets import Inexpressible, raise_opset
from furiosa_ir.onnxruntime_session import onnx_session, run_session
from furiosa_ir.runtime import session
from tests.importers.onnx.old_opset_cases import CASES, NOT_COMPARED, Array, Case

FIRST_WITH_KERNELS = 7
"""onnxruntime has the kernels of all operators from this set on."""

NEWEST = 13
"""The set behind the old ones: the one that host segments are written in."""

RAISED_TO = (13, 27)

WITHOUT_KERNEL = {("GlobalLpPool", 27), ("MaxRoiPool", 27), ("RoiAlign", 27)}
"""(operator, set) that onnxruntime has nothing for: raised to it they cannot be compared."""

KEPT = {
    ("BatchNormalization", "being trained"): "its statistics are others since set 14",
    ("Scan", "of operator set 8"): "ran over a batch",
}
"""What has no form in newer sets, and why: it runs in a segment of its own set."""


def pairs(first: int = 1, last: int = NEWEST - 1) -> Iterator[tuple[str, int]]:
    """Every operator and set that has it."""
    names = sorted({s.name for s in onnx.defs.get_all_schemas_with_history() if not s.domain})
    for name in names:
        for opset in range(first, last + 1):
            if _version(name, opset) is not None:
                yield name, opset


def _version(name: str, opset: int) -> int | None:
    try:
        schema: Any = onnx.defs.get_schema(name, opset)
    except onnx.defs.SchemaError:
        return None
    return None if schema.deprecated else int(schema.since_version)


def cases_of(name: str, opset: int) -> list[Case]:
    """The nodes of a pair; the same at every call."""
    version = _version(name, opset)
    assert version is not None
    seed = zlib.crc32(f"{name}/{version}".encode())
    return list(CASES[name](version, np.random.default_rng(seed))) if name in CASES else []


def model_of(
    name: str, opset: int, cases: Sequence[Case], *, constants: bool
) -> tuple[onnx.ModelProto, list[Array]]:
    """A network of nodes that stand beside each other, and its inputs."""
    graph: Any = onnx.GraphProto(name=name)
    arrays: list[Array] = []
    for index, case in enumerate(cases):
        inputs: list[str] = []
        for at, array in enumerate(case.inputs):
            label = f"x{index}_{at}"
            inputs.append("" if array is None else label)
            if array is None:
                continue
            if at in case.fixed or (constants and at):
                graph.initializer.append(numpy_helper.from_array(array, label))
            else:
                kind = helper.np_dtype_to_tensor_dtype(array.dtype)
                graph.input.append(helper.make_tensor_value_info(label, kind, array.shape))
                arrays.append(array)
        outputs = [f"y{index}_{at}" for at in range(case.outputs)]
        graph.node.append(helper.make_node(name, inputs, outputs, **case.attributes))
        graph.output.extend(onnx.ValueInfoProto(name=o) for o in outputs)
    made: Any = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
    )
    if not arrays:  # a network has an input
        info = helper.make_tensor_value_info("unused", onnx.TensorProto.FLOAT, [1])
        made.graph.input.append(info)
        made.graph.node.append(helper.make_node("Identity", ["unused"], ["same"]))
        made.graph.output.append(onnx.ValueInfoProto(name="same"))
        arrays.append(np.zeros(1, np.float32))
    return made, arrays


def by_onnxruntime(model: onnx.ModelProto, arrays: Sequence[Array]) -> list[Array]:
    """The outputs as onnxruntime computes them."""
    return run_session(onnx_session(model.SerializeToString()), arrays)


def wanted(name: str, opset: int, case: Case) -> list[Array] | None:
    """What a node gives; None where nothing tells."""
    if case.want is not None and opset < FIRST_WITH_KERNELS:
        return list(case.want(*case.inputs))
    own, arrays = model_of(name, opset, [case], constants=False)
    try:
        return by_onnxruntime(own, arrays)[: case.outputs]
    except Exception:  # noqa: BLE001  # onnxruntime's share no base
        if case.want is not None:
            return list(case.want(*case.inputs))
        if opset >= FIRST_WITH_KERNELS:
            return None
    return _in_the_first_set(name, case)


def _in_the_first_set(name: str, case: Case) -> list[Array] | None:
    dropped = ("consumed_inputs", "is_test", "output_sequence", "broadcast")
    attributes = {k: v for k, v in case.attributes.items() if k not in dropped}
    if name in ("LpPool", "GlobalLpPool") and "p" in attributes:
        attributes["p"] = int(attributes["p"])
    same = Case(case.inputs, attributes, case.outputs, case.fixed)
    try:
        model, arrays = model_of(name, FIRST_WITH_KERNELS, [same], constants=False)
        return by_onnxruntime(model, arrays)[: case.outputs]
    except Exception:  # noqa: BLE001
        return None


def difference(results: Sequence[Array], want: Sequence[Array]) -> str:
    """How results differ; "" if they do not."""
    for result, other in zip(results, want, strict=True):
        if result.shape != other.shape or result.dtype != other.dtype:
            return f"{result.dtype}{list(result.shape)} for {other.dtype}{list(other.shape)}"
        if other.dtype.kind == "f":
            same = np.isclose(result, other, rtol=1e-4, atol=1e-5, equal_nan=True)
        else:
            same = np.asarray(result == other)
        if not same.all():
            return f"{int((~same).sum())} of {same.size} elements differ"
    return ""


def ours(model: onnx.ModelProto, arrays: Sequence[Array]) -> list[Array]:
    """The outputs of the compiled network."""
    with session.create(compile_model(model.SerializeToString()), compiler_hints=False) as s:
        return [t.numpy() for t in s.run(list(arrays))]


def check(name: str, opset: int) -> tuple[list[str], int]:
    """What is wrong with a pair, and how many nodes were compared."""
    cases = cases_of(name, opset)
    references = [wanted(name, opset, case) for case in cases]
    known = [(c, r) for c, r in zip(cases, references, strict=True) if r is not None]
    if not known:
        return ["nothing tells what it should be"], 0
    cases = [c for c, _ in known]
    want = [array for _, r in known for array in r]
    wrong: list[str] = []
    for constants in (False, True):
        if constants and all(len(c.inputs) == 1 + len(c.fixed) for c in cases):
            continue
        model, arrays = model_of(name, opset, cases, constants=constants)
        if name in ("If", "Loop", "Scan"):
            _declare(model, want)
        how = "constants" if constants else "inputs"
        wrong += _compared(how, cases, want, lambda m=model, a=arrays: ours(m, a))
        if constants and opset >= FIRST_WITH_KERNELS:
            continue
        for target in RAISED_TO:
            if target > opset and (name, target) not in WITHOUT_KERNEL:
                wrong += _compared(
                    f"raised to {target}",
                    cases,
                    want,
                    lambda m=model, a=arrays, t=target: _raised(m, a, opset, t),
                )
    return wrong, len(cases)


def _declare(model: Any, results: Sequence[Array]) -> None:
    """Says of what types the outputs are: nothing else tells those of subgraphs."""
    for output, array in zip(model.graph.output, results, strict=False):
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        output.CopyFrom(helper.make_tensor_value_info(output.name, kind, array.shape))


def _raised(model: onnx.ModelProto, arrays: Sequence[Array], old: int, new: int) -> list[Array]:
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    raise_opset(copy, old, new)
    copy.ir_version = 10
    return by_onnxruntime(copy, arrays)


def _compared(how: str, cases: Sequence[Case], want: Sequence[Array], run: Any) -> list[str]:
    try:
        results = run()
    except Inexpressible as error:
        kept = any(part in error.message and op in error.message for op, part in KEPT)
        return [] if kept else [f"{how}: {error}"]
    except FuriosaError as error:
        return [f"{how}: {error}"]
    except Exception as error:  # noqa: BLE001  # onnx's and onnxruntime's share no base
        return [f"{how}: {str(error).splitlines()[0][:200]}"]
    wrong: list[str] = []
    at = 0
    for index, case in enumerate(cases):
        text = difference(results[at : at + case.outputs], want[at : at + case.outputs])
        at += case.outputs
        if text:
            wrong.append(f"{how}: case {index} {_shown(case)}: {text}")
    return wrong


def _shown(case: Case) -> str:
    shapes = [None if a is None else list(a.shape) for a in case.inputs]
    plain = {k: v for k, v in case.attributes.items() if not hasattr(v, "SerializeToString")}
    return f"{shapes} {plain}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-k", nargs="+", metavar="OPERATOR", help="only these")
    parser.add_argument("--first", type=int, default=1, help="the oldest set (1)")
    parser.add_argument("--last", type=int, default=NEWEST - 1, help="the newest set (12)")
    options = parser.parse_args(arguments)
    logging.getLogger("furiosa_ir").setLevel(logging.ERROR)  # that networks are not quantised
    counts: Counter[str] = Counter()
    for name, opset in pairs(options.first, options.last):
        if options.k and name not in options.k:
            continue
        if name not in CASES or not cases_of(name, opset):
            counts["without cases"] += 1
            if name not in NOT_COMPARED and name not in CASES:
                print(f"{name} {opset}: no case", flush=True)
            continue
        wrong, nodes = check(name, opset)
        counts["pairs"] += 1
        counts["nodes"] += nodes
        counts["differ"] += bool(wrong)
        for line in wrong:
            print(f"{name} {opset}: {line}", flush=True)
    print(", ".join(f"{v} {k}" for k, v in counts.items()))
    return counts["differ"] > 0


if __name__ == "__main__":
    sys.exit(main())
