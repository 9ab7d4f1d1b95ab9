"""Seed corpora: small sound files of each kind, which the repository makes itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from furiosa_ir.errors import FuriosaError
from furiosa_ir.latency import Latency
from tests.fuzz.hostile_tflite import shared_custom_options
from tests.fuzz.onnx_nodes import sound_models

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits"
SHARED = ROOT.parent / "shared" / "models" / "trained"
_LARGEST = 1 << 17


_FEW = settings(
    max_examples=5,
    phases=[Phase.generate],
    database=None,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def _drawn(strategy: SearchStrategy[Any]) -> Any:
    """One of a strategy's values that is not its simplest one, which hypothesis draws first."""
    drawn: list[Any] = []

    @_FEW
    @given(strategy)
    def keep(value: Any) -> None:
        drawn.append(value)

    keep()
    return drawn[-1]


def _small_files(suffix: str) -> Iterator[tuple[str, bytes]]:
    """The bundled networks, and the small ones of the corpus where there is one."""
    for folder in (DIGITS, SHARED):
        for path in sorted(folder.glob(f"*.{suffix}")):
            if path.stat().st_size <= _LARGEST:
                yield path.name, path.read_bytes()


def onnx_models() -> Iterator[tuple[str, bytes]]:
    """Quantised networks of one operator, and ONNX's own backend tests, one of each operator."""
    from tests.onnx_backend.cases import cases_of_onnx
    from tests.operators.networks import ON_THE_HOST, ON_THE_NPU
    from tests.passes.qdq import QDQ

    yield from _small_files("onnx")
    builders = {**ON_THE_NPU, **{k: b for k, (_, b) in ON_THE_HOST.items()}}
    for name, build in builders.items():
        net = QDQ(dtype=np.int8)
        build(net)
        yield f"qdq_{name}", net.model().SerializeToString()
    yield from _old_models()
    yield from sound_models()
    for path in sorted((ROOT / "tests" / "fuzz" / "regressions" / "onnx").iterdir()):
        yield f"regression_{path.name}", path.read_bytes()
    seen: set[tuple[str, ...]] = set()
    for case in cases_of_onnx():
        operators = tuple(sorted({str(n.op_type) for n in case.model.graph.node}))
        if operators not in seen:
            seen.add(operators)
            yield f"onnx_{case.name}", case.model.SerializeToString()


def _old_models() -> Iterator[tuple[str, bytes]]:
    """Operators that changed before operator set 7: the version converter sees them."""
    from onnx import helper

    from tests.importers.onnx.networks import network

    floats = {"w": np.ones((4, 3), np.float32), "c": np.ones(3, np.float32)}
    shapes: dict[str, Any] = {"x": [1, 3, 8, 8], "m": [2, 4]}
    nodes = {
        "add": helper.make_node("Add", ["x", "c"], ["y"], axis=1, broadcast=1),
        "bn": helper.make_node("BatchNormalization", ["x", *"cccc"], ["y"], is_test=1),
        "gemm": helper.make_node("Gemm", ["m", "w", "c"], ["y"], broadcast=1),
        "dropout": helper.make_node("Dropout", ["x"], ["y"], is_test=1, ratio=0.5),
        "prelu": helper.make_node("PRelu", ["x", "s"], ["y"]),
        "pool": helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2]),
        "max": helper.make_node("Max", ["x", "x"], ["y"]),
    }
    for name, node in nodes.items():
        inputs = {n: d for n, d in shapes.items() if n in node.input}
        constants = {n: a for n, a in floats.items() if n in node.input}
        if "s" in node.input:
            constants["s"] = np.ones(1, np.float32)
        model = network([node], inputs, {"y": None}, constants, opset=6)
        model.ir_version = 3
        yield f"opset6_{name}", model.SerializeToString()


def tflite_models() -> Iterator[tuple[str, bytes]]:
    """Networks of one operator, as the tests of the lowerings draw them."""
    from tests.lowering import litert_convolutions, litert_movement, litert_operators
    from tests.lowering.network import forms, networks
    from tests.oracle.litert import build_model

    assert litert_convolutions
    assert litert_movement
    assert litert_operators  # importing them registers their cases
    yield from _small_files("tflite")
    for name, dtype in forms():
        net = _drawn(networks(name, dtype))
        yield f"{name}_{dtype}.tflite", build_model(net.operators)
    yield "shared_custom_options.tflite", shared_custom_options(500, 1000)
    yield from stateful_models()


def stateful_models() -> Iterator[tuple[str, bytes]]:
    """Networks that keep state between runs."""
    from tests.oracle.streaming import NETWORKS

    for name, make in NETWORKS.items():
        yield f"{name}.tflite", make()


