"""Every figure of docs/benchmarks.md in one run: `make bench`.

Usage: python benchmarks/bench.py [--parts PART,...] [--quick] [--runs N] [--date DATE]
       [--models DIR] [--output DIR] [--vela FILE] [--iree FILE] [--tvm-python FILE]

Parts: compile (time and peak memory beside Vela, IREE and TVM), simulate (beside LiteRT and
onnxruntime), schedule (NPU time, DRAM traffic and SRAM against their bounds), published (estimates
against the vendor's latencies), scale (20 to 2,000 layers). What is timed is timed in turn with its
peer, and the median of at least five runs counts (two with --quick). A peer that is not installed
is left out, with its reason. Networks: the corpus in ../shared/models, or those bundled here.

Writes DIR/bench.json after each part, and a plot a part, DIR/*.svg. --date is written as it is.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import plots
import scale
import schedule_quality
from compile_vs_vela import COMPILE, Failed, Figures, in_turn
from networks import BUNDLED, MODELS, ROOT, named, quantised

Result = dict[str, Any]

COMPILED = (
    "kws_dscnn_int8", "vww_mbv1_025_96_int8", "ic_resnet8_int8", "ad_fc_ae_int8",
    "mbv2_100_224_ptq_int8", "mobilenet_edgetpu_075_224_ptq_u8", "ssd_mbv1_coco_300_u8",
    "deeplabv3_mbv2_dm05_pascal_u8",
)  # fmt: skip
"""TFLite, beside Vela; a generated ResNet50 is added."""
COMPILED_ONNX = ("mobilenet_v1_qdq_int8", "resnet50_v15_qdq_int8")
"""ONNX, beside IREE and TVM."""
SIMULATED = (
    *COMPILED, "mobilenet_v1_qdq_int8", "mobilenet_v2_qdq_int8", "resnet50_v15_qdq_int8",
    "ssd_mobilenet_v1_qdq_int8", "ssd_resnet34_1200_qdq_int8",
)  # fmt: skip
LAYERS = (20, 60, 200, 600, 2000)
QUICK_NETWORKS, QUICK_LAYERS, QUICK_RUNS = 2, LAYERS[:3], 2

_TVM = """
import sys, onnx, tvm
from tvm.relax.frontend.onnx import from_onnx
module = from_onnx(onnx.load(sys.argv[1]))
tvm.compile(module, target="llvm").export_library(sys.argv[2])
"""


class Skipped(Exception):
    """A part that cannot run here, and why."""


@dataclass(frozen=True)
class Bench:
    """What was asked for.

    Attributes:
        models: the corpus' folder.
        output: where the figures go.
        quick: a few networks, few runs.
        runs: timed runs of each.
        vela, iree, tvm_python: the peers' executables; IREE's is iree-compile.
    """

    models: Path
    output: Path
    quick: bool
    runs: int
    vela: str | None
    iree: str | None
    tvm_python: str | None

    def networks(self, *stems: str) -> list[Path]:
        """Those of the corpus, or the bundled ones."""
        found = named(self.models, *stems)
        return found[:QUICK_NETWORKS] if self.quick else found


def resnet50_tflite(folder: Path) -> Path:
    """A ResNet50 of random weights: the corpus has it as ONNX only."""
    path = folder / "resnet50_generated.tflite"
    command = [sys.executable, "-P", str(ROOT / "benchmarks" / "resnet50_tflite.py"), str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or [f"exit code {error.returncode}"]
        raise Skipped(f"the generated ResNet50 was not made: {said[-1]}") from error
    return path


def tflite_networks(bench: Bench, folder: Path, *stems: str) -> list[Path]:
    """TFLite networks, with ResNet50 unless the run is quick."""
    networks = [path for path in bench.networks(*stems) if path.suffix == ".tflite"]
    return networks if bench.quick else [*networks, resnet50_tflite(folder)]


def compile_commands(bench: Bench, model: Path, folder: Path) -> dict[str, list[str]]:
    """Compiler -> its command for this network; ours first."""
    commands = {"furiosa": [*COMPILE, str(model), "-o", f"{folder}/out.enf"]}
    if model.suffix == ".tflite":
        if bench.vela:
            options = ["--accelerator-config", "ethos-u65-512", "--output-dir", str(folder)]
            commands["vela"] = [bench.vela, *options, str(model)]
        return commands
    if bench.iree:
        importer = Path(bench.iree).with_name("iree-import-onnx")
        options = "--iree-hal-target-device=local --iree-hal-local-target-device-backends=llvm-cpu"
        script = (
            f'"$1" "$3" -o "$4/iree.mlir" --opset-version 17 && '
            f'"$2" {options} "$4/iree.mlir" -o "$4/iree.vmfb"'
        )
        paths = [str(importer), bench.iree, str(model), str(folder)]
        commands["iree"] = ["sh", "-c", script, "sh", *paths]
    if bench.tvm_python:
        commands["tvm"] = [bench.tvm_python, "-c", _TVM, str(model), f"{folder}/tvm.so"]
    return commands


def compiled(bench: Bench, model: Path, folder: Path, skipped: dict[str, str]) -> Result:
    """A network's row; a peer that fails on it is left out."""
    commands = compile_commands(bench, model, folder)
    for peer in [name for name in commands if name != "furiosa"]:
        try:  # once for all that a first run pays
            in_turn({peer: commands[peer]}, 1)
        except Failed as error:
            skipped[f"{peer}, {model.stem}"] = str(error).splitlines()[-1]
            del commands[peer]
    found: Mapping[str, Figures] = in_turn(commands, bench.runs)
    ours = found["furiosa"]
    row: Result = {"network": model.stem}
    for name, figures in found.items():
        row[name] = figures._asdict()
        if name != "furiosa":
            row[f"over_{name}"] = {
                "seconds": ours.seconds / figures.seconds,
                "processor_seconds": ours.processor_seconds / figures.processor_seconds,
                "peak": ours.peak_mib / figures.peak_mib,
            }
    return row


