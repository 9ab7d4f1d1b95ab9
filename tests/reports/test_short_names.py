"""Short names tell layers apart, whatever their names are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from furiosa_ir.reports.short_names import LONGEST, short_names

_NAMES = st.lists(
    st.lists(
        st.sampled_from(["a", "conv", "x" * 40, "#2", "b #2", "1\n", ";", "+"]), max_size=4
    ).map("/".join)
    | st.text(max_size=60)
)


@given(_NAMES)
def test_short_names_are_short_unique_and_printable(names: list[str]) -> None:
    short = short_names(names)
    assert len(short) == len(names) == len(set(short))
    assert all(0 < len(name) <= LONGEST and name.isprintable() for name in short)


def test_a_name_is_what_tells_it_from_others() -> None:
    names = [
        "Model/conv_1/project/batch_norm/Fused;StatefulCall/Model/conv_1/project/batch_norm/Fused",
        "Model/conv_1/expand/relu/Relu6",
        "Model/conv_2/expand/relu/Relu6+Model/conv_2/expand/pool",
        "Model/top/Reshape",
        "Identity",
        "Identity",
    ]
    assert short_names(names) == (
        "conv_1/project",
        "conv_1/expand",
        "conv_2",
        "top",
        "Identity",
        "Identity #2",
    )
