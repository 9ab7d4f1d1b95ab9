"""Whether a service can run for long: many runs, many threads, the same results, flat memory.

Usage: python benchmarks/soak.py [--runs 10000] [--threads 8] [--workers 8] [FILE ...]

Each FILE is an ENF program, or a network, which is compiled first; without any, some networks of
the corpus ../shared/models and the bundled example run. All threads draw runs of all networks in
one random order. Every run's outputs are compared with those of a run before. To warm up, as many
runs as can go on at once are made to: each waits for the others while it holds what it has been
lent, however busy the computer is. So there is memory for all of them, which is got when it is
first needed; the first tenth of the runs warms up too. From then on the process's
resident memory (RSS) is measured after every hundredth run, and its greatest value may exceed the
first by 5 %.

It prints one line a network and one of memory; the exit code is 1 if results differ or memory
grows.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from networks import network_file

from furiosa.runtime import session
from furiosa.runtime.session import Session
from furiosa_ir.backends.warboy.simulator.memory import Memory
from furiosa_ir.compiler import compile_model
from furiosa_ir.pool import Pool

ROOT = Path(__file__).parents[1]
CORPUS = ROOT.parent / "shared" / "models" / "trained"
NETWORKS = (
    "examples/digits/digits_int8.tflite",
    "examples/digits/digits_qdq_int8.onnx",
    "ad_fc_ae_qdq_i8.onnx",
    "ic_resnet8_int8.tflite",
    "kws_dscnn_int8.tflite",
    "kws_dscnn_qdq_i8.onnx",
    "vww_mbv1_025_96_qdq_i8.onnx",
    "ultraface_rfb320_qdq_i8.onnx",
    "mnist8_fp32.onnx",
    "ssd_mbv1_coco_300_u8.tflite",
)
PERMITTED_GROWTH = 0.05
INPUTS = 4
"""Different inputs of each network."""
MEETINGS = 20
"""Of all threads, for each network."""


@dataclass
class Network:
    """A network with what it makes of some inputs.

    Attributes:
        name: of its file.
        running: its session.
        inputs: random ones.
        digests: of the outputs, one for each input.
        runs, wrong: how many there were, and how many of them had other outputs.
    """

    name: str
    running: Session
    inputs: list[list[np.ndarray]]
    digests: list[str] = field(default_factory=list)
    runs: int = 0
    wrong: int = 0


def digest(running: Session, inputs: list[np.ndarray]) -> str:
    """A hash of the outputs of a run."""
    outputs = running.run(inputs).numpy()
    return hashlib.sha256(b"".join(o.tobytes() for o in outputs)).hexdigest()


def load(path: Path, workers: int) -> Network:
    """A session of a network, and its outputs."""
    model = path if path.suffix == ".enf" else compile_model(path)
    running = session.create(model, worker_num=workers)
    rng = np.random.default_rng(0)
    inputs = [
        [
            rng.uniform(0, 255, desc.shape).astype(desc.numpy_dtype)
            if desc.numpy_dtype.kind == "f"
            else rng.integers(1, 127, desc.shape, desc.numpy_dtype)
            for desc in running.inputs()
        ]
        for _ in range(INPUTS)
    ]
    network = Network(path.name, running, inputs)
    network.digests = [digest(running, given) for given in inputs]
    return network


def resident_bytes() -> int:
    """The process's RSS."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def overlap(networks: list[Network], threads: int, workers: int) -> None:
    """Lets every network use every simulated memory and interpreter that there can come to be.

    Of one network as many runs go on as it has workers. Memories are shared: those it has used are
    held back, until it has used one for each thread.
    """
    at_once = min(threads, workers)
    for network in networks:
        with ExitStack() as held:
            for _ in range(-(-threads // at_once)):
                for memories in run_together(network, at_once):
                    for _ in range(at_once):
                        held.enter_context(memories.lend())


def run_together(network: Network, count: int) -> set[Pool[Memory]]:
    """So many runs of a network, of which none gives back what it is lent before all have it.

    Returns:
        The pools of memories that they were lent some of.
    """
    barrier = threading.Barrier(count)
    plain, pools = Pool.lend, set[Pool[Memory]]()

    @contextmanager
    def lend(pool: Pool) -> Generator[object]:
        with plain(pool) as thing:
            if isinstance(pool._turn, nullcontext):  # noqa: SLF001  # else there is but one
                barrier.wait(300)
            if isinstance(thing, Memory):
                pools.add(pool)
            yield thing

    def run_once(_: int) -> None:
        network.running.run(network.inputs[0])

    Pool.lend = lend  # type: ignore[method-assign]
    try:
        in_threads(run_once, count)
    finally:
        Pool.lend = plain  # type: ignore[method-assign]
    return pools


def meet(networks: list[Network], threads: int) -> None:
    """Runs in all threads at once, often enough that all workers of all sessions are busy.

    Sessions share the simulator's memories, and each has host engines of its own: threads take
    different networks in one meeting, the same in the next.
    """
    barrier = threading.Barrier(threads)

    def work(thread: int) -> None:
        for meeting in range(MEETINGS * len(networks)):
            for shift in (thread, 0):
                network = networks[(meeting + shift) % len(networks)]
                barrier.wait()
                network.running.run(network.inputs[0])

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # the shortest run is a millisecond
    try:
        in_threads(work, threads)
    finally:
        sys.setswitchinterval(interval)


def in_threads(work: Callable[[int], None], threads: int) -> None:
    """Runs a function of the thread's number in so many threads."""
    workers = [threading.Thread(target=work, args=[i]) for i in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def soak(networks: list[Network], runs: int, threads: int) -> list[int]:
    """RSS after every hundredth of the runs, from the end of the warm-up on.

    The runs take the networks in a random order, the cheap ones as often as the expensive ones.
    """
    order = np.random.default_rng(1).integers(0, len(networks), runs).tolist()
    numbers = itertools.count()
    lock = threading.Lock()
    samples: list[int] = []
    step, warm = max(runs // 100, 1), runs // 10

    def work(_thread: int) -> None:
        while (number := next(numbers)) < runs:  # atomic
            network = networks[order[number]]
            which = number % INPUTS
            right = digest(network.running, network.inputs[which]) == network.digests[which]
            with lock:
                network.runs += 1
                network.wrong += not right
                if number >= warm and number % step == 0:
                    samples.append(resident_bytes())

    in_threads(work, threads)
    return samples


def main() -> int:
    """Runs it; the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("files", nargs="*", type=network_file)
    given = parser.parse_args()
    known = [ROOT / n if "/" in n else CORPUS / n for n in NETWORKS]
    files = given.files or [path for path in known if path.exists()]
    networks = [load(path, given.workers) for path in files]
    started = time.monotonic()
    overlap(networks, given.threads, given.workers)
    meet(networks, given.threads)
    samples = soak(networks, given.runs, given.threads)
    seconds = time.monotonic() - started
    for network in networks:
        print(f"{network.name}: {network.runs} runs, {network.wrong} with other outputs")
    first, greatest, last = (n / 2**20 for n in (samples[0], max(samples), samples[-1]))
    growth = greatest / first - 1
    print(
        f"{given.runs} runs on {given.threads} threads in {seconds:.0f} s; RSS {first:.0f} MiB "
        f"after the warm-up, at most {greatest:.0f} ({growth:+.1%}), {last:.0f} at the end"
    )
    return int(any(n.wrong for n in networks) or growth > PERMITTED_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
