"""Operators without a table of their options, or with another operator's, are LiteRT's.

It reads the table of the operator's own kind alone, in that kind's union, and has zeros where there
is none: no defaults of the schema. Every operator is drawn with others' tables and fields.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import OpResolverType

from furiosa_ir.dialects.graph.base import OriginAttr
from furiosa_ir.errors import FuriosaError, ImportFailure
from furiosa_ir.importers.tflite import import_tflite
from furiosa_ir.importers.tflite.option_tables import NEEDED, TABLE_OF
from furiosa_ir.ir.text import print_module
from tests.importers.tflite import test_operators, test_result_shapes
from tests.importers.tflite.single import RESOLVER, options, sample, vector
from tests.importers.tflite.test_result_shapes import attempt
from tests.oracle.litert import Operator, Subgraph, Tensor, build_model, run_reference

F32, I32, I64, BOOL = np.float32, np.int32, np.int64, np.bool_


def int8(name: str, *shape: int, scale: float = 0.05) -> Tensor:
    return Tensor(name, shape, np.int8, scale, 3)


def int16(name: str, *shape: int, scale: float = 0.05) -> Tensor:
    return Tensor(name, shape, np.int16, scale)


def floats(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, F32)


def ones(name: str, *shape: int, dtype: Any = F32, scale: float | None = None) -> Tensor:
    return Tensor.constant(name, np.full(shape, 1, dtype), scale)


def state(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, F32, is_variable=True)


def number(value: float, dtype: Any = I32) -> Tensor:
    return Tensor.constant("n", np.array(value, dtype))


@dataclass(frozen=True)
class Network:
    """A network whose first operator gets other options.

    Attributes:
        operators: its own.
        subgraphs: what they call.
    """

    operators: Sequence[Operator]
    subgraphs: Sequence[Subgraph] = ()

    def __str__(self) -> str:
        types = {np.dtype(t.dtype).name for o in self.operators[:1] for t in o.inputs if t}
        return f"{self.operators[0].builtin}-{'-'.join(sorted(types))}"

    def model(self, table: Any) -> bytes:
        """The file, with that table of options."""
        first = replace(self.operators[0], options=table)
        return build_model([first, *self.operators[1:]], self.subgraphs)

    def arrays(self) -> list[np.ndarray]:
        """Its inputs."""
        rng = np.random.default_rng(3)
        written = {id(t) for o in self.operators for t in o.outputs}
        tensors = {id(t): t for o in self.operators for t in o.inputs if t is not None}
        return [
            rng.integers(0, 2, t.shape).astype(t.dtype)
            if np.dtype(t.dtype).kind in "ib" and t.scale is None
            else sample(t, rng)
            for i, t in tensors.items()
            if t.data is None and not t.is_variable and i not in written
        ]


def operator(
    builtin: str, inputs: list[Tensor | None], results: list[Tensor], version: int = 1
) -> Network:
    return Network([Operator(builtin, inputs, results, None, version)])


def inside(operators: list[Operator], inputs: list[Tensor], outputs: list[Tensor]) -> Subgraph:
    return Subgraph(operators, inputs, outputs)


def calling() -> Iterator[Network]:
    """Operators that name subgraphs."""
    p, q, x, y = (floats(n) for n in "pqxy")
    negated = inside([Operator("NEG", [p], [q])], [p], [q])
    flag = Tensor("f", (), BOOL)
    below = inside([Operator("LESS", [p, number(1, F32)], [flag])], [p], [flag])
    condition = Tensor("c", (), BOOL)
    yield Network([Operator("IF", [condition, x], [y])], [negated, negated])
    yield Network([Operator("WHILE", [x], [y])], [below, negated])
    yield Network([Operator("CALL_ONCE", [], []), Operator("ABS", [x], [y])], [inside([], [], [])])
    yield Network([Operator("STABLEHLO_COMPOSITE", [x], [y])], [negated])
    handle = Tensor("h", (), np.void)
    assign, read = (
        Operator("ASSIGN_VARIABLE", [handle, x], []),
        Operator("READ_VARIABLE", [handle], [y]),
    )
    yield Network([Operator("VAR_HANDLE", [], [handle]), assign, read])


def recurrent(builtin: str) -> Network:
    x = floats("x", *(2, 4) if builtin == "LSTM" else (2, 3, 4))
    inputs = [ones(f"w{i}", 3, 4) for i in range(4)] + [ones(f"r{i}", 3, 3) for i in range(4)]
    biases = [ones(f"b{i}", 3) for i in range(4)]
    kept = [state("h", 2, 3), state("c", 2, 3)]
    return operator(
        builtin,
        [x, *inputs, *[None] * 3, *biases, None, None, *kept],
        [floats("y", *x.shape[:-1], 3)],
    )


WIDTHS = Tensor.constant("p", np.array([[0, 1], [1, 0]], I32))

NETWORKS = [
    *[
        operator(
            c.builtin,
            [*c.inputs],
            [Tensor(f"y{i}", (), d) for i, d in enumerate(c.results)],
            c.version,
        )
        for c in {c.builtin: c for c in test_result_shapes.CASES}.values()
    ],
    *[
        Network([replace(p.values[0], outputs=[replace(t, shape=()) for t in p.values[0].outputs])])
        for p in (*test_operators.CASES, *test_operators.MOVEMENT)
        if p.values[0].builtin != "SOFTMAX"  # it ends LiteRT: test_hazards.py
    ],
    *calling(),
    recurrent("LSTM"),
    recurrent("UNIDIRECTIONAL_SEQUENCE_LSTM"),
    operator(
        "RNN",
        [floats("x", 2, 4), ones("w", 3, 4), ones("r", 3, 3), ones("b", 3), state("s", 2, 3)],
        [floats("y", 2, 3)],
    ),
    operator(
        "SVDF",
        [floats("x", 2, 4), ones("f", 3, 4), ones("t", 3, 5), None, state("s", 2, 15)],
        [floats("y", 2, 3)],
    ),
    operator("SOFTMAX", [floats("x", 2, 4)], [floats("y", 2, 4)]),
    operator("BUCKETIZE", [floats("x", 2, 4)], [Tensor("y", (2, 4), I32)]),
    operator("FAKE_QUANT", [floats("x", 2, 4)], [floats("y", 2, 4)]),
    operator("CUMSUM", [floats("x", 2, 4), number(1)], [floats("y", 2, 4)]),
    operator("STABLEHLO_PAD", [floats("x", 2, 3), number(0, F32)], [floats("y", 3, 3)]),
    operator(
        "STABLEHLO_GATHER",
        [floats("x", 3, 4, 2), Tensor.constant("i", np.array([[0, 1]]))],
        [floats("y", 1, 2, 2, 2)],
    ),
    operator("MIRROR_PAD", [int8("x", 2, 3), WIDTHS], [int8("y", 3, 4)], 2),
    operator("ADD", [int8("a", 2, 2), int8("b", 2, 2)], [int8("y", 2, 2)], 2),
    *[
        operator(
            n, [int16("a", 2, 4), int16("b", 2, 4, scale=0.02)], [int16("y", 2, 4, scale=0.1)], 2
        )
        for n in ("ADD", "SUB")
    ],
    operator(
        "FULLY_CONNECTED",
        [
            int16("x", 2, 4),
            ones("w", 3, 4, dtype=np.int8, scale=0.1),
            ones("b", 3, dtype=I64, scale=0.005),
        ],
        [int16("y", 2, 3)],
        4,
    ),
    operator("LEAKY_RELU", [int8("x", 2, 4)], [int8("y", 2, 4)], 2),
    operator("GATHER", [int8("x", 4, 4), vector("i", 0, 2, 1, 1)], [int8("y", 4, 4)], 2),
    operator("CONCATENATION", [int8("a", 2, 4), int8("b", 2, 4)], [int8("y", 4, 4)], 2),
    operator("SHAPE", [int8("x", 2, 4)], [Tensor("y", (2,), I64)]),
    operator("ARG_MIN", [int8("x", 2, 4), number(1)], [Tensor("y", (2,), I64)], 2),
    operator("DEPTH_TO_SPACE", [int8("x", 1, 2, 2, 8)], [int8("y", 1, 4, 4, 2)], 2),
]

RANDOM = {"MULTINOMIAL", "RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM"}
WITHOUT_NETWORK = {
    *("BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN", "UNIDIRECTIONAL_SEQUENCE_RNN"),
    *("CALL", "STABLEHLO_REDUCE", "STABLEHLO_SORT", "STABLEHLO_WHILE"),  # LiteRT has no kernels
    *("STABLEHLO_REDUCE_WINDOW", "STABLEHLO_RNG_BIT_GENERATOR", "STABLEHLO_SCATTER"),
    *("CONV_3D_TRANSPOSE", "EMBEDDING_LOOKUP_SPARSE", "HASHTABLE", "LSH_PROJECTION"),
    *("REDUCE_ALL", "REDUCE_WINDOW", "SKIP_GRAM"),
}
"""Carried whole, as others of whose networks are here."""

KINDS = [
    ("builtinOptions2" if second else "builtinOptions", name)
    for second, union in enumerate((schema.BuiltinOptions, schema.BuiltinOptions2))
    for name, value in vars(union).items()
    if isinstance(value, int) and value and name[0].isalpha()  # a class has __firstlineno__ as well
]


def test_every_table_that_litert_reads_has_a_network() -> None:
    drawn = {n.operators[0].builtin for n in NETWORKS} | WITHOUT_NETWORK | RANDOM
    assert set(TABLE_OF) <= drawn
    assert {f"{t}Options" for t in {*TABLE_OF.values(), *NEEDED}} <= {name for _, name in KINDS}


def with_others(model: bytes, builtin: str, rng: random.Random) -> bytes:
    """The model, whose first operator has one or two tables of other operators, or of nobody's."""
    tree: Any = schema.ModelT.InitFromPackedBuf(model)
    node = tree.subgraphs[0].operators[0]
    own = f"{TABLE_OF.get(builtin)}Options"
    for union, name in rng.sample([k for k in KINDS if k[1] != own], rng.choice([1, 2])):
        table: Any = getattr(schema, f"{name}T")()
        fields = cast("dict[str, Any]", vars(table))
        for field, default in fields.items():
            match default:
                case bool():
                    setattr(table, field, rng.random() < 0.5)
                case int():
                    setattr(table, field, rng.choice([0, 1, 2, 3]))
                case float():
                    setattr(table, field, rng.choice([0.0, 0.25, 2.0]))
                case _:
                    pass
        enumeration = schema.BuiltinOptions2 if union[-1] == "2" else schema.BuiltinOptions
        setattr(node, union, table)
        setattr(node, f"{union}Type", rng.choice([getattr(enumeration, name)] * 4 + [250]))
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def litert(
    model: bytes, arrays: list[np.ndarray], resolver: Any = OpResolverType.BUILTIN_REF
) -> list[np.ndarray] | None:
    """Its results; None if it refuses."""
    try:
        return run_reference(model, arrays, resolver)
    except (RuntimeError, ValueError) as error:
        if resolver is RESOLVER or "Didn't find op" not in str(error):
            return None
    return litert(model, arrays, RESOLVER)


