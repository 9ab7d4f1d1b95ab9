"""Ten networks with open extents, made as real ones are, equal their framework in every run."""

from __future__ import annotations

import pytest

from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import ImportFailure
from tests.open_networks.comparison import NETWORKS, TOLERANCE, OpenNetwork, compare

RUNS = 20


def name(network: OpenNetwork) -> str:
    return network.name


@pytest.mark.parametrize("network", NETWORKS, ids=name)
def test_equals_its_framework_in_consecutive_runs(network: OpenNetwork):
    found = compare(network, RUNS)
    assert (found.runs, found.integers_apart) == (RUNS, 0)
    assert found.apart <= TOLERANCE
    assert found.npu_share >= network.least_npu


@pytest.mark.parametrize("network", [n for n in NETWORKS if n.dims], ids=name)
def test_symbols_are_as_good_as_shapes(network: OpenNetwork):
    assert network.dims is not None
    model = network.make()
    by_shape = compile_model(model, input_shapes=network.shapes)
    by_name = compile_model(model, dims=network.dims)
    # The header says which options there were; all else is the same.
    assert len(by_name) == pytest.approx(len(by_shape), abs=200)
    assert compare(network, 2, by_dims=True).apart <= TOLERANCE


@pytest.mark.parametrize("network", [n for n in NETWORKS if not n.is_tflite], ids=name)
def test_without_extents_the_refusal_names_the_option(network: OpenNetwork):
    with pytest.raises(ImportFailure, match=r"\(--input-shape .*=.* fixes it\)"):
        compile_model(network.make())