def compile_part(bench: Bench) -> Result:
    """Compile times and peak memory, whole processes, in turn with the peers."""
    skipped = {
        name: reason
        for name, executable, reason in (
            ("vela", bench.vela, "not installed: pip install ethos-u-vela, or --vela FILE"),
            (
                "iree",
                bench.iree,
                "not installed: pip install iree-base-compiler[onnx], --iree FILE",
            ),
            ("tvm", bench.tvm_python, "not given: --tvm-python, a Python with apache-tvm and onnx"),
        )
        if not executable
    }
    rows: list[Result] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = tflite_networks(bench, folder, *COMPILED)
        models += [p for p in bench.networks(*COMPILED_ONNX) if p.suffix == ".onnx"]
        for model in models:
            row = compiled(bench, model, folder, skipped)
            rows.append(row)
            print(
                f"{model.stem:36}"
                + "".join(
                    f"  {peer} {row[peer]['seconds']:.2f} s {row[peer]['peak_mib']:.0f} MiB"
                    for peer in ("furiosa", "vela", "iree", "tvm")
                    if peer in row
                ),
                flush=True,
            )
    for peer, reason in skipped.items():
        print(f"left out: {peer}: {reason}")
    for figure, unit in (("seconds", "seconds"), ("peak_mib", "MiB")):
        beside = [row for row in rows if "vela" in row]
        if beside:
            plots.bars(
                bench.output / f"compile-{figure.removesuffix('_mib')}.svg",
                f"Compiling: {'time' if figure == 'seconds' else 'peak memory'}",
                f"{unit} of the whole process, cold cache, in turn with Vela (Ethos-U65-512)",
                ("furiosa compile", "Vela"),
                [(r["network"], [r[name][figure] for name in ("furiosa", "vela")]) for r in beside],
            )
    return {"rows": rows, "left_out": skipped}


def simulate_part(bench: Bench) -> Result:
    """Warm simulation beside the host's own runtime."""
    try:
        from simulate_vs_cpu import means, row  # noqa: PLC0415 - needs LiteRT
    except ImportError as error:
        raise Skipped(f"{error}: pip install -e .[litert]") from error
    rows: list[Result] = []
    with tempfile.TemporaryDirectory() as name:
        models = bench.networks(*SIMULATED)
        models += [] if bench.quick else [resnet50_tflite(Path(name))]
        for model in models:
            found = row(model, bench.runs)
            found["peer"] = "LiteRT" if model.suffix == ".tflite" else "onnxruntime"
            rows.append(found)
            print(
                f"{model.stem:36} {found['simulator_ms']:9.3f} ms, {found['peer']} "
                f"{found['host_ms']:.3f} ms: {found['ratio']:.2f}",
                flush=True,
            )
    peers = ("LiteRT", "onnxruntime")
    plots.bars(
        bench.output / "simulation.svg",
        "Simulation over the host's own runtime",
        "warm time of the bit-exact simulator over that of the peer, one thread each",
        [f"over {peer}" for peer in peers],
        [(Path(r["file"]).stem, [r["ratio"] if r["peer"] == p else None for p in peers])
         for r in rows],
        reference=1,
    )  # fmt: skip
    if any("native_ms" in r for r in rows):
        plots.bars(
            bench.output / "native.svg",
            "Native code (iree-cpu) over the host's own runtime",
            "warm time of the program in native code over that of the peer, one thread each",
            [f"over {peer}" for peer in peers],
            [(Path(r["file"]).stem, [r.get("native_over_host") if r["peer"] == p else None
              for p in peers]) for r in rows],
            reference=1,
        )  # fmt: skip
    return {"rows": rows, "means": means(rows)}


