"""A few drawn networks of every operator and form; `conformance.py` runs hundreds."""

from __future__ import annotations

import pytest

from tests.conformance.conformance import Count, forms

FORMS = forms()
SEEDS = 3


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_conforms(name: str, form: str) -> None:
    count = Count()
    for seed in range(SEEDS):
        FORMS[name, form](seed, count)
    assert count.cases == SEEDS
    assert count.elements > 0
    assert count.different == 0
    assert count.beyond_one_step == 0
