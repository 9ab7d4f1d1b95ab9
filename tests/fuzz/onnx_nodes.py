"""Models of one node, drawn from ONNX's own schemas: every operator, every version since 7.

Attributes, shapes and constants are as often notorious as sound. What they reach is onnx's native
shape inference and onnxruntime's kernels as much as our importer.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, defs, helper, numpy_helper

from tests.fuzz.values import INTEGERS, REALS

_SMALL = (0, 1, -1, 2, 3, 4, 5, -2, -3, -5, 7, 8, 16, 64, 100, -100)
_EXTENTS = (0, 1, 2, 3, 4, 8, 100, 4096, 1 << 20, (1 << 31) - 1)
_WORDS = (
    *("", "NOTSET", "SAME_UPPER", "VALID", "linear", "cubic", "constant", "reflect", "...", "abc"),
    *("ij->i", "forward", "bidirectional", "none", "add", "x" * 300),
)
_TYPES = {
    "tensor(float)": TensorProto.FLOAT,
    "tensor(uint8)": TensorProto.UINT8,
    "tensor(int8)": TensorProto.INT8,
    "tensor(int32)": TensorProto.INT32,
    "tensor(int64)": TensorProto.INT64,
    "tensor(bool)": TensorProto.BOOL,
    "tensor(float16)": TensorProto.FLOAT16,
    "tensor(double)": TensorProto.DOUBLE,
}


def schemas() -> list[Any]:
    """The schemas of the installed onnx, in a fixed order."""
    found: list[Any] = [
        s
        for s in defs.get_all_schemas_with_history()
        if not s.deprecated and (s.since_version >= 7 or s.domain)
    ]
    return sorted(found, key=lambda s: (s.domain, s.name, s.since_version))


def draw_model(schema: Any, rng: random.Random, *, folded: bool = False) -> bytes:
    """A model of one node of that operator; `folded`: of constants alone, texts among them."""
    inputs: list[onnx.ValueInfoProto] = []
    constants: list[TensorProto] = []
    names = _operands(schema, rng, inputs, constants)
    if folded:
        constants += [_constant(value, rng) for value in inputs]
        del inputs[:]
    count = max(1, min(schema.max_output, schema.min_output + rng.randrange(3)))
    outputs = [f"y{i}" for i in range(count)]
    node = onnx.NodeProto(op_type=schema.name, domain=schema.domain, input=names, output=outputs)
    for name, attribute in schema.attributes.items():
        if attribute.required or rng.random() < 0.5:
            made = _attribute(name, int(attribute.type.value), rng)
            if made is not None:
                node.attribute.append(made)
    graph = helper.make_graph([node], "g", inputs, [onnx.ValueInfoProto(name="y0")], constants)
    version = 21 if schema.domain else schema.since_version
    imports = [helper.make_opsetid("", version)]
    if schema.domain:
        imports.append(helper.make_opsetid(schema.domain, schema.since_version))
    model = helper.make_model(graph, opset_imports=imports)
    model.ir_version = 8
    return model.SerializeToString()


def _operands(
    schema: Any,
    rng: random.Random,
    inputs: list[onnx.ValueInfoProto],
    constants: list[TensorProto],
) -> list[str]:
    """The names of a node's operands, after adding them to the network's inputs or constants."""
    least, most = schema.min_input, min(schema.max_input, schema.min_input + 4)
    base = [rng.choice((1, 2, 3, 4, 8)) for _ in range(rng.randrange(6))]
    chosen: dict[str, int] = {}
    names: list[str] = []
    for i in range(rng.randint(least, most)):
        formal = schema.inputs[min(i, len(schema.inputs) - 1)]
        if formal.option == defs.OpSchema.FormalParameterOption.Optional and rng.random() < 0.4:
            names.append("")
            continue
        allowed = sorted(_TYPES[t] for t in formal.types if t in _TYPES) or [TensorProto.FLOAT]
        code = chosen.setdefault(formal.type_str, rng.choice(allowed))
        names.append(f"x{i}")
        whole = code in (TensorProto.INT32, TensorProto.INT64)
        if rng.random() < (0.6 if whole else 0.1):
            constants.append(numpy_helper.from_array(_elements(code, rng), names[-1]))
            continue
        shape = base if rng.random() < 0.6 else rng.choices(_EXTENTS, k=rng.randrange(7))
        inputs.append(helper.make_tensor_value_info(names[-1], code, shape))
    return names


def _constant(value: onnx.ValueInfoProto, rng: random.Random) -> TensorProto:
    """A constant in place of an input: of a small shape, often empty, and now and then of texts."""
    code = value.type.tensor_type.elem_type
    shape = rng.choices((0, 1, 2, 3), (1, 2, 2, 2), k=rng.randrange(5))
    count = int(np.prod(shape))
    if rng.random() < 0.15:
        return helper.make_tensor(value.name, TensorProto.STRING, shape, [b"a"] * count)
    if rng.random() < 0.3:  # a number of elements, a length, a rate
        return numpy_helper.from_array(_elements(code, rng), value.name)
    drawn = [rng.randrange(3) for _ in range(count)]
    array = np.array(drawn, helper.tensor_dtype_to_np_dtype(code)).reshape(shape)
    return numpy_helper.from_array(array, value.name)


def _elements(code: int, rng: random.Random) -> np.ndarray:
    dtype = helper.tensor_dtype_to_np_dtype(code)
    shape = [rng.randrange(6)] if rng.random() < 0.8 else rng.choices(range(3), k=rng.randrange(4))
    drawn = [_integer(rng) for _ in range(int(np.prod(shape)))]
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        drawn = [max(info.min, min(int(info.max), n)) for n in drawn]
    else:
        drawn = [n % 2 for n in drawn]
    return np.array(drawn, dtype).reshape(shape)


def _integer(rng: random.Random) -> int:
    return max(-(1 << 63), min(rng.choice(_SMALL if rng.random() < 0.6 else INTEGERS), 2**63 - 1))


def _attribute(name: str, kind: int, rng: random.Random) -> AttributeProto | None:
    """An attribute of that type; None for subgraphs and types that are not drawn."""
    attribute = AttributeProto(name=name, type=kind)  # pyright: ignore[reportArgumentType]
    match kind:
        case AttributeProto.INT:
            attribute.i = _integer(rng)
        case AttributeProto.INTS:
            attribute.ints.extend(_integer(rng) for _ in range(rng.choice((0, 1, 2, 2, 3, 4, 8))))
        case AttributeProto.FLOAT:
            attribute.f = rng.choice(REALS)
        case AttributeProto.FLOATS:
            attribute.floats.extend(rng.choice(REALS) for _ in range(rng.randrange(5)))
        case AttributeProto.STRING:
            attribute.s = rng.choice(_WORDS).encode()
        case AttributeProto.STRINGS:
            attribute.strings.extend(rng.choice(_WORDS).encode() for _ in range(rng.randrange(4)))
        case AttributeProto.TENSOR:
            attribute.t.CopyFrom(numpy_helper.from_array(_elements(TensorProto.INT64, rng)))
        case AttributeProto.TYPE_PROTO:
            attribute.tp.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, [2]))
        case _:
            return None
    return attribute


def sound_models(tries: Sequence[int] = range(12)) -> Iterator[tuple[str, bytes]]:
    """For each operator's newest version, a model that imports, if one of a few draws does."""
    from furiosa_ir.errors import FuriosaError
    from furiosa_ir.importers.onnx import import_onnx

    newest = {(s.domain, s.name): s for s in schemas()}
    for (domain, name), schema in newest.items():
        for seed in tries:
            data = draw_model(schema, random.Random(f"{domain}{name}{seed}"))
            try:
                import_onnx(data)
            except FuriosaError:
                continue
            yield f"node_{name}", data
            break