def schedule_part(bench: Bench) -> Result:
    """Schedules against their bounds: every network, both targets; nothing is timed."""
    models = quantised(bench.models)
    rows = schedule_quality.table(models[:QUICK_NETWORKS] if bench.quick else models)
    if rows:
        draw_schedules(rows, bench.output / "schedules.svg")
    return {"rows": [asdict(row) for row in rows], "geometric_mean": schedule_quality.means(rows)}


def draw_schedules(rows: Sequence[schedule_quality.Row], path: Path) -> None:
    """The plot of schedules against their bounds: a bar a target."""
    ratios = {(row.network, row.target): row.ratio for row in rows}
    means = schedule_quality.means(rows).items()
    plots.bars(
        path,
        "NPU time over what no schedule goes below",
        "warm, both under the performance model; geometric mean "
        + ", ".join(f"{mean:.2f} ({target})" for target, mean in means),
        schedule_quality.TARGETS,
        [
            (network, [ratios.get((network, target)) for target in schedule_quality.TARGETS])
            for network in dict.fromkeys(row.network for row in rows)
        ],
        reference=1,
    )


PERFORMANCE_MODEL = (sys.executable, "-P", str(ROOT / "benchmarks" / "performance_model.py"))
NEIGHBOURS = os.environ | {"PYTHONPATH": str(ROOT / "benchmarks")}
"""It imports its neighbours, which -P hides."""


def published_part(bench: Bench) -> Result:
    """Estimates against the vendor's latencies, by performance_model.py."""
    models = bench.models / "generated"
    if not models.is_dir():
        raise Skipped(f"the networks of the published rows are not in {models}")
    with tempfile.TemporaryDirectory() as name:
        figures = Path(name) / "published.json"
        command = [*PERFORMANCE_MODEL, models, "--json", figures]
        subprocess.run(command, check=True, env=NEIGHBOURS)
        rows = json.loads(figures.read_text())["rows"]
    for row in rows:
        row["ratio"] = row["with_toml_us"] / row["published_us"]
    errors = [abs(row["ratio"] - 1) for row in rows if not row["fitted"]]
    kinds = (False, True)
    plots.bars(
        bench.output / "published.svg",
        "Estimated latency over the published one",
        "cold; rows that were fitted say nothing about the model, the others do",
        ("predicted", "fitted"),
        [(f"{r['row']}, {r['target'].removeprefix('warboy-') if '-' in r['target'] else '1pe'}",
          [r["ratio"] if r["fitted"] is kind else None for kind in kinds]) for r in rows],
        reference=1,
    )  # fmt: skip
    return {"rows": rows, "mean_absolute_error_of_others": sum(errors) / len(errors)}


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """The k of y = c * x**k, by least squares of logarithms."""
    logarithms = [(math.log(x), math.log(y)) for x, y in points]
    return statistics.linear_regression(*zip(*logarithms, strict=True)).slope


def scale_part(bench: Bench) -> Result:
    """Compile times of networks of 20 to 2,000 layers, and the exponents they grow with."""
    rows: list[Result] = []
    layers = QUICK_LAYERS if bench.quick else LAYERS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        networks = {scale.many_operators(folder / f"{n}.onnx", n): f"{n}.onnx" for n in layers}
        taken: dict[int, list[scale.Figures]] = {count: [] for count in networks}
        for _ in range(bench.runs):  # in turn, so that a slow minute slows all of them
            for count, file in networks.items():
                taken[count].append(scale.measure(folder / file, folder / "out.enf"))
    for count, figures in taken.items():
        seconds = statistics.median(f.seconds for f in figures)
        peak = statistics.median(f.peak_mib for f in figures)
        on_processors = statistics.median(f.processor_seconds for f in figures)
        rows.append({"layers": count, "seconds": seconds, "processor_seconds": on_processors,
                     "peak_mib": peak})  # fmt: skip
        print(
            f"{count:6} layers: {seconds:.2f} s, {on_processors:.2f} on processors, {peak:.0f} MiB"
        )
    points = [(row["layers"], row["processor_seconds"]) for row in rows]
    over_all, at_end = exponent(points), exponent(points[-2:])
    print(f"processor seconds grow with layers^{over_all:.2f}, between the last two ^{at_end:.2f}")
    plots.power_law(
        bench.output / "scaling.svg",
        "Compile time by the number of layers",
        f"processor seconds; fitted: layers^{over_all:.2f}, then layers^{at_end:.2f}",
        points,
        "layers",
    )
    return {"rows": rows, "exponent": over_all, "exponent_of_last_two": at_end}


