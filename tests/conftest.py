"""What all tests share: the model corpus, hypothesis profiles, skips that say why."""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from furiosa_ir import host_kernels, plugins
from tests import without_cache  # noqa: F401
from tests.draws import draws

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
DIGITS = ROOT / "examples" / "digits"
WORKER_BYTES = 1 << 30
"""Of memory that a worker and what it starts take at most, but for a few tests."""

# Deadlines measure the machine. The same examples each time: a red run means the change.
settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    max_examples=draws(25),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough", settings.get_profile("default"), derandomize=False, max_examples=2000
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure(config: pytest.Config) -> None:
    """Each worker is a session: Linux shares the machine out among sessions first (sched(7)).

    In one session, all workers together get what a single busy loop in another one gets.
    """
    if hasattr(config, "workerinput"):
        with suppress(OSError):  # it leads one already
            os.setsid()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """`-n auto`: two workers a core, as far as there is memory for them.

    Some wait for processes, servers and locks; and beside busy loops many get more of the machine.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(cores, min(2 * cores, memory // WORKER_BYTES))


@pytest.hookimpl(tryfirst=True)  # before some are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what this machine cannot run, with the reason; marks what hypothesis draws."""
    lacks = {
        "corpus": None
        if (SHARED / "models").is_dir()
        else f"the model corpus {SHARED / 'models'} is not on this machine",
        "fuzz": None
        if importlib.util.find_spec("atheris")
        else "atheris is not installed: it has no wheel for this platform",
        "redis": None if shutil.which("redis-server") else "redis-server is not installed",
    }
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("draws")
        for mark, reason in lacks.items():
            if reason and item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    """Collects cycles less often: a twentieth of the suite's time goes into looking for them."""
    gc.collect()
    gc.freeze()  # modules and tests stay
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(autouse=True)
def _own_plugins() -> Iterator[None]:
    """Plug-ins that a test loads are forgotten: programs are not cached where one has changed."""
    names = ("_roots", "_loaded", "_installed", "_untracked")
    kept = [(plugins, name) for name in names] + [(host_kernels, "_KERNELS")]
    before = [getattr(module, name) for module, name in kept]
    for (module, name), known in zip(kept, before, strict=True):
        setattr(module, name, type(known)())  # test modules register operators, too
    yield
    for (module, name), known in zip(kept, before, strict=True):
        setattr(module, name, known)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder ../shared, beside the checkout; skips where there is none."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def models(shared: Path) -> Path:
    """The model corpus, ../shared/models."""
    return shared / "models"


@pytest.fixture(scope="session")
def corpus(models: Path) -> Callable[[str], Path]:
    """Finds a file of the corpus by name: ``corpus("ic_resnet8_int8.tflite")``."""

    def find(name: str) -> Path:
        for folder in ("trained", "generated", "vendor", "data", "data/misc"):
            path = models / folder / name
            if path.exists():
                return path
        pytest.skip(f"the model corpus has no file {name}")

    return find


@pytest.fixture(scope="session")
def digits() -> Path:
    """The bundled example's folder: digits_int8.tflite, digits_qdq_int8.onnx, digits_inputs.npz."""
    return DIGITS


@pytest.fixture
def signals_of_a_terminal() -> Iterator[None]:
    """What runs in the background ignores some, and so would the commands that it starts."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ignored = [n for n in numbers if signal.getsignal(n) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
