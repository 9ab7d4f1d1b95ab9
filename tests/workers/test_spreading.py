"""Work spread over processes and over a real Dask cluster: the same answers, whatever is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from furiosa_ir.errors import FuriosaError
from furiosa_ir.native_process import NativeRefusal
from furiosa_ir.workers import Item, Work, Workers, open_workers, processes

if TYPE_CHECKING:
    from distributed import LocalCluster

pytest.importorskip("distributed", reason="the extra `dask` is not installed")

JOBS = """
import os, signal, time
from pathlib import Path
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.native_process import Answer

def version():
    return os.environ.get("SPREAD_VERSION", "1")

def jobs(options, data):
    made = []

    def square(order):
        made.append(order)
        (array,) = order.arrays
        return Answer(
            {"process": os.getpid(), "base": options["base"], "done": len(made)},
            data + order.data,
            [array * array],
        )

    def slow(order):
        time.sleep(order.options["seconds"])
        return Answer(order.options["number"])

    def die_once(order):
        mark = Path(order.options["mark"])
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Answer(order.options["number"])

    def die(order):
        os.kill(os.getpid(), signal.SIGKILL)

    def refuse(order):
        raise ExecutionFailure("it does not fit", layer="conv_1", hint="make it smaller")

    def crash(order):
        raise RuntimeError("not ours")

    def wait(order):
        here, go = Path(order.options["folder"], "here"), Path(order.options["folder"], "go")
        here.with_suffix(".new").write_text(str(os.getpid()))
        here.with_suffix(".new").replace(here)
        while not go.exists():
            time.sleep(0.01)
        return Answer(order.options["number"])

    return {f.__name__: f for f in (square, slow, die_once, die, refuse, crash, wait)}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a module of jobs lies that every process finds."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "spread_jobs.py").write_text(JOBS)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def work(folder: Path) -> Work:
    import spread_jobs  # pyright: ignore[reportMissingImports]  # of the fixture

    return Work(spread_jobs.jobs, {"base": 7}, b"data", spread_jobs.version)


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[LocalCluster]:
    """Two workers, begun anew whenever a test has killed one."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as cluster:
        yield cluster


@pytest.fixture
def scheduler(cluster: LocalCluster) -> str:
    """The address of a cluster whose workers are there.

    A nanny whose worker was killed begins it anew, or gives up if that takes long: then the cluster
    has one worker fewer, until it is asked for two again.
    """
    end = time.monotonic() + 240
    while True:
        try:
            cluster.wait_for_workers(2, timeout=5)
            break
        except TimeoutError:
            if time.monotonic() > end:
                raise
            cluster.scale(2)
    return cluster.scheduler_address


Open = Callable[..., Workers]


@pytest.fixture(params=["processes", "cluster"])
def opened(request: pytest.FixtureRequest, work: Work) -> Open:
    if request.param == "processes":
        return lambda count=2: open_workers(work, processes=count)
    address = request.getfixturevalue("scheduler")
    return lambda count=2: open_workers(work, scheduler=address)


def squares(count: int) -> Iterator[Item]:
    for number in range(count):
        yield Item("square", {}, b"+%d" % number, [np.full(3, number, np.int8)])


def test_answers_come_in_the_order_of_items(opened: Open) -> None:
    with opened() as workers:
        answers = list(workers.map(squares(20)))
    assert [a.data for a in answers] == [b"data+%d" % n for n in range(20)]
    for number, answer in enumerate(answers):
        (array,) = answer.arrays
        assert array.dtype == np.int8
        assert np.array_equal(array, np.full(3, number * number % 256, np.uint8).view(np.int8))
    assert all(a.value["base"] == 7 and a.value["process"] != os.getpid() for a in answers)
    # The jobs were made once in each worker.
    processes_there = {a.value["process"] for a in answers}
    assert sum(a.value["done"] == 1 for a in answers) == len(processes_there)


def test_unordered_gives_each_as_it_comes(opened: Open, tmp_path: Path) -> None:
    items = [Item("slow", {"seconds": 0, "number": n}) for n in range(4)]
    items[0] = Item("wait", {"folder": str(tmp_path), "number": 0})
    with opened() as workers:
        got: list[tuple[int, int]] = []
        for index, answer in workers.map_unordered(items):
            got.append((index, answer.value))
            (tmp_path / "go").touch()
    assert sorted(got) == [(n, n) for n in range(4)]
    assert got[0] != (0, 0)


def test_items_are_taken_as_there_is_room(opened: Open, tmp_path: Path) -> None:
    """While the first one is not done, the iterator is asked for a bounded number of others."""
    taken: list[int] = []
    go = tmp_path / "go"

    def items() -> Iterator[Item]:
        yield Item("wait", {"folder": str(tmp_path), "number": 0})
        for number in range(1, 200):
            taken.append(number)
            if number == 8:  # the other worker has done some of them
                go.touch()
            yield Item("slow", {"seconds": 0, "number": number})

    timer = threading.Timer(10, go.touch)  # Dask may let all others wait behind the first one
    timer.start()
    with opened() as workers:
        results = workers.map(items())
        assert next(results).value == 0
        assert len(taken) < 30
        timer.cancel()
        assert [answer.value for answer in results] == list(range(1, 200))


def test_a_lost_worker_costs_time_and_nothing_else(opened: Open, tmp_path: Path) -> None:
    items = [
        Item("die_once" if n == 3 else "slow", {"mark": f"{tmp_path}/x", "number": n, "seconds": 0})
        for n in range(12)
    ]
    with opened() as workers:
        assert [answer.value for answer in workers.map(items)] == list(range(12))


def test_a_worker_that_somebody_kills(opened: Open, tmp_path: Path) -> None:
    """Amidst an item; another worker does that."""

    def kill() -> None:
        os.kill(int(awaited(tmp_path / "here").read_text()), signal.SIGKILL)
        (tmp_path / "go").touch()

    thread = threading.Thread(target=kill)
    thread.start()
    items = [Item("slow", {"seconds": 0, "number": n}) for n in range(6)]
    items[2] = Item("wait", {"folder": str(tmp_path), "number": 2})
    with opened() as workers:
        assert [answer.value for answer in workers.map(items)] == list(range(6))
    thread.join()


def awaited(path: Path) -> Path:
    """A file, when it is there."""
    while not path.exists():
        time.sleep(0.01)
    return path


def test_what_ends_every_worker_is_told(opened: Open) -> None:
    with (
        opened() as workers,
        pytest.raises(FuriosaError, match="several workers were lost with the same"),
    ):
        list(workers.map([Item("die")]))


def test_what_a_job_raises_is_raised_here(opened: Open) -> None:
    slow = Item("slow", {"seconds": 0.05, "number": 0})
    with opened() as workers:
        results = workers.map([slow, Item("refuse"), slow])
        assert next(results).value == 0  # those before it come first
        with pytest.raises(FuriosaError, match="it does not fit") as got:
            next(results)
        assert type(got.value).__name__ == "ExecutionFailure"
        assert (got.value.layer, got.value.hint) == ("conv_1", "make it smaller")
        with pytest.raises(NativeRefusal, match="not ours"):
            list(workers.map([Item("crash")]))
        # They are there for the next map.
        assert [answer.value for answer in workers.map([slow])] == [0]


def test_this_process_is_a_worker(work: Work, tmp_path: Path) -> None:
    with open_workers(work, processes=0) as workers:
        answers = list(workers.map(squares(5)))
        assert {answer.value["process"] for answer in answers} == {os.getpid()}
        assert [answer.value["done"] for answer in answers] == [1, 2, 3, 4, 5]
        unordered = [index for index, _ in workers.map_unordered(squares(3))]
        assert unordered == [0, 1, 2]
        results = workers.map([*squares(1), Item("crash"), *squares(1)])
        assert next(results).data == b"data+0"
        with pytest.raises(RuntimeError, match="not ours"):
            next(results)
        assert len(list(workers.map(squares(2)))) == 2


def test_one_map_at_a_time(work: Work) -> None:
    with open_workers(work, processes=0) as workers:
        results = workers.map(squares(3))
        next(results)
        with pytest.raises(RuntimeError, match="one map at a time"):
            next(workers.map(squares(3)))


def test_a_map_that_is_left_takes_its_items_back(opened: Open) -> None:
    slow = [Item("slow", {"seconds": 0.05, "number": n}) for n in range(100)]
    with opened() as workers:
        results = workers.map(slow)
        assert next(results).value == 0
        results.close()
        quick = [Item("slow", {"seconds": 0, "number": -n}) for n in range(5)]
        assert [answer.value for answer in workers.map(quick)] == [0, -1, -2, -3, -4]


def test_closing_ends_what_is_being_done(work: Work, tmp_path: Path) -> None:
    workers = open_workers(work, processes=1)
    workers.begin(0, Item("wait", {"folder": str(tmp_path), "number": 0}))
    process = int(awaited(tmp_path / "here").read_text())
    workers.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_no_process_is_started_for_nothing(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    real = processes.Child

    def child(*args: Any, **options: Any) -> Any:
        started.append(args)
        return real(*args, **options)

    monkeypatch.setattr(processes, "Child", child)
    with open_workers(work, processes=8) as workers:
        assert not started
        assert len(list(workers.map(squares(1)))) == 1
    assert len(started) == 1


def test_workers_that_differ_are_refused(
    work: Work, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPREAD_VERSION", "2")  # here, and not in the workers
    with (
        open_workers(work, scheduler=scheduler) as workers,
        pytest.raises(FuriosaError, match="a worker of the cluster has another furiosa-ir"),
    ):
        list(workers.map(squares(1)))


@pytest.mark.parametrize("address", ["nonsense", "tcp://", "foo://127.0.0.1:8786", "tcp://[", ""])
def test_what_is_no_address(work: Work, address: str) -> None:
    with pytest.raises(FuriosaError, match=r"the scheduler '.*' cannot be reached: .* \(`dask"):
        open_workers(work, scheduler=address)


def test_where_nobody_listens(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("furiosa_ir.workers.cluster.CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # it accepts, and says nothing
        with pytest.raises(FuriosaError, match=f"127.0.0.1:{port}' cannot be reached: it says"):
            open_workers(work, scheduler=f"tcp://127.0.0.1:{port}")


def test_without_dask(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FuriosaError, match=r"a scheduler needs Dask.*furiosa-ir\[dask\]"):
        open_workers(work, scheduler="tcp://127.0.0.1:8786")


def test_a_cluster_without_workers(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr("furiosa_ir.workers.cluster.EMPTY_SECONDS", 0)
    monkeypatch.setattr("furiosa_ir.workers.cluster._LOOK", 0.05)
    with LocalCluster(
        n_workers=0, processes=False, dashboard_address=":0", silence_logs=50
    ) as cluster:
        address = cluster.scheduler_address
        with (
            open_workers(work, scheduler=address) as workers,
            pytest.raises(FuriosaError, match="has had no workers for 0 s"),
        ):
            list(workers.map(squares(1)))


@pytest.mark.slow
def test_a_cluster_that_somebody_restarts(work: Work, scheduler: str, tmp_path: Path) -> None:
    """All that is under way is begun anew, in new processes."""
    from distributed import Client

    items = [Item("slow", {"seconds": 0, "number": n}) for n in range(9)]
    items[1] = Item("wait", {"folder": str(tmp_path), "number": 1})
    with open_workers(work, scheduler=scheduler) as workers:
        results = workers.map(items)
        assert next(results).value == 0
        awaited(tmp_path / "here")
        with Client(scheduler, set_as_default=False) as other:
            other.restart()
        (tmp_path / "go").touch()
        assert [answer.value for answer in results] == list(range(1, 9))


@pytest.mark.slow
def test_a_scheduler_that_is_stopped(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Amidst the work, or before anybody has asked it: an error, and no waiting for ever."""
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0"]
    file = tmp_path / "scheduler.json"
    command += ["--dashboard-address", ":0", "--scheduler-file", str(file)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while not file.exists() or not file.read_text():
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        with open_workers(work, scheduler=address) as workers:
            monkeypatch.setattr("furiosa_ir.workers.cluster.CONNECT_SECONDS", 0.5)
            workers.begin(0, Item("square"))
            process.send_signal(signal.SIGSTOP)
            with pytest.raises(FuriosaError, match=r"the connection to the scheduler .* is lost"):
                workers.next_outcome()
        with pytest.raises(FuriosaError, match="cannot be reached: it says nothing"):
            open_workers(work, scheduler=address)
    finally:
        process.kill()
        process.wait()


def test_a_scheduler_that_goes_away(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr("furiosa_ir.workers.cluster._LOOK", 0.05)
    cluster = LocalCluster(n_workers=0, processes=False, dashboard_address=":0", silence_logs=50)
    with open_workers(work, scheduler=cluster.scheduler_address) as workers:
        results = workers.map(squares(1))
        timer = threading.Timer(0.3, cluster.close)
        timer.start()
        with pytest.raises(FuriosaError, match=r"the connection to the scheduler .* is lost"):
            next(results)
        timer.join()
