"""What a hostile ONNX file asks for is refused, or left to run time, before it costs anything."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir.compiler import compile_source
from furiosa_ir.errors import FuriosaError, ImportFailure
from furiosa_ir.importers import load
from furiosa_ir.importers.onnx import import_onnx
from tests.external_tensors import INITIALIZER, places, put
from tests.importers.onnx.networks import imported, names, network, result_shapes

node = helper.make_node
X, Y = {"x": [1, 3, 8, 8]}, {"y": None}
HUGE = 1 << 40


def int64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def claiming(dims: Sequence[int], data: bytes = b"") -> onnx.ModelProto:
    """x + w, where w's header claims a shape."""
    model = network([node("Add", ["x", "w"], ["y"])], X, Y, {"w": np.ones(1, np.float32)})
    tensor = model.graph.initializer[0]
    tensor.ClearField("dims")
    tensor.dims.extend(dims)
    tensor.raw_data = data
    return model


def nested(depth: int) -> onnx.ModelProto:
    """If in If in If ..."""
    inner = helper.make_graph([node("Identity", ["x"], ["r"])], "g", [], [_typed("r")])
    for i in range(depth):
        branch = node("If", ["c"], ["r"], then_branch=inner, else_branch=_leaf(f"e{i}"))
        inner = helper.make_graph([branch], "g", [], [_typed("r")])
    outer = node("If", ["c"], ["y"], then_branch=inner, else_branch=_leaf("e"))
    return network([outer], X, Y, {"c": np.array(True)})


def _typed(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8])


def _leaf(name: str) -> onnx.GraphProto:
    return helper.make_graph([node("Identity", ["x"], [name])], "e", [], [_typed(name)])


def with_functions(bodies: Sequence[Sequence[Any]]) -> onnx.ModelProto:
    """A network that calls f0, with local functions f0, f1 ... of one input and one output."""
    model = network([node("f0", ["x"], ["y"], domain="local")], X, Y, domains={"local": 1})
    for i, body in enumerate(bodies):
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
        function = helper.make_function("local", f"f{i}", ["a"], ["b"], list(body), imports)
        model.functions.append(function)
    return model


def doubling(count: int) -> onnx.ModelProto:
    """f0 calls f1 twice, f1 calls f2 twice ...: 2^count operators of a few hundred bytes."""
    bodies: list[list[Any]] = []
    for i in range(count):
        callee = f"f{i + 1}"
        bodies.append(
            [node(callee, ["a"], ["m"], domain="local"), node(callee, ["m"], ["b"], domain="local")]
        )
    return with_functions([*bodies, [node("Relu", ["a"], ["b"])]])


def not_text(model: onnx.ModelProto, name: bytes) -> bytes:
    """The file with a name that is not UTF-8."""
    data = model.SerializeToString()
    assert name in data
    return data.replace(name, b"\xff" * len(name))


RELU = network([node("Relu", ["x"], ["y"], name="label")], X, Y)

