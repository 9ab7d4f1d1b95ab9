"""Networks that are unlike others: several inputs, host segments, state, kernels in Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import furiosa_ir as fi
from furiosa_ir.errors import FuriosaError
from furiosa_ir.evaluation import Settings, evaluate
from furiosa_ir.runtime import session
from tests.runtime.test_state import COUNTER


def model(nodes: list[onnx.NodeProto], inputs: dict[str, list[int]], outputs: dict[str, list[int]]):
    def values(named: dict[str, list[int]]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in named.items()]

    graph = helper.make_graph(nodes, "g", values(inputs), values(outputs))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.acme", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Neg", ["b"], ["neg"])]
    two = bytes(
        fi.compile(model(nodes, {"a": [1, 5], "b": [1, 5]}, {"sum": [1, 5], "neg": [1, 5]}))
    )
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 9, 5)).astype(np.float32)
    np.savez(tmp_path / "set.npz", b=b, a=a)
    labels = [i % 5 for i in range(9)]
    found = evaluate(two, tmp_path / "set.npz", labels, Settings(scores="neg"))
    ranks = [list(np.argsort(b[i], kind="stable")).index(labels[i]) for i in range(9)]
    assert found.values == ranks
    assert list(found.result) == ["top-1"]  # of five classes each is among the first five
    with pytest.raises(
        FuriosaError, match=r"which output has the scores .* \(name it \(--scores\)"
    ):
        evaluate(two, tmp_path / "set.npz", labels, Settings())
    seen: list[Any] = []

    def metric(outputs: dict[str, Any], label: Any) -> float:
        seen.append((list(outputs), label))
        return outputs["sum"].sum()

    found = evaluate(two, {"a": a, "b": b}, None, Settings(metric=metric))
    assert seen == [(["sum", "neg"], i) for i in range(9)]
    assert found.values == [float((a[i] + b[i])[None].sum()) for i in range(9)]


def test_state_begins_anew_with_each_sample() -> None:
    counter = fi.compile(fi.parse(COUNTER))
    rng = np.random.default_rng(0)
    single = rng.integers(-20, 20, (6, 4), np.int8)
    initial = np.array([[-9, 0, 5, 7]])

    def outputs(named: dict[str, Any], _label: Any) -> dict[str, float]:
        sums, before = named.values()
        return {"last": int(sums.reshape(-1, 4)[-1, 0]), "runs": len(sums), "a": int(before.sum())}

    found = evaluate(bytes(counter), single, None, Settings(metric=outputs))
    assert [v["last"] for v in found.values] == (single[:, 0] - 9).tolist()
    assert {v["a"] for v in found.values} == {3}
    streams = rng.integers(-3, 3, (5, 7, 1, 4), np.int8)
    for given in (streams, streams[:, :, 0]):
        found = evaluate(bytes(counter), given, None, Settings(metric=outputs, processes=2))
        assert [v["last"] for v in found.values] == (streams[:, :, 0, 0].sum(1) - 9).tolist()
        assert {v["runs"] for v in found.values} == {7}
    total = streams[:, :, 0].sum(1) + initial
    found = evaluate(bytes(counter), streams, [2] * 5, Settings(scores=counter.outputs[0].name))
    assert found.values == [list(np.argsort(-t, kind="stable")).index(2) for t in total]


KERNELS = """
import numpy as np
from furiosa_ir.host_kernels import host_kernel
from .shrinkage import amount

@host_kernel("com.acme::SoftShrink")
def soft_shrink(x, *, lambd=0.5):
    if x[0, 0] == 77:
        raise ValueError("not 77")
    return np.sign(x) * np.maximum(np.abs(x) - amount(lambd), 0)
"""


@pytest.fixture
def kernels(tmp_path: Path) -> Path:
    (tmp_path / "kernels.py").write_text(KERNELS)
    (tmp_path / "shrinkage.py").write_text("def amount(x):\n    return x * 2\n")
    return tmp_path / "kernels.py"


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.parametrize("where", ["here", "processes", "cluster"])
def test_kernels_in_python_go_where_the_work_goes(
    kernels: Path, where: str, request: pytest.FixtureRequest
) -> None:
    """A cluster's workers get the code, with what it imports from its folder."""
    nodes = [helper.make_node("SoftShrink", ["x"], ["y"], domain="com.acme", lambd=0.5)]
    content = model(nodes, {"x": [1, 4]}, {"y": [1, 4]})
    settings = Settings(
        plugins=[kernels],
        processes=2 if where == "processes" else 0,
        scheduler=request.getfixturevalue("cluster") if where == "cluster" else None,
    )
    program = bytes(fi.compile(content, plugins=[kernels]))
    x = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    with session.create(program, plugins=[kernels]) as running:
        scores = [running.run(row[None])[0].numpy()[0] for row in x]
    found = evaluate(program, x, [1] * 12, settings)
    assert found.values == [list(np.argsort(-s, kind="stable")).index(1) for s in scores]
    x[5, 0] = 77
    with pytest.raises(FuriosaError, match="ValueError: not 77") as got:
        evaluate(program, x, [1] * 12, settings)
    assert "kernels.py:9" in str(got.value)


def test_what_ends_workers_names_its_samples(tmp_path: Path) -> None:
    """A kernel that ends its process, as native code may, is no endless loop."""
    (tmp_path / "crash.py").write_text(
        "import os, signal\nfrom furiosa_ir.host_kernels import host_kernel\n"
        '@host_kernel("com.acme::Crash")\ndef crash(x):\n'
        "    if x[0, 0] == 77:\n        os.kill(os.getpid(), signal.SIGKILL)\n    return x\n"
    )
    nodes = [helper.make_node("Crash", ["x"], ["y"], domain="com.acme")]
    plugins = [tmp_path / "crash.py"]
    program = bytes(fi.compile(model(nodes, {"x": [1, 4]}, {"y": [1, 4]}), plugins=plugins))
    x = np.zeros((9, 4), np.float32)
    x[6, 0] = 77
    with pytest.raises(
        FuriosaError, match=r"^(sample 6|one of the samples \d to \d): several work"
    ):
        evaluate(program, x, [1] * 9, Settings(plugins=plugins, processes=1))
