"""An image takes no longer in a batch that is a multiple, and a network no longer on two PEs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from furiosa_ir.backends.warboy.machine import load_machine
from furiosa_ir.backends.warboy.passes.batch_choice import best_way, take
from furiosa_ir.backends.warboy.passes.fuse_kernels import fuse_kernels
from furiosa_ir.backends.warboy.passes.trial import trial
from furiosa_ir.backends.warboy.planning.images import image_work
from tests.backends.warboy.passes.test_split_columns import columns_network
from tests.backends.warboy.segments import Build, build_function
from tests.backends.warboy.test_random_networks import random_network
from tests.draws import draws

TARGETS = ("warboy", "warboy-2pe")
BATCHES = (1, 2, 4)


MULTIPLES = (1, 3, 6)
"""Three times the first, and twice that."""


def run_cycles(shape: list[int], build: Build, target: str) -> int:
    """What a run takes, by its commands."""
    function, machine = build_function([shape], build), load_machine(target)
    end = function.body.block.last_op
    assert end is not None
    assume(not any(value in function.body.block.args for value in end.operands))
    fuse_kernels(function)
    work = image_work(function)
    take(function, work, best_way(function, work, machine))
    run = trial(function, machine)
    assert run is not None
    return run.cycles


def check_never_slower(
    build: Callable[[int], Build], shape: Callable[[int], list[int]], batches: Sequence[int]
) -> None:
    """Compares batches on both targets.

    Args:
        build: a network, by how many images it takes.
        shape: of its input, by the same.
        batches: each a multiple of the one before.
    """
    runs = {t: [run_cycles(shape(n), build(n), t) for n in batches] for t in TARGETS}
    for target in TARGETS:
        for (few, smaller), (many, larger) in pairwise(zip(batches, runs[target], strict=True)):
            assert larger * few <= smaller * many, runs
    assert all(two <= one for one, two in zip(*runs.values(), strict=True)), runs


@settings(max_examples=draws(30), deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    length=st.integers(2, 9),
    layout=st.sampled_from(["NCHW", "NHWC"]),
    size=st.sampled_from([(8, 8), (28, 2), (12, 5), (24, 24)]),
    channels=st.sampled_from([3, 16, 40, 64]),
    network=st.sampled_from([columns_network, random_network]),
    batches=st.sampled_from([BATCHES, BATCHES, MULTIPLES]),
)
def test_random_networks(
    seed: int,
    length: int,
    layout: str,
    size: tuple[int, int],
    channels: int,
    network: Callable[[int, int, str, int], Build],
    batches: Sequence[int],
) -> None:
    def shape(images: int) -> list[int]:
        at = {"N": images, "C": channels, "H": size[0], "W": size[1]}
        return [at[d] for d in layout]

    check_never_slower(lambda images: network(seed, length, layout, 8000 * images), shape, batches)
