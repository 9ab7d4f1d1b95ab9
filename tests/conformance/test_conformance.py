"""A few drawn networks of every operator and form; `conformance.py` runs hundreds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from tests.conformance.conformance import Count, forms

FORMS = forms()
EXAMPLES = 4


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_conforms(name: str, form: str) -> None:
    elements = 0

    @settings(max_examples=EXAMPLES)
    @given(FORMS[name, form].networks)
    def conform(network: Any) -> None:
        nonlocal elements
        count = Count()
        FORMS[name, form].run(network, count)
        assert count.different == 0
        assert count.beyond_one_step == 0
        elements += count.elements

    conform()
    assert elements > 0
