"""furiosa compile, run, inspect: results, progress, and one sentence for everything wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import helper

from furiosa_ir.tools.furiosa import main
from tests.conftest import DIGITS
from tests.importers.onnx.networks import network
from tests.oracle.litert import Stream
from tests.oracle.streaming import denoiser
from tests.passes.qdq import QDQ

TFLITE, ONNX = DIGITS / "digits_int8.tflite", DIGITS / "digits_qdq_int8.onnx"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def good(*arguments: object) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def bad(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    (sentence,) = (line for line in result.stderr.splitlines() if line.startswith("ERROR: "))
    _, _, behind = result.stderr.partition(sentence)
    assert behind == "\n" or behind.endswith("^\n")  # the line of a text, and a caret
    assert "Traceback" not in result.stderr
    return sentence


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "digits.enf"
    good("compile", TFLITE, "-o", path)
    return path


def test_compile_writes_output_enf_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    result = good("compile", TFLITE)
    assert not result.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["output.enf"]
    assert re.search(
        r"\[1/4\] 🔍   Compiling from tflite to graph\nDone in [\d.e-]+s", result.stderr
    )
    assert re.search(r"\[4/4\] 🔍   Compiling from warboy to enf", result.stderr)
    assert re.search(r"✨  Finished in [\d.]+s", result.stderr)
    assert "MACs on the NPU: 100 %" in result.stderr
    assert "Operators on the host: none" in result.stderr


def test_every_level_compiles_on(tmp_path: Path, program: Path):
    for level in ("graph", "ftensor", "warboy"):
        path = tmp_path / f"x.{level}"
        good("compile", TFLITE, "--target-ir", level, "-o", path)
        result = good("compile", path, "-o", tmp_path / "again.enf")
        assert "Reading IR" in result.stderr
        commands = [
            good("inspect", "--disassemble", p).stdout for p in (program, tmp_path / "again.enf")
        ]
        strip = [[x for x in c.splitlines() if "source" not in x.lower()] for c in commands]
        assert strip[0][-20:] == strip[1][-20:]


@pytest.mark.parametrize(("source", "reference"), [(TFLITE, "LiteRT"), (ONNX, "exact arithmetic")])
@pytest.mark.parametrize("level", ["graph", "ftensor", "warboy", "enf"])
def test_verify(source: Path, reference: str, level: str, tmp_path: Path):
    result = good("compile", source, "--verify", "--target-ir", level, "-o", tmp_path / "x")
    assert "✅" in result.stderr
    assert f"every element equal to {reference}" in result.stderr


@pytest.mark.slow
@pytest.mark.corpus
def test_verify_runs_custom_operators_and_newer_versions(shared: Path, tmp_path: Path):
    trained = shared / "models" / "trained"
    custom = trained / "ssd_mbv1_coco_300_u8.tflite"
    result = good("compile", custom, "--verify", "-o", tmp_path / "x", "--target-ir", "graph")
    assert "❌" not in result.stderr
    newer = trained / "ssd_mbv2_fpnlite_256_int8.tflite"
    result = good("compile", newer, "--verify", "-o", tmp_path / "x")
    assert "every element equal to LiteRT's optimised kernels" in result.stderr


def test_a_result_that_disagrees_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from furiosa_ir.comparison import Coverage
    from furiosa_ir.tools import verification
    from furiosa_ir.verification.end_to_end import Agreement

    wrong = Agreement("out", "LiteRT", 0.5, 3.0, 1.0)
    report = verification.Report("LiteRT", 1, 1, 1, Coverage(), [wrong])
    monkeypatch.setattr(verification, "verify_compile", lambda *a, **k: report)
    sentence = bad("compile", TFLITE, "--verify", "-o", tmp_path / "x.enf")
    assert "does not agree: output 'out': 50 % equal to LiteRT, greatest difference 3" in sentence
    assert not list(tmp_path.iterdir())


def test_verbose_shows_passes(tmp_path: Path):
    result = good("compile", TFLITE, "-v", "-o", tmp_path / "x")
    assert re.search(r"▪▪▪▪▪ \[1/\d\] [\w-]+\.\.\.Done in", result.stderr)


def test_the_target_is_kept(tmp_path: Path):
    for target in ("warboy", "warboy-2pe"):
        good("compile", TFLITE, "--target-npu", target, "-o", tmp_path / "x.enf")
        assert json.loads(good("inspect", "--json", tmp_path / "x.enf").stdout)["target"] == target


def test_inspect_json(program: Path):
    data = json.loads(good("inspect", "--json", program).stdout)
    figures = data["summary"]
    assert figures["npu_mac_share"] == 1.0
    assert figures["cycles"] == sum(row["cycles"] or 0 for row in data["layers"])
    assert figures["npu_latency_us"] == pytest.approx(figures["cycles"] / 2000)
    for key in ("sram_peak_bytes", "dram_bytes", "weight_bytes"):
        assert figures[key] > 0
    assert figures["sram_bound_bytes"] <= figures["sram_peak_bytes"]
    assert figures["dram_bound_bytes"] <= figures["dram_bytes"]
    assert figures["host_operators"] == []
    assert {"name", "operator", "placement", "tiles", "cycles"} <= data["layers"][0].keys()
    assert data["inputs"][0]["dtype"] == "int8"


def test_host_operators_have_reasons(tmp_path: Path):
    result = good("compile", ONNX, "-o", tmp_path / "x.enf")
    assert re.search(r"Operators on the host: 2\n  Hint \[\d+\]: ", result.stderr)
    hosts = json.loads(good("inspect", "--json", tmp_path / "x.enf").stdout)["summary"][
        "host_operators"
    ]
    assert {"operator", "layer", "hint", "reason"} == hosts[0].keys()


def test_every_operator_on_the_host_has_a_documented_hint(tmp_path: Path):
    """All reasons in one network: in the summary, in the JSON, and in docs/hints.md."""
    net = QDQ()
    x, v = net.input("x", [1, 4, 6, 6], 0.05, 3), net.input("v", [4, 4, 1, 1], 0.05)
    variable = net.requantized(net.add("Conv", [x, v]), 0.1)
    net.inputs["f"] = ([1, 4, 6, 6], onnx.TensorProto.FLOAT)
    unknown = net.add("Hardmax", [variable])
    floats = net.add("Add", [unknown, "f"])
    net.float_output(net.add("Sqrt", [net.add("Cast", [net.add("NonZero", [floats])], to=1)]))
    w = net.weight(np.ones((4, 4, 1, 1), np.int8), 0.01)
    net.output(net.add("Conv", [net.requantized(floats, 0.05), w]), 0.1)
    source, output = tmp_path / "x.onnx", tmp_path / "x.enf"
    onnx.save(net.model(), source)
    printed = good("compile", source, "-o", output).stderr
    hosts = json.loads(good("inspect", "--json", output).stdout)["summary"]["host_operators"]
    assert f"Operators on the host: {len(hosts)}\n" in printed
    given = {row["operator"]: row["hint"] for row in hosts}
    assert given == {
        "Hardmax": 1,
        "NonZero": 1,
        "Cast": 1,
        "add": 2,
        "Sqrt": 3,
        "conv": 4,
        "quantize": 5,
        "dequantize": 5,
    }
    page = (Path(__file__).parents[2] / "docs" / "hints.md").read_text()
    documented = set(re.findall(r"^\| (\d+) \|", page, re.MULTILINE))
    for row in hosts:
        assert f"  Hint [{row['hint']}]: {row['reason']} (" in printed
        assert str(row["hint"]) in documented
    # 6 is of networks that are quantised in part: tests/passes/partition/test_float_layers.py.
    assert {*map(str, given.values()), "6"} == documented


def test_no_batch_size_for_ir(tmp_path: Path):
    for level in ("graph", "warboy"):
        source, output = tmp_path / f"{level}.mlir", tmp_path / "x.enf"
        good("compile", TFLITE, "-o", source, "--target-ir", level)
        message = bad("compile", source, "-b", "4", "-o", output)
        assert source.name in message
        assert "the batch size of IR cannot be changed" in message
        assert not output.exists()


def test_inspect_tables(program: Path):
    text = good("inspect", program).stdout
    for part in ("Inputs", "Segments", "Layers", "npu_0", "MACs on the NPU", "estimated latency"):
        assert part in text


def test_inspect_fits_100_columns_and_adds_up(program: Path):
    text = good("inspect", program).stdout
    assert max(map(len, text.splitlines())) <= 100
    table = text.partition("Layers (cycles)")[2].partition("Summary")[0].splitlines()
    heads = next(line for line in table if "adds" in line)
    end = heads.index("adds") + len("adds")
    cells = [line[:end].split()[-1].replace(",", "") for line in table if "npu_0" in line]
    (total,) = (line for line in table if line.split()[:1] == ["total"])
    assert sum(map(int, cells)) == int(total.split()[1].replace(",", ""))
    assert len(cells) > 2


def test_inspect_one_layer(program: Path):
    layers = json.loads(good("inspect", "--json", program).stdout)["layers"]
    for layer in layers:
        for name in (layer["name"], layer["short_name"]):
            text = good("inspect", program, "--layer", name).stdout
            assert "Commands" in text
            assert layer["bound_by"] in text
    assert "did you mean" in bad("inspect", program, "--layer", layers[0]["short_name"] + "x")
    assert "cannot be given together" in bad("inspect", program, "--csv", "--json")
    rows = good("inspect", program, "--csv").stdout.splitlines()
    assert len(rows) == len(layers) + 1


@pytest.mark.corpus
def test_inspect_the_vendors_file(shared: Path):
    path = shared / "models" / "vendor" / "mnist.enf"
    text = good("inspect", path).stdout
    assert "0x11cb4323 (valid)" in text
    assert "FuriosaAI" in text
    assert "not ours" in text
    assert json.loads(good("inspect", "--json", path).stdout)["header"]["checksum"] == "0x11cb4323"


def arrays(path: Path) -> dict[str, np.ndarray]:
    """What a .npz holds; it is closed, not left to the collector, which warns."""
    with np.load(path) as file:
        return dict(file)


def test_run(program: Path, tmp_path: Path):
    images = arrays(DIGITS / "digits_inputs.npz")["tflite_images"]
    named, in_order, single = tmp_path / "n.npz", tmp_path / "o.npz", tmp_path / "s.npy"
    np.savez(named, image=images[:1], other=images[:1])
    np.savez(in_order, images[:1])
    np.save(single, images[:1])
    outputs = []
    for inputs in (named, in_order, single):
        good("run", program, "--inputs", inputs, "--outputs", tmp_path / "out.npz")
        outputs.append((tmp_path / "out.npz").read_bytes())
    assert outputs[0] == outputs[1] == outputs[2]
    result = arrays(tmp_path / "out.npz")
    assert result["probabilities"].shape == (1, 10)
    good("run", TFLITE, "--inputs", single, "--outputs", tmp_path / "network.npz")
    np.testing.assert_array_equal(
        arrays(tmp_path / "network.npz")["probabilities"], result["probabilities"]
    )
    assert re.match(
        r"probabilities: int8\[1, 10\], from", good("run", program, "--inputs", single).stdout
    )


def test_runs_of_a_network_that_keeps_state(tmp_path: Path):
    model, enf, out = tmp_path / "d.tflite", tmp_path / "d.enf", tmp_path / "out.npz"
    model.write_bytes(denoiser())
    assert "MACs on the NPU" in good("compile", model, "-o", enf).stderr
    assert "gru/state" in good("inspect", enf).stdout
    names = [v["name"] for v in json.loads(good("inspect", "--json", enf).stdout)["variables"]]
    assert names == ["front/states", "gru/state", "frames"]
    frames = np.random.default_rng(0).integers(-128, 128, (5, 1, 1, 1, 32)).astype(np.int8)
    np.save(tmp_path / "frames.npy", frames)
    run = good("run", enf, "--inputs", tmp_path / "frames.npy", "--outputs", out)
    assert "Runs: 5, each from the state of the one before" in run.stderr
    result = arrays(out)
    stream = Stream(model.read_bytes())
    for number, frame in enumerate(frames):
        wanted = stream.run([frame])
        for array, want in zip(result.values(), wanted, strict=True):
            np.testing.assert_array_equal(array[number], want)
    np.save(tmp_path / "frame.npy", frames[0])  # one run, as of any network
    assert (
        "Runs" not in good("run", enf, "--inputs", tmp_path / "frame.npy", "--outputs", out).stderr
    )
    for array, once in zip(result.values(), arrays(out).values(), strict=True):
        np.testing.assert_array_equal(array[0], once)
    np.save(tmp_path / "none.npy", frames[:0])
    assert "the inputs are not of one number of runs: 0 of 'frame'" in bad(
        "run", enf, "--inputs", tmp_path / "none.npy"
    )


def test_bad_runs(program: Path, tmp_path: Path):
    np.savez(tmp_path / "a.npz", wrong=np.zeros((1, 8, 8, 1), np.int8))
    assert "no array for the input 'image' (the file has wrong)" in bad(
        "run", program, "--inputs", tmp_path / "a.npz"
    ).replace("there is ", "")
    np.save(tmp_path / "b.npy", np.zeros((1, 8, 8, 1), np.float32))
    assert "float32" in bad("run", program, "--inputs", tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert "Python objects" in bad("run", program, "--inputs", tmp_path / "c.npy")
    (tmp_path / "d.npz").write_text("no")
    assert "not an .npz or .npy file" in bad("run", program, "--inputs", tmp_path / "d.npz")
    assert "No such file" in bad("run", program, "--inputs", tmp_path / "nothing.npz")
    np.save(tmp_path / "e.npy", np.zeros((1, 8, 8, 1), np.int8))
    assert "is a directory" in bad(
        "run", program, "--inputs", tmp_path / "e.npy", "--outputs", tmp_path
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"hello, world\n", "text file"),
        (TFLITE.read_bytes()[:3000], "truncated"),
        (ONNX.read_bytes()[:3000], "truncated"),
        (b"builtin.module {", ":1:"),
        (bytes(range(256)) * 40, ""),
    ],
)
def test_bad_sources_leave_no_output(content: bytes | None, message: str, tmp_path: Path):
    source, output = tmp_path / "source", tmp_path / "out.enf"
    if content is not None:
        source.write_bytes(content)
    sentence = bad("compile", source, "-o", output)
    assert message in sentence
    assert str(source) in sentence
    assert [p.name for p in tmp_path.iterdir()] == (["source"] if content is not None else [])


def test_suffixes_do_not_matter(tmp_path: Path):
    (tmp_path / "a.onnx").write_bytes(TFLITE.read_bytes())
    (tmp_path / "b.tflite").write_bytes(ONNX.read_bytes())
    for name in ("a.onnx", "b.tflite"):
        good("compile", tmp_path / name, "-o", tmp_path / "x.enf")


def test_bad_outputs(tmp_path: Path):
    assert "is a directory" in bad("compile", TFLITE, "-o", tmp_path)
    assert "there is no directory" in bad("compile", TFLITE, "-o", tmp_path / "no" / "x.enf")
    assert "this is a directory" in bad("compile", tmp_path, "-o", tmp_path / "x.enf")
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        assert "permission denied" in bad("compile", TFLITE, "-o", tmp_path / "x.enf")


def test_an_old_output_survives_a_failure(tmp_path: Path):
    (tmp_path / "x.enf").write_bytes(b"old")
    (tmp_path / "source").write_bytes(b"hello")
    bad("compile", tmp_path / "source", "-o", tmp_path / "x.enf")
    assert (tmp_path / "x.enf").read_bytes() == b"old"


def test_damaged_programs(program: Path, tmp_path: Path):
    data = bytearray(program.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "bad.enf").write_bytes(data)
    for command in (("inspect", "bad.enf"), ("run", "bad.enf", "--inputs", TFLITE)):
        sentence = bad(command[0], tmp_path / command[1], *command[2:])
        assert sentence
    assert "not a compiled program" in bad("inspect", TFLITE)
    (tmp_path / "empty").write_bytes(b"")
    assert "not a compiled program" in bad("inspect", tmp_path / "empty")
    (tmp_path / "short.enf").write_bytes(b"enf\0")
    assert "header" in bad("inspect", tmp_path / "short.enf")


def test_as_processes(tmp_path: Path):
    command = [sys.executable, "-X", "importtime", "-m", "furiosa_ir.tools.furiosa", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("furiosa, version ")
    for heavy in ("xdsl", "numpy", "onnx", "rich"):
        assert f" {heavy}\n" not in done.stderr
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    files = [tmp_path / "a.enf", tmp_path / "b.enf"]
    for path in files:
        command = [
            sys.executable,
            "-m",
            "furiosa_ir.tools.furiosa",
            "compile",
            str(TFLITE),
            "-o",
            str(path),
        ]
        subprocess.run(command, capture_output=True, check=True, env=environment)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_inspecting_loads_no_compiler(program: Path):
    code = (
        "import sys; from pathlib import Path;"
        "from furiosa_ir.tools.inspection import inspect_file;"
        f"inspect_file(Path({str(program)!r}), as_json=True, disassembled=False);"
        "print([m for m in ('xdsl', 'onnx', 'rich') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("source", [TFLITE, ONNX])
def test_verify_a_batch(source: Path, tmp_path: Path):
    result = good("compile", source, "--verify", "-b", "3", "-o", tmp_path / "x")
    assert "every element equal to" in result.stderr
    (entry,) = json.loads(good("inspect", "--json", tmp_path / "x").stdout)["inputs"]
    assert entry["shape"][0] == 3


def test_a_float_network_is_compiled_with_a_warning(tmp_path: Path):
    model = network([helper.make_node("Exp", ["x"], ["y"])], {"x": [1, 4]}, {"y": [1, 4]})
    path = tmp_path / "float.onnx"
    onnx.save(model, path)
    result = good("compile", path, "-o", tmp_path / "x")
    (warning,) = [line for line in result.stderr.splitlines() if line.startswith("WARNING: ")]
    assert f"{path}: the network is not quantised and runs wholly on the host" in warning
    assert "`furiosa quantize`" in warning
    assert "WARNING" not in good("compile", ONNX, "-o", tmp_path / "x").stderr


def test_a_network_on_the_host_has_no_time_on_the_npu(tmp_path: Path):
    """It used to have an estimated latency of 0 µs."""
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4])
    for name, nodes in {
        "relu": [helper.make_node("Relu", ["x"], ["y"])],
        "identity": [helper.make_node("Identity", ["x"], ["y"])],
    }.items():
        graph = helper.make_graph(nodes, "g", [x], [y])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        onnx.save(model, tmp_path / f"{name}.onnx")
        said = good("compile", tmp_path / f"{name}.onnx", "-o", tmp_path / "a.enf").stderr
        assert "Estimated latency: none, as nothing runs whose time is estimated\n" in said
        assert "0 µs" not in said
        shown = good("inspect", tmp_path / "a.enf").stdout
        assert "none, as nothing runs whose time is estimated" in shown
        assert "0 µs" not in shown