PARTS: dict[str, Callable[[Bench], Result]] = {
    "compile": compile_part,
    "simulate": simulate_part,
    "schedule": schedule_part,
    "published": published_part,
    "scale": scale_part,
}


def commit() -> str | None:
    """The commit that is measured, "+" behind it if files differ; None outside a clone."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + "+" * bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return None


def machine() -> Result:
    """What the figures were measured on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "load_at_start": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def versions(bench: Bench) -> dict[str, str]:
    """The versions of the peers that are here."""
    found: dict[str, str] = {}
    for name in ("ai-edge-litert", "onnxruntime"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    for name, executable in (("vela", bench.vela), ("iree", bench.iree)):
        if executable:
            done = subprocess.run(
                [executable, "--version"], capture_output=True, text=True, check=False
            )
            words = [line for line in done.stdout.splitlines() if any(c.isdigit() for c in line)]
            found[name] = words[0].strip() if words else "unknown"
    return found


def arguments_of(words: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """The options, and the parts to run in order."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--parts", default="", help=f"of {','.join(PARTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="few networks, two runs each")
    parser.add_argument("--runs", type=int, help="timed runs of each (default: 5; quick: 2)")
    parser.add_argument("--date", help="written into the JSON as it is")
    parser.add_argument("--models", type=Path, default=MODELS, help="the corpus (../shared/models)")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench")
    parser.add_argument("--vela", default=shutil.which("vela"), help="default: of PATH")
    parser.add_argument("--iree", default=shutil.which("iree-compile"), help="iree-compile")
    parser.add_argument("--tvm-python", help="a Python with apache-tvm and onnx")
    asked = parser.parse_args(words)
    parts = [part for part in asked.parts.split(",") if part]
    for part in parts:
        if part not in PARTS:
            parser.error(f"no part {part!r}: there are {', '.join(PARTS)}")
    if asked.runs is not None and asked.runs < 1:
        parser.error("--runs takes 1 or more")
    for option in ("vela", "iree", "tvm_python"):
        given = getattr(asked, option)
        if given and shutil.which(given) is None:
            parser.error(f"--{option.replace('_', '-')}: {given} is no executable file")
    quick = [part for part in PARTS if not (asked.quick and part == "published")]
    return asked, parts or quick


def main() -> None:
    """Runs the parts; each is in the JSON as soon as it is measured."""
    asked, parts = arguments_of()
    runs = asked.runs or (QUICK_RUNS if asked.quick else 5)
    output: Path = asked.output
    output.mkdir(parents=True, exist_ok=True)
    peers = (asked.vela, asked.iree, asked.tvm_python)
    bench = Bench(asked.models, output, asked.quick, runs, *peers)
    corpus = quantised(bench.models) != list(BUNDLED)
    if not corpus:
        print(f"no corpus in {bench.models}: the bundled networks and generated ones instead")
    found: Result = {
        "commit": commit(),
        "date": asked.date,
        "machine": machine(),
        "versions": versions(bench),
        "runs": runs,
        "quick": bench.quick,
        "networks": "corpus" if corpus else "bundled",
        "parts": {},
    }
    for part in parts:
        print(f"\n== {part} ==", flush=True)
        started = time.perf_counter()
        try:
            found["parts"][part] = PARTS[part](bench)
        except Skipped as reason:
            found["parts"][part] = {"skipped": str(reason)}
            print(f"skipped: {reason}")
        print(f"({math.ceil(time.perf_counter() - started)} s)", flush=True)
        new = output / "bench.json.new"
        new.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        new.replace(output / "bench.json")
    print(f"\n{output / 'bench.json'} and the plots beside it")


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