REFUSED: dict[str, tuple[bytes | onnx.ModelProto, str]] = {
    "2^60 elements": (claiming([1 << 60]), "too large .*FURIOSA_MAX_TENSOR_ELEMENTS"),
    "a product that wraps to 0": (claiming([1 << 32, 1 << 32]), "too large"),
    "a product beyond 64 bits": (claiming([1 << 62] * 8), "too large"),
    "10^6 dimensions": (claiming([1] * 1_000_000), "1000000 dimensions .*FURIOSA_MAX_RANK"),
    "a negative extent": (claiming([-4, -4], bytes(64)), "negative"),
    "fewer bytes than elements": (claiming([1000], bytes(4)), "does not hold the 1000 elements"),
    "an input of 2^60 elements": (
        network([node("Relu", ["x"], ["y"])], {"x": [1, 1 << 30, 1 << 30]}, Y),
        "too large",
    ),
    "an input of 10^5 dimensions": (
        network([node("Relu", ["x"], ["y"])], {"x": [1] * 100_000}, Y),
        "100000 dimensions",
    ),
    "a result of 2^60 elements": (
        network([node("Tile", ["x", "n"], ["y"])], X, Y, {"n": int64(1, 1, HUGE, HUGE)}),
        "too large|does not fit",
    ),
    "subgraphs in subgraphs": (nested(20), "deep|not an ONNX model"),
    "functions of functions": (doubling(40), "operators.*FURIOSA_MAX_OPERATORS"),
    "a chain of functions": (
        with_functions(
            [[node(f"f{i + 1}", ["a"], ["b"], domain="local")] for i in range(200)]
            + [[node("Relu", ["a"], ["b"])]]
        ),
        "too deeply",
    ),
    "a function that calls itself": (
        with_functions([[node("f0", ["a"], ["b"], domain="local")]]),
        "calls itself",
    ),
    "an equation that onnx never ends to infer the shape of": (
        network([node("Einsum", ["x"], ["y"], equation="...ij1->i")], X, Y),
        "not an equation",
    ),
    "a negative number of dimensions on which onnx crashes": (
        network([node("GatherND", ["x", "i"], ["y"], batch_dims=-5)], X, Y, {"i": int64(1)}),
        "batch_dims -5",
    ),
    "an axis of 32 bits on which onnx crashes": (
        network(
            [node("LayerNormalization", ["x", "w"], ["y", "m", "v"], axis=1 << 31)],
            X,
            Y,
            {"w": np.ones(8, np.float32)},
        ),
        "along axis 2147483648",
    ),
    "an operator that is no text": (not_text(RELU, b"Relu"), "UTF-8"),
    "a label that is no text": (not_text(RELU, b"label"), "UTF-8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_at_once(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    if case == "subgraphs in subgraphs":  # more than protobuf's own limit lets through
        monkeypatch.setenv("FURIOSA_MAX_NESTING", "16")
    model, what = REFUSED[case]
    data = model if isinstance(model, bytes) else model.SerializeToString()
    started = time.process_time()
    with pytest.raises(ImportFailure, match=what) as caught:
        import_onnx(data)
    assert time.process_time() - started < 5
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 1000


def test_the_way_out_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network([node("Relu", ["x"], ["y"])], {"x": [1, 1 << 20, 1 << 20]}, Y)
    with pytest.raises(ImportFailure, match="FURIOSA_MAX_TENSOR_ELEMENTS"):
        imported(model)
    monkeypatch.setenv("FURIOSA_MAX_TENSOR_ELEMENTS", str(1 << 40))
    assert names(imported(model)) == ["relu"]


def loop(rounds: int) -> Any:
    """y = the constant after so many rounds."""
    body = helper.make_graph(
        [node("Identity", ["go"], ["on"]), node("Add", ["v", "v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [1]),
        ],
    )
    return network(
        [node("Loop", ["n", "", "c"], ["y"], body=body)],
        X,
        {"y": [1]},
        {"n": np.array(rounds, np.int64), "c": np.ones(1, np.float32)},
    )


NOT_FOLDED: dict[str, onnx.ModelProto] = {
    "ConstantOfShape": network(
        [node("ConstantOfShape", ["s"], ["y"])], X, Y, {"s": int64(1 << 15, 1 << 15)}
    ),
    "Expand": network(
        [node("Expand", ["c", "s"], ["y"])],
        X,
        Y,
        {"c": np.ones((1, 1), np.float32), "s": int64(1 << 15, 1 << 15)},
    ),
    "Tile": network(
        [node("Tile", ["c", "s"], ["y"])],
        X,
        Y,
        {"c": np.ones((2, 2), np.float32), "s": int64(1 << 15, 1 << 15)},
    ),
    "Range": network(
        [node("Range", ["a", "b", "c"], ["r"]), node("Cast", ["r"], ["y"], to=TensorProto.FLOAT)],
        X,
        Y,
        {k: np.array(v, np.int64) for k, v in (("a", 0), ("b", 1 << 33), ("c", 1))},
    ),
    "Resize": network(
        [node("Resize", ["c", "", "", "s"], ["y"], mode="linear")],
        X,
        Y,
        {"c": np.ones((1, 1, 2, 2), np.float32), "s": int64(1, 1, 1 << 15, 1 << 15)},
    ),
    "a Loop of 2^60 rounds": loop(1 << 60),
    "a product of large constants": network(
        [
            node("ConstantOfShape", ["s"], ["a"]),
            node("MatMul", ["a", "a"], ["y"]),
        ],
        X,
        Y,
        {"s": int64(4096, 4096)},
    ),
    "padding that nothing sees": network(
        [
            node("ConstantOfShape", ["s"], ["a"]),
            node("Conv", ["a", "w"], ["y"], pads=[1 << 14] * 4, strides=[1 << 14] * 2),
        ],
        X,
        Y,
        {"s": int64(1, 1, 8, 8), "w": np.ones((1, 1, 1, 1), np.float32)},
    ),
    "a transposed convolution with large strides": network(
        [
            node("ConstantOfShape", ["s"], ["a"]),
            node("ConvTranspose", ["a", "w"], ["y"], strides=[1 << 14] * 2, pads=[1 << 15] * 4),
        ],
        X,
        Y,
        {"s": int64(1, 1, 8, 8), "w": np.ones((1, 1, 1, 1), np.float32)},
    ),
    "a pooling with a large window": network(
        [
            node("ConstantOfShape", ["s"], ["a"]),
            node("AveragePool", ["a"], ["y"], kernel_shape=[2000, 2000]),
        ],
        X,
        Y,
        {"s": int64(1, 1, 4000, 4000)},
    ),
}


@pytest.mark.parametrize("case", NOT_FOLDED)
def test_what_a_file_makes_of_nothing_is_not_computed_at_import(case: str) -> None:
    started = time.process_time()
    module = imported(NOT_FOLDED[case])
    assert time.process_time() - started < 5
    assert names(module)


def test_many_small_constants_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may be folded, all of them together may not."""
    monkeypatch.setenv("FURIOSA_MAX_FOLDED_GROWTH", str(10 * 4096 + 100))
    nodes = [node("ConstantOfShape", ["s"], [f"c{i}"]) for i in range(40)]
    nodes.append(node("Sum", [f"c{i}" for i in range(40)], ["y"]))
    module = imported(network(nodes, X, Y, {"s": int64(64, 64)}))
    assert len(names(module)) == 30 + 1


def chain(operator: str, count: int = 40, **attributes: Any) -> onnx.ModelProto:
    """An operator on its own result, again and again; all of the results are used."""
    nodes = [node("ConstantOfShape", ["s"], ["c0"])]
    nodes += [node(operator, [f"c{i}"], [f"c{i + 1}"], **attributes) for i in range(count)]
    nodes.append(node("Concat", [f"c{i}" for i in range(count + 1)], ["y"], axis=0))
    return network(nodes, X, Y, {"s": int64(1 << 22)})


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("Neg", {}),
        *(pytest.param(n, {}, marks=pytest.mark.slow) for n in ("Abs", "Relu", "Sign", "Floor")),
        ("Cast", {"to": TensorProto.FLOAT}),
        ("Transpose", {"perm": [0]}),
    ],
)
def test_what_keeps_its_size_adds_up(operator: str, attributes: dict[str, Any]) -> None:
    """40 times 16 MiB, each used: the import keeps FOLDED_GROWTH of them, and so do the passes."""
    tracemalloc.start()
    compile_source(chain(operator, **attributes).SerializeToString(), target_ir="graph")
    assert tracemalloc.get_traced_memory()[1] < 640 << 20
    tracemalloc.stop()


def test_many_constants_of_a_file_may_be_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a network brings, it may transpose, and convert: that is no growth."""
    monkeypatch.setenv("FURIOSA_MAX_FOLDED_GROWTH", "1")
    weights = {f"w{i}": np.ones((64, 64), np.float16) for i in range(4)}
    nodes: list[Any] = []
    for i in range(4):
        nodes.append(node("Transpose", [f"w{i}"], [f"t{i}"], perm=[1, 0]))
        nodes.append(node("Cast", [f"t{i}"], [f"f{i}"], to=TensorProto.FLOAT))
    nodes.append(node("Sum", [f"f{i}" for i in range(4)], ["s"]))
    nodes.append(node("Add", ["x", "s"], ["y"]))
    module = imported(network(nodes, {"x": [64, 64]}, Y, weights))
    assert names(module) == ["add"]


@pytest.mark.parametrize("repeats", [(1 << 31, 0), (0, 1 << 31), (1 << 33, 0)])
def test_many_repetitions_of_nothing(repeats: tuple[int, int]) -> None:
    model = network(
        [node("Tile", ["c", "r"], ["y"])],
        X,
        Y,
        {"c": np.ones((1, 1), np.float32), "r": int64(*repeats)},
    )
    compile_source(model.SerializeToString(), target_ir="graph")


@pytest.mark.parametrize("sizes", [(0, 1, 1 << 31, 1), (1, 1, 1 << 22, 0)])
def test_many_indices_of_nothing(sizes: tuple[int, ...]) -> None:
    """A Resize had a list of fractions as long as its result, also where that is empty."""
    constant = np.ones((sizes[0], 1, 1, min(sizes[3], 1)), np.float32)
    model = network(
        [node("Resize", ["c", "", "", "s"], ["y"])], X, Y, {"c": constant, "s": int64(*sizes)}
    )
    tracemalloc.start()
    with suppress(FuriosaError):
        imported(model)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def test_a_long_vector_gives_no_rank() -> None:
    """onnx gave the result of Expand as many dimensions as its shape has elements."""
    long = {"x": [8, 3], "s": ([(1 << 31) - 1], TensorProto.INT64)}
    started = time.process_time()
    with pytest.raises(ImportFailure, match="rank of the output 'y'"):
        imported(network([node("Expand", ["x", "s"], ["y"])], long, Y))
    assert time.process_time() - started < 5
    # One whose length is but a length is as it was.
    inputs = {"x": [1 << 20], "i": ([1 << 20], TensorProto.INT64)}
    module = imported(network([node("GatherElements", ["x", "i"], ["y"])], inputs, Y))
    assert result_shapes(module) == [[1 << 20]]


def test_the_product_of_ones_is_not_made_of_all_rows() -> None:
    """With a zero point that the network computes, sums of the weights are needed, not more."""
    inputs = {
        "x": ([4, 4096, 3, 1, 4096], TensorProto.INT8),
        "z": ([1], TensorProto.INT8),
    }
    model = network(
        [node("MatMulInteger", ["x", "w", "z"], ["y"])],
        inputs,
        {"y": (None, TensorProto.INT32)},
        {"w": np.ones((4096, 2), np.int8)},
    )
    tracemalloc.start()
    imported(model)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def external(folder: Path, location: str, **entries: Any) -> Path:
    """A model whose weight lies in a file."""
    model = network([node("Add", ["x", "w"], ["y"])], X, Y, {"w": np.ones(8, np.float32)})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data_stays_in_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(32))
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path, target_is_directory=True)
    (folder / "good").write_bytes(bytes(32))
    (folder / "inner").symlink_to(folder / "good")
    for location in ("link", "up/secret", "../secret", "./../folder/../secret", "/etc/passwd"):
        with pytest.raises(ImportFailure, match="outside of the model's folder"):
            import_onnx(external(folder, location))
    for location in ("good", "inner", "../folder/good"):
        import_onnx(external(folder, location))


@pytest.mark.parametrize("kind", ["pipe", "directory", "device"])
def test_external_data_is_a_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "w"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(ImportFailure, match=r"missing|outside"):
        import_onnx(external(tmp_path, "w"))


@pytest.mark.parametrize(
    "entries",
    [
        {"offset": -4},
        {"offset": 4},
        {"offset": 1 << 70},
        {"length": 1 << 70},
        {"length": 0},
        {"offset": "many"},
        {"offset": "9" * 5000},
    ],
)
def test_external_data_is_inside_of_its_file(tmp_path: Path, entries: dict[str, Any]) -> None:
    (tmp_path / "w").write_bytes(bytes(32))
    with pytest.raises(ImportFailure, match="'w'"):
        import_onnx(external(tmp_path, "w", **entries))


def test_attributes_have_no_external_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnx reads it from below the current directory, wherever the model is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes(np.arange(8, dtype=np.float32).tobytes())
    tensor = numpy_helper.from_array(np.ones(8, np.float32), "t")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "secret"
    model = network(
        [node("Constant", [], ["w"], value=tensor), node("Add", ["x", "w"], ["y"])], X, Y
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ImportFailure, match="attribute or a subgraph has external data"):
        import_onnx(folder / "model.onnx")


def test_no_tensor_but_an_initializer_has_external_data() -> None:
    """Wherever ONNX's schema lets a tensor be: sparse ones, functions, training, subgraphs."""
    refused: list[str] = []
    for place in places():
        model = network([node("Relu", ["x"], ["y"])], X, Y)
        put(model, place, "secret")
        try:
            import_onnx(model.SerializeToString())
        except ImportFailure as error:
            assert "external data" in str(error), place  # noqa: PT017  # the others go on
            refused.append(place)
    assert set(places()) - set(refused) == {INITIALIZER}
    assert len(refused) > 100


def test_a_pipe_is_no_model(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(FuriosaError, match="not a regular file"):
            load(path)


def test_an_equation_out_of_a_function_is_checked() -> None:
    body = node("Einsum", ["a"], ["b"])
    reference = body.attribute.add()
    reference.name, reference.ref_attr_name, reference.type = "equation", "e", 3
    call = node("f", ["x"], ["y"], domain="local", e="i...j...->i")
    model = network([call], X, Y, domains={"local": 1})
    imports = [helper.make_opsetid("", 17)]
    function = helper.make_function("local", "f", ["a"], ["b"], [body], imports, attributes=["e"])
    model.functions.append(function)
    with pytest.raises(ImportFailure, match="not an equation"):
        imported(model)


@pytest.mark.parametrize(
    "equation", ["...ij->...ji", "abij -> abji", "abij", "...i", "ab...->...ba", "a b c d->"]
)
def test_equations_pass(equation: str) -> None:
    model = network([node("Einsum", ["x"], ["y"], equation=equation)], X, Y)
    assert names(imported(model)) == ["opaque"]