def main() -> None:
    """`python -m tests.fuzz.onnx_nodes SECONDS [SEED]`: imports drawn nodes for that long.

    The seconds are this process's own time; what its children take comes on top.

    What ends this process is a bug; so is what raises anything but a refusal.
    """
    import resource
    import sys
    import time

    from furiosa_ir.errors import FuriosaError
    from furiosa_ir.importers.onnx import import_onnx

    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    seconds, seed = float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    rng, drawn = random.Random(seed), schemas()
    counts = {"accepted": 0, "refused": 0, "bugs": 0, "slow": 0}
    ends = time.process_time() + seconds
    while time.process_time() < ends:
        schema, case = rng.choice(drawn), rng.randrange(1 << 60)
        data = draw_model(schema, random.Random(case), folded=case % 2 == 0)
        started = time.process_time()
        try:
            import_onnx(data)
            counts["accepted"] += 1
        except FuriosaError as error:
            counts["refused" if str(error).isprintable() else "bugs"] += 1
        except Exception as error:  # noqa: BLE001  # that is what is looked for
            counts["bugs"] += 1
            print(f"{schema.name} {schema.since_version} case {case}: {error!r}", flush=True)
        if time.process_time() - started > 5:
            counts["slow"] += 1
            print(f"{schema.name} {schema.since_version} case {case}: slow", flush=True)
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peaks = [f"{resource.getrusage(who).ru_maxrss >> 10} MiB" for who in whose]
    print(counts, *peaks)


if __name__ == "__main__":
    main()
