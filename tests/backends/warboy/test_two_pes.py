"""Two PEs are never slower than one, by the planner's model: small programs begin with one's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa_ir.backends.warboy.costs import program_costs
from furiosa_ir.backends.warboy.machine import load_machine
from furiosa_ir.backends.warboy.passes.assign_views import assign_views
from furiosa_ir.backends.warboy.passes.fuse_kernels import fuse_kernels
from furiosa_ir.backends.warboy.passes.plan_tiles import prepare
from furiosa_ir.driver import compile_source
from tests.backends.warboy.passes.test_split_columns import columns_network
from tests.backends.warboy.segments import Build, build_function
from tests.backends.warboy.test_random_networks import random_network
from tests.conftest import DIGITS
from tests.draws import draws

TARGETS = ("warboy", "warboy-2pe")


@settings(max_examples=draws(100), deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    length=st.integers(2, 9),
    layout=st.sampled_from(["NCHW", "NHWC"]),
    size=st.sampled_from([(8, 8), (28, 2), (12, 5)]),
    channels=st.sampled_from([3, 16, 40, 64]),
    network=st.sampled_from([columns_network, random_network]),
)
def test_layouts_of_small_networks(
    seed: int,
    length: int,
    layout: str,
    size: tuple[int, int],
    channels: int,
    network: Callable[[int, int, str], Build],
) -> None:
    at = {"N": 1, "C": channels, "H": size[0], "W": size[1]}
    one, two = (
        _cycles([at[d] for d in layout], network(seed, length, layout), target)
        for target in TARGETS
    )
    assert two <= one


def _cycles(shape: list[int], build: Build, target: str) -> int:
    function = build_function([shape], build)
    fuse_kernels(function)
    assign_views(function)
    return sum(prepare(function, load_machine(target)).workload.cycles.values())


@pytest.mark.parametrize("name", ["digits_int8.tflite", "digits_qdq_int8.onnx"])
def test_the_bundled_networks(name: str) -> None:
    one, two = (compile_source(DIGITS / name, target=target).program for target in TARGETS)
    assert one is not None
    assert two is not None
    latencies = [program_costs(p).latency.npu_latency_us for p in (one, two)]
    assert latencies[1] <= latencies[0]
