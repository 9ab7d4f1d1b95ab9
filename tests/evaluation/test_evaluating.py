"""Validation sets through the simulator: the same result from however many workers, wherever."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

import furiosa_ir as fi
from furiosa_ir.errors import FuriosaError
from furiosa_ir.evaluation import Evaluation, Progress, Settings, evaluate
from furiosa_ir.runtime import session
from furiosa_ir.tools.furiosa import main
from tests.conftest import DIGITS, ROOT

Array = np.ndarray[Any, Any]
NETWORK = DIGITS / "digits_int8.tflite"
ARRAYS = DIGITS / "digits_inputs.npz"
COUNT = 60


@pytest.fixture(scope="module")
def program() -> bytes:
    return bytes(fi.compile(NETWORK, use_cache=False))


@pytest.fixture(scope="module")
def images() -> Array:
    """Noise: the ranks of labels among its scores are of all sizes."""
    rng = np.random.default_rng(5)
    return rng.integers(-128, 128, (COUNT, 8, 8, 1), np.int8)


@pytest.fixture(scope="module")
def labels() -> list[int]:
    return [(7 * i) % 10 for i in range(COUNT)]


@pytest.fixture(scope="module")
def ranks(program: bytes, images: Array, labels: list[int]) -> list[int]:
    """What a session gives, sample by sample; ties to the lower number."""
    found: list[int] = []
    with session.create(program) as running:
        for image, label in zip(images, labels, strict=True):
            scores = running.run(image[None])[0].numpy().reshape(-1).astype(int)
            found.append(list(np.argsort(-scores, kind="stable")).index(label))
    assert len(set(found)) > 5
    return found


def result_of(ranks: list[int]) -> dict[str, float]:
    return {f"top-{k}": sum(rank < k for rank in ranks) / len(ranks) for k in (1, 5)}


@pytest.mark.parametrize("processes", [0, 1, 3])
def test_it_is_what_a_session_gives_sample_by_sample(
    program: bytes, images: Array, labels: list[int], ranks: list[int], processes: int
) -> None:
    steps: list[Progress] = []
    found = evaluate(program, images, labels, Settings(processes=processes), on_step=steps.append)
    assert found.values == ranks
    assert found.result == result_of(ranks)
    assert found.correct == {k: round(v * COUNT) for k, v in found.result.items()}
    assert (found.samples, found.kept, found.workers) == (COUNT, 0, max(1, processes))
    assert found.images_per_second > 0
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert (steps[-1].done, steps[-1].total) == (COUNT, COUNT)
    assert steps[-1].accuracy == found.result


def test_a_batch_gives_the_same(images: Array, labels: list[int], ranks: list[int]) -> None:
    """The last run lacks some of its samples."""
    batched = bytes(fi.compile(NETWORK, batch_size=7, use_cache=False))
    found = evaluate(batched, images, labels, Settings())
    assert COUNT % 7
    assert found.values == ranks


def test_a_few_are_from_all_over(
    program: bytes, images: Array, labels: list[int], ranks: list[int]
) -> None:
    found = evaluate(program, images, labels, Settings(count=7))
    assert found.indices == [0, 8, 17, 25, 34, 42, 51]
    assert found.values == [ranks[i] for i in found.indices]


METRICS = '''
import numpy as np

def margin(outputs, label):
    scores = outputs["probabilities"].reshape(-1).astype(int)
    return int(scores[label]) - scores.max()

def both(outputs, label):
    (scores,) = outputs.values()
    return {"greatest": scores.max(), "label": np.float32(label)}

class Confusion:
    """Counts of (label, found)."""

    def __call__(self, outputs, label):
        counts = np.zeros((10, 10), int)
        counts[label, outputs["probabilities"].argmax()] += 1
        return counts

    def summary(self, values):
        total = np.sum(values, axis=0)
        return {"right": np.trace(total) / total.sum(), "of 3": total[3].sum()}

def number(outputs, label):
    return label

def half(outputs, label):
    import fractions
    return inner(label)

def inner(label):
    return 1 / (label - 3)

def nan(outputs, label):
    return float("nan") if label == 2 else 1.0

def nothing(outputs, label):
    pass

def array(outputs, label):
    return np.zeros(2)

def sometimes(outputs, label):
    return {"a": 1} if label else {"b": 1}

class Broken:
    def __init__(self):
        raise ValueError("no\\nmodel")

class BadSummary:
    def __call__(self, outputs, label):
        return 1

    def summary(self, values):
        return len(values) / 0

VALUE = 3
'''


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("metrics") / "metrics.py"
    path.write_text(METRICS)
    return path


def test_metrics_of_ones_own(
    program: bytes, images: Array, labels: list[int], ranks: list[int], metrics: Path
) -> None:
    with session.create(program) as running:
        scores = [running.run(i[None])[0].numpy().reshape(-1).astype(int) for i in images]

    def run(name: str, processes: int = 0) -> Evaluation:
        settings = Settings(metric=f"{metrics}:{name}", processes=processes)
        return evaluate(program, images, labels, settings)

    margins = [int(s[label] - s.max()) for s, label in zip(scores, labels, strict=True)]
    found = run("margin")
    assert found.values == margins
    assert found.result == {"margin": sum(margins) / COUNT}
    assert not found.correct
    found = run("both")
    assert found.result == {
        "greatest": sum(int(s.max()) for s in scores) / COUNT,
        "label": sum(labels) / COUNT,
    }
    found = run("Confusion", processes=2)
    right = sum(int(s.argmax()) == label for s, label in zip(scores, labels, strict=True))
    assert found.result == {"right": right / COUNT, "of 3": labels.count(3)}
    # Without labels a metric gets the sample's number; any callable is one.
    found = evaluate(program, images, None, Settings(metric=f"{metrics}:number", count=3))
    assert found.values == [0, 20, 40]
    found = evaluate(program, images, None, Settings(metric=lambda _outputs, label: label, count=3))
    assert found.result == {"<lambda>": 20.0}.items() or list(found.result.values()) == [20.0]


def test_labels_of_a_metric_may_be_arrays(program: bytes, images: Array, tmp_path: Path) -> None:
    """They are read beside the samples."""
    masks = np.arange(COUNT * 6).reshape(COUNT, 2, 3)
    np.savez_compressed(tmp_path / "set.npz", image=images, mask=masks)

    def sums(_outputs: Any, label: Array) -> int:
        assert label.shape == (2, 3)
        return int(label.sum())

    found = evaluate(program, tmp_path / "set.npz", "mask", Settings(metric=sums))
    assert found.values == masks.sum((1, 2)).tolist()


def line(text: str) -> str:
    """FILE:LINE of a text in the metrics."""
    (number,) = (i for i, line in enumerate(METRICS.splitlines(), 1) if text in line)
    return f"metrics.py:{number}: the metric"


METRIC_FAULTS = {
    "half": f"{line('1 / (')} raises ZeroDivisionError: division by zero, for sample 9",
    "nan": f"{line('def nan')} 'nan' returns a NaN for sample 6",
    "nothing": f"{line('def nothing')} 'nothing' returns nothing, no number or dict of numbers",
    "array": "returns a list of 2, no number or dict of numbers for sample 0",
    "sometimes": "the metric 'sometimes' returns other names here than there",
    "Broken": f"{line('raise ValueError')} 'Broken' cannot be made: ValueError: no model",
    "BadSummary": f"{line('/ 0')} raises ZeroDivisionError: .*, in 'summary'",
    "VALUE": "metrics.py: there is no function 'VALUE'",
    "missing": "there is no function 'missing' .name the metric as FILE.py:FUNCTION",
}


@pytest.mark.parametrize("name", METRIC_FAULTS)
def test_metrics_that_fail(
    program: bytes, images: Array, labels: list[int], metrics: Path, name: str
) -> None:
    with pytest.raises(FuriosaError, match=METRIC_FAULTS[name]):
        evaluate(program, images, labels, Settings(metric=f"{metrics}:{name}"))


def test_metrics_that_do_not_load(program: bytes, images: Array, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("x = 1\ny = 1 / 0\n")
    for metric, message in {
        f"{tmp_path}/wrong.py:f": "wrong.py:2: the plug-in does not load: ZeroDivisionError",
        f"{tmp_path}/none.py:f": "none.py: the metric cannot be loaded: the plug-in does not exist",
        "": "the metric cannot be loaded",
    }.items():
        with pytest.raises(FuriosaError, match=message):
            evaluate(program, images, None, Settings(metric=metric))
    with pytest.raises(FuriosaError, match="the metric is of type int, no function"):
        evaluate(program, images, None, Settings(metric=3))  # pyright: ignore[reportArgumentType]


class Interrupted(BaseException):
    """As Ctrl-C, which no `except Exception` sees."""


def test_it_goes_on_where_it_stopped(
    program: bytes,
    images: Array,
    labels: list[int],
    ranks: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(partial=tmp_path)
    went_on: list[tuple[Path, int]] = []

    def stop(progress: Progress) -> None:
        if progress.done >= 10:
            raise Interrupted

    def run(on_step: Any, settings: Settings = settings) -> Evaluation:
        return evaluate(
            program,
            images,
            labels,
            settings,
            name="digits",
            on_open=lambda *told: went_on.append(told),
            on_step=on_step or (lambda _progress: None),
        )

    with pytest.raises(Interrupted):
        run(stop)
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("digits.")
    assert file.name.endswith(".evaluation.json")
    kept = json.loads(file.read_text())["values"]
    assert 10 <= len(kept) < COUNT
    assert kept == {str(i): ranks[i] for i in range(len(kept))}
    # A part of them is an evaluation, too, and takes nothing away from what is done.
    few = run(None, Settings(partial=tmp_path, count=5))
    assert few.values == [ranks[i] for i in range(0, COUNT, 12)]
    assert 0 < few.kept < 5
    assert json.loads(file.read_text())["values"].keys() >= kept.keys()
    steps: list[Progress] = []
    found = run(steps.append)
    assert went_on[-1][0] == file
    assert went_on[-1][1] == found.kept >= len(kept)
    assert steps[0].done > found.kept
    assert found.values == ranks
    assert found.result == result_of(ranks)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def programs() -> dict[int, fi.Program]:
    """By batch size."""
    return {n: fi.compile(NETWORK, batch_size=n, use_cache=False) for n in (1, 2, 7)}


@given(
    batch=st.sampled_from([1, 2, 7]),
    count=st.integers(1, COUNT) | st.none(),
    stops=st.lists(st.integers(1, 30), max_size=4),
    chunk=st.sampled_from([1e-9, 0.002, 0.25]),
)
def test_whatever_happens_on_the_way(
    programs: dict[int, fi.Program],
    images: Array,
    labels: list[int],
    ranks: list[int],
    tmp_path_factory: pytest.TempPathFactory,
    batch: int,
    count: int | None,
    stops: list[int],
    chunk: float,
) -> None:
    """Batches, parts, interruptions, sizes of items: each sample's result is the same."""
    settings = Settings(partial=tmp_path_factory.mktemp("kept"), count=count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("furiosa_ir.evaluation.evaluating._ITEM_SECONDS", chunk)
        for after in [*stops, None]:
            steps: list[Progress] = []

            def step(progress: Progress, after: int | None = after) -> None:
                steps.append(progress)  # noqa: B023  # of this round
                if len(steps) == after:  # noqa: B023
                    raise Interrupted

            try:
                found = evaluate(bytes(programs[batch]), images, labels, settings, on_step=step)
            except Interrupted:
                continue
            chosen = COUNT if count is None else count
            assert list(found.indices) == [i * COUNT // chosen for i in range(chosen)]
            assert found.values == [ranks[i] for i in found.indices]


def test_files_of_others_are_left_alone(
    program: bytes, images: Array, labels: list[int], tmp_path: Path
) -> None:
    file = tmp_path / "kept.json"

    def run(labels: list[int], *, restart: bool = False, stop_at: int = COUNT + 1) -> Evaluation:
        def stop(progress: Progress) -> None:
            if progress.done >= stop_at:
                raise Interrupted

        settings = Settings(partial=file, restart=restart)
        return evaluate(program, images, labels, settings, on_step=stop)

    with pytest.raises(Interrupted):
        run(labels, stop_at=3)
    before = file.read_bytes()
    others = [(label + 1) % 10 for label in labels]
    with pytest.raises(
        FuriosaError,
        match=r"kept.json: it holds the results of another evaluation "
        r"\(its labels differs\) \(--restart begins anew",
    ):
        run(others)
    assert file.read_bytes() == before
    assert run(others, restart=True).kept == 0
    for content in (b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b"null"):
        file.write_bytes(content)
        with pytest.raises(FuriosaError, match="is no file of results of an evaluation"):
            run(labels)
        assert file.read_bytes() == content
    sound = json.loads(before)
    for values in (
        [],
        {"-1": 0},
        {"60": 0},
        {"x": 0},
        {"1": 10},
        {"1": -1},
        {"1": "0"},
        {"1": True},
        {"²": 0},
        {"9" * 5000: 0},
        {"1": float("nan")},
    ):
        file.write_text(json.dumps({**sound, "values": values}))
        with pytest.raises(FuriosaError, match="is no file of results of an evaluation"):
            run(labels)
    file.write_text(json.dumps({**sound, "format": 2}))
    with pytest.raises(FuriosaError, match="it holds the results of another evaluation"):
        run(labels)


def workers_of(process: int) -> list[int]:
    """The processes that do the work of one, of whichever of its threads they are."""
    found: list[int] = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):  # one has ended
            pids = map(int, children.read_text().split())
            found += [p for p in pids if b"evaluation" in Path(f"/proc/{p}/cmdline").read_bytes()]
    return found


def test_a_killed_process_changes_nothing(
    program: bytes, images: Array, labels: list[int], ranks: list[int]
) -> None:
    killed: list[int] = []

    def kill(_progress: Progress) -> None:
        ours = workers_of(os.getpid())
        if ours and len(killed) < 2:
            killed.append(ours[0])
            os.kill(ours[0], signal.SIGKILL)

    many = np.concatenate([images] * 5)
    found = evaluate(program, many, labels * 5, Settings(processes=2), on_step=kill)
    assert len(killed) == 2
    assert found.values == ranks * 5


def one_output(name: str, function: str, shape: list[int]) -> onnx.ModelProto:
    nodes = [helper.make_node(function, ["x"], [name])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_nan_among_the_scores_is_told(images: Array) -> None:
    logarithm = bytes(fi.compile(one_output("y", "Log", [1, 4]).SerializeToString()))
    x = np.ones((9, 4), np.float32)
    x[5, 2] = -1
    with pytest.raises(FuriosaError) as got:
        evaluate(logarithm, x, [0] * 9, Settings())
    assert str(got.value) == "sample 5: the output 'y' has a NaN"


def test_a_program_that_is_replaced_is_told(
    program: bytes, images: Array, labels: list[int], tmp_path: Path
) -> None:
    """By whoever takes the place of a lost worker, which opens it anew."""
    file = tmp_path / "net.enf"
    file.write_bytes(program)
    replaced: list[Progress] = []

    def replace(progress: Progress) -> None:
        if not replaced:
            file.write_bytes(program + b" ")
            for worker in workers_of(os.getpid()):
                os.kill(worker, signal.SIGKILL)
        replaced.append(progress)

    many = np.concatenate([images] * 5)
    with pytest.raises(FuriosaError, match=r"net.enf: it has changed since the evaluation began"):
        evaluate(file, many, labels * 5, Settings(processes=1), on_step=replace)


def test_what_cannot_be_measured(program: bytes, images: Array, labels: list[int]) -> None:
    def fails(message: str, given: Any = labels, **settings: Any) -> None:
        with pytest.raises(FuriosaError, match=message):
            evaluate(program, images, given, Settings(**settings))

    fails(r"there are no labels \(give --labels, or a --metric\)", None)
    fails("the label 10 of sample 7 is no class .there are 10", [*labels[:7], 10, *labels[8:]])
    fails("the label -1 of sample 7 is no class", [*labels[:7], -1, *labels[8:]])
    fails("the label 7 of sample 1 with the offset 5 is no class", label_offset=5)
    fails("--label-offset -1 counts labels from 1", [i % 10 + 1 for i in range(COUNT)])
    fails(r"there is no output 'x' \(the outputs are 'probabilities'\)", scores="x")
    fails("--scores and --label-offset are for top-1", metric=lambda _o, _l: 1, label_offset=1)
    fails("the scheduler 'tcp://nowhere' cannot be reached", scheduler="tcp://nowhere")
    one = bytes(fi.compile(one_output("y", "Relu", [1, 1]).SerializeToString()))
    with pytest.raises(FuriosaError, match=r"'y', float32\[1, 1\], has no scores of classes for a"):
        evaluate(one, np.ones((2, 1)), [0, 0], Settings())


def test_numbers_of_classes_may_be_shifted(
    program: bytes, images: Array, labels: list[int], ranks: list[int]
) -> None:
    shifted = [label + 1 for label in labels]
    found = evaluate(program, images, shifted, Settings(label_offset=-1))
    assert found.values == ranks


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, dashboard_address=":0", silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address


def test_a_cluster_gives_the_same(
    program: bytes,
    images: Array,
    labels: list[int],
    ranks: list[int],
    metrics: Path,
    scheduler: str,
) -> None:
    """Also while one of its workers is killed."""
    from distributed import Client

    settings = Settings(scheduler=scheduler)
    with Client(scheduler, set_as_default=False) as client:
        processes = list(client.run(os.getpid).values())

        def kill(_progress: Progress) -> None:
            if processes:
                os.kill(processes.pop(), signal.SIGKILL)
                processes.clear()

        many = np.concatenate([images] * 3)
        found = evaluate(program, many, labels * 3, settings, on_step=kill)
    assert not processes
    assert found.values == ranks * 3
    assert found.scheduler == scheduler
    local = evaluate(program, images, labels, Settings(metric=f"{metrics}:Confusion"))
    there = evaluate(
        program, images, labels, Settings(metric=f"{metrics}:Confusion", scheduler=scheduler)
    )
    assert there.values == local.values
    assert there.result == local.result


# The command line.


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", *arguments])


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with np.load(ARRAYS) as arrays:
        data = {name: arrays[name][:40] for name in arrays.files}
    np.savez("set.npz", **data)
    (tmp_path / "labels.txt").write_text("\n".join(map(str, data["labels"])))
    fi.compile(NETWORK).save("net.enf")
    printed: set[str] = set()
    for file, labels, jobs in (
        (NETWORK, "labels", 1),
        (DIGITS / "digits_qdq_int8.onnx", "labels.txt", 1),
        ("net.enf", "labels.txt", 2),
    ):
        done = run(str(file), "--data", "set.npz", "--labels", labels, "-j", str(jobs))
        assert done.exit_code == 0, done.output
        lines = done.stdout.splitlines()
        printed.add("\n".join(lines[:2]))
        assert lines[2].startswith("40 samples in ")
        assert lines[2].endswith(f" images/s on {jobs} process{'es' * (jobs > 1)}")
        assert "Samples 40/40, top-1 97.50 %" in done.stderr
    assert printed == {"top-1: 97.50 % (39 of 40)\ntop-5: 100.00 % (40 of 40)"}
    done = run(
        *("net.enf", "--data", "set.npz", "--labels", "labels", "--json", "-q"),
        *("-o", "each.csv", "-n", "4", "-j", "1"),
    )
    assert not done.stderr
    found = json.loads(done.stdout)
    assert found["result"] == {"top-1": 1.0, "top-5": 1.0}
    assert (found["samples"], found["workers"], found["scheduler"]) == (4, 1, None)
    assert Path("each.csv").read_text() == "sample,rank\n0,0\n10,0\n20,0\n30,0\n"
    done = run("net.enf", "--data", "set.npz", "--labels", "labels", "-qn", "1", "-j1", "-o", "-")
    assert done.stdout == "sample,rank\n0,0\n"
    assert done.stderr.startswith("top-1: 100.00 % (1 of 1)\n")
    assert "\n1 sample in " in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "each.csv",
        "labels.txt",
        "net.enf",
        "set.npz",
    ]


COMMAND_FAULTS = {
    "--data none.npz --labels labels": "none.npz: cannot be read: No such file",
    "--data set.npz": "there are no labels (give --labels",
    "--data set.npz --labels none": "the labels 'none' are neither a file nor an array of the data",
    "--data set.npz --labels labels -j 2 --scheduler tcp://x:1": "--jobs is for this machine",
    "--data set.npz --labels labels -o set.npz": "the output would replace an input",
    "--data set.npz --labels labels --partial set.npz": "the output would replace an input",
    "--data set.npz --labels labels --partial no/x": "no/x: cannot be written: there is no direct",
    "--data set.npz --labels labels --target-npu warboy": "net.enf: the program is for",
    "--data set.npz --labels labels -b 2": "net.enf: the program takes 'image' of shape",
    "--data set.npz --labels labels --dim N=2": "net.enf: the shapes of a program",
}


@pytest.mark.parametrize("line", COMMAND_FAULTS)
def test_faults_are_one_sentence(
    line: str, program: bytes, images: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("set.npz", x=images, labels=np.zeros(COUNT, int))
    (tmp_path / "net.enf").write_bytes(program)
    done = run("net.enf", *line.split())
    assert done.exit_code == 1
    assert done.stderr.startswith(f"ERROR: {COMMAND_FAULTS[line]}") or (
        COMMAND_FAULTS[line] in done.stderr
    )
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.enf", "set.npz"]


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_ctrl_c_and_again(
    number: signal.Signals, program: bytes, images: Array, labels: list[int], tmp_path: Path
) -> None:
    many = np.concatenate([images] * 1000)
    np.savez(tmp_path / "set.npz", x=many, labels=np.array(labels * 1000))
    (tmp_path / "net.enf").write_bytes(program)
    code = "from furiosa_ir.tools.launch import furiosa as f; f()"
    command = [sys.executable, "-P", "-c", code, "evaluate", "net.enf", "--data", "set.npz"]
    command += ["--labels", "labels", "-j", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ours, theirs = os.openpty()
    started = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=theirs)
    os.close(theirs)
    said = b""
    while said.count(b"images/s") < 3:
        said += os.read(ours, 1000)
    workers = workers_of(started.pid)
    assert len(workers) == 2
    started.send_signal(number)
    assert started.wait(30) == 128 + number
    with suppress(OSError):  # nobody has it open any more
        while True:
            said += os.read(ours, 1000)
    os.close(ours)
    last = "interrupted" if number == signal.SIGINT else "terminated"
    assert said.decode().endswith(f"ERROR: {last}\r\n")
    while [worker for worker in workers if Path(f"/proc/{worker}/fd/0").exists()]:
        time.sleep(0.01)
    (kept,) = (p for p in tmp_path.iterdir() if p.name.endswith(".evaluation.json"))
    done = len(json.loads(kept.read_text())["values"])
    assert 0 < done < len(many)
    again = subprocess.run(
        [*command, "-n", "1"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"Going on: 1 sample done before, kept in {kept.name}" in again.stderr
    assert len(json.loads(kept.read_text())["values"]) == done