def imported(model: bytes) -> str:
    """The IR, with the operators as they are for the host, or why there is none."""
    try:
        module = import_tflite(model)
    except FuriosaError as error:
        return str(error)
    module.attributes.pop("graph.source_hash")
    found = [op.properties.get("origin") for op in module.walk()]
    origins = [o.data[1].array.tobytes().hex() for o in found if isinstance(o, OriginAttr)]
    return print_module(module) + "\n".join(origins)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_no_options(network: Network) -> None:
    model, arrays = network.model(None), network.arrays()
    want = litert(model, arrays)
    results, refusal = attempt(model, arrays)
    assert (results is None) == (want is None), refusal
    for result, reference in zip(results or [], want or [], strict=True):
        assert result.dtype == reference.dtype
        assert result.shape == reference.shape
        np.testing.assert_allclose(result, reference, rtol=1e-5, atol=1e-6)
        if result.dtype.kind != "f":
            np.testing.assert_array_equal(result, reference)
    rng = random.Random(str(network))
    for _ in range(2):
        other = with_others(model, network.operators[0].builtin, rng)
        assert imported(other) == imported(model)
        again = litert(other, arrays)
        assert (again is None) == (want is None)
        for result, reference in zip(again or [], want or [], strict=True):
            np.testing.assert_array_equal(result, reference)


def test_its_own_table_beside_anothers() -> None:
    x, y = int8("x", 2, 3), int8("y", 2, 3)
    model = build_model([Operator("LEAKY_RELU", [x], [y], options("LeakyRelu", alpha=0.25), 2)])
    tree: Any = schema.ModelT.InitFromPackedBuf(model)
    node = tree.subgraphs[0].operators[0]
    node.builtinOptions2 = schema.StablehloWhileOptionsT()
    node.builtinOptions2Type = schema.BuiltinOptions2.StablehloWhileOptions
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    assert imported(bytes(builder.Output())) == imported(model)


def test_the_sentence_says_what_is_missing() -> None:
    model = build_model(
        [Operator("AVERAGE_POOL_2D", [int8("x", 1, 4, 4, 2)], [int8("y", 1, 2, 2, 2)])]
    )
    with pytest.raises(ImportFailure, match="no options of AVERAGE_POOL_2D, or another"):
        import_tflite(model)
