"""A few drawn networks of every operator and form; `conformance.py` runs hundreds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from furiosa_ir.dialects.graph.convolution import ConvOp
from furiosa_ir.dialects.quant import uniform
from tests.conformance.conformance import Count, forms, onnx_case
from tests.draws import ALL
from tests.lowering.drawn import Draw, Drawn, network_of

FORMS = forms()
EXAMPLES = 3 if ALL else 2


@pytest.mark.draws
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


@pytest.mark.parametrize(("pads", "kernel"), [((0, 1, 0, 0), (2, 1)), ((2, 0, 0, 0), (2, 2))])
def test_windows_that_all_lie_in_the_padding(
    pads: tuple[int, ...], kernel: tuple[int, int]
) -> None:
    d, element = Draw(), uniform(np.dtype(np.int8), 0.125, 3)
    data = np.arange(12, dtype=np.int8).reshape(1, 4, *((1, 3) if pads[0] else (3, 1)))
    x = d.value(data.shape, element)
    weight = np.arange(1, 8 * kernel[0] * kernel[1] + 1).reshape(4, 2, *kernel).astype(np.int8)
    w = d.constant(weight, uniform(np.dtype(np.int8), 0.25, 0))
    bias = d.constant(np.arange(4, dtype=np.int32) * 50, uniform(np.dtype(np.int32), 0.03125, 0))
    op = ConvOp.make(
        [x, w, bias],
        [element],
        layout="NCHW",
        kernel_layout="OIHW",
        strides=[3, 3],
        pads=pads,
        dilations=[1, 1],
        group=2,
    )
    count = Count()
    onnx_case(Drawn(network_of(d.block, op), op, [data]), count)
    assert count.cases == 1
    assert count.conforms