def _some_models() -> Iterator[tuple[str, bytes]]:
    """Every fourth of the small models, of both formats, and one that keeps state."""
    for models in (onnx_models(), tflite_models()):
        small = [(name, data) for name, data in models if len(data) <= 1 << 14]
        yield from small[::4]
    yield from list(stateful_models())[-1:]


def ir_texts() -> Iterator[tuple[str, bytes]]:
    """Some models at each level: the text, and its constants behind a zero byte."""
    from furiosa_ir.backends import default_backend
    from furiosa_ir.compiler import compile_source
    from furiosa_ir.ir.text import write_module

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.mlir"
        for name, data in _some_models():
            for level in default_backend().levels:
                with suppress(FuriosaError):
                    module = compile_source(data, target_ir=level).module
                    for form in ("", "_generic"):
                        write_module(module, path, generic=bool(form))
                        beside = path.with_suffix(".safetensors")
                        constants = b"\0" + beside.read_bytes() if beside.exists() else b""
                        beside.unlink(missing_ok=True)
                        yield f"{name}_{level}{form}.mlir", path.read_bytes() + constants
    yield from hostile_texts()


def hostile_texts() -> Iterator[tuple[str, bytes]]:
    """Small IR texts that would be large, refused or not, within 1 GiB and 10 s."""
    from tests.fuzz.hostile_ir import ACCEPTED, REFUSED

    for name, text in (REFUSED | ACCEPTED).items():
        yield f"{name}.mlir", text.encode()


def programs() -> Iterator[tuple[str, bytes]]:
    """Some models, compiled for one PE and two in turn."""
    from furiosa_ir.compiler import compile_model

    targets = ("warboy", "warboy-2pe")
    for i, (name, data) in enumerate(_some_models()):
        with suppress(FuriosaError):
            yield f"{name}.enf", compile_model(data, target=targets[i % 2])
    yield from hostile_programs()


def upstream_programs() -> Iterator[tuple[str, bytes]]:
    """Some models as programs in upstream's dialects."""
    from furiosa_ir.compiler import compile_model

    for name, data in _some_models():
        with suppress(FuriosaError):
            yield f"{name}.mlirz", compile_model(data, target="mlir")


def hostile_programs() -> Iterator[tuple[str, bytes]]:
    """Small programs that would be large: each refused, within 1 GiB and 10 s."""
    from tests.fuzz.hostile_enf import PROGRAMS

    for name, build in PROGRAMS.items():
        yield name, build()


def reproducers() -> Iterator[tuple[str, bytes]]:
    """Crash reproducers with and without constants, options and code of plug-ins."""
    from furiosa_ir.leftovers import temporary_folder
    from furiosa_ir.reproducer.container import (
        CONSTANTS,
        MODULE,
        Failure,
        PluginCopy,
        Reproducer,
        write_reproducer,
    )

    with temporary_folder() as folder:
        module, constants = folder / "module.mlir", folder / "module.safetensors"
        module.write_text("builtin.module {}\n")
        constants.write_bytes(bytes(64))
        members = {MODULE: module}
        for i in range(64):
            code = {f"p{k}/mine.py": f"X = {k}" for k in range(i % 3)}
            digests = dict.fromkeys((*code, "table.bin"), "0" * 64)
            made = Reproducer(
                Failure("the pass 'x'", "ValueError", f"number {i}", "Traceback"),
                begins="as it was read",
                pipeline="graph(a{x=1},b)",
                target_ir=None if i % 2 else "graph",
                options={"target": "t"} if i % 5 else {},
                versions={"numpy": "2.0"},
                plugins=(PluginCopy("mine.py", "p0/mine.py", digests, code),) if i % 3 else (),
            )
            held = members | ({CONSTANTS: constants} if i % 7 else {})
            write_reproducer(made, held, folder / "made.zip")
            yield f"reproducer_{i}", (folder / "made.zip").read_bytes()


def cache_entries() -> Iterator[tuple[str, bytes]]:
    """Entries of small programs, with and without host operators and warnings."""
    from furiosa_ir.cache.entry import HostOperator, Metadata, entry_chunks

    rng = np.random.default_rng(0)
    for i in range(64):
        operators = tuple(
            HostOperator("Softmax", f"layer {k}", k, "too large") for k in range(i % 5)
        )
        warnings = ("\x00source\x00: a warning", "é") if i % 3 == 0 else ()
        metadata = Metadata(
            float(rng.random()), int(rng.integers(1 << 40)), Latency(1.5), operators, warnings
        )
        chunks = entry_chunks(rng.bytes(32).hex(), metadata, rng.bytes(i * 16), 1.7e9 + i)
        yield f"entry_{i}", b"".join(chunks)
