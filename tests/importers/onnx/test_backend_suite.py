"""ONNX's own node tests: each is imported, written again by meaning, and run by onnxruntime.

What the importer refuses must have inputs or outputs that the IR has no type for. What onnxruntime
has no kernel for, or itself computes otherwise than the suite wants, says nothing about us.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from furiosa_ir.backends.warboy.host.onnx_export import export_onnx
from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx import import_onnx
from tests.importers.onnx.networks import main_of

onnxruntime.set_default_logger_severity(4)
GROUPS = 16


@cache
def cases() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        return list(collect_testcases(None))


def session(model: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001  # what it raises has no public base
        return None


def run(running: Any, arrays: list[Any]) -> list[Any] | None:
    try:
        feeds = {i.name: a for i, a in zip(running.get_inputs(), arrays, strict=True)}
        return running.run(None, feeds)
    except Exception:  # noqa: BLE001
        return None


def close(case: Any, got: Any, want: Any) -> bool:
    return got is not None and all(
        np.shape(g) == np.shape(w)
        and np.allclose(g, w, rtol=case.rtol, atol=max(case.atol, 1e-5), equal_nan=True)
        for g, w in zip(got, want, strict=True)
    )


UNSUPPORTED = ("is not supported", "is declared as", "of a type that", "operator set 1;")
KNOWN = {
    # onnxruntime's own inference disagrees with the shapes that are written into the model.
    "test_scan_sum",
    "test_affine_grid_2d_expanded",
    "test_affine_grid_2d_align_corners_expanded",
}


@pytest.mark.slow
@pytest.mark.parametrize("group", range(GROUPS))
def test_group(group: int) -> None:
    wrong: list[str] = []
    for case in cases()[group::GROUPS]:
        data = case.model.SerializeToString()
        try:
            module = import_onnx(data)
        except ImportFailure as error:
            if not any(text in str(error) for text in UNSUPPORTED):
                wrong.append(f"{case.name}: {error}")
            continue
        module.verify()
        written = session(export_onnx(main_of(module)))
        original = session(data)
        if written is None:
            if original is not None and case.name not in KNOWN:
                wrong.append(f"{case.name}: does not load")
            continue
        for inputs, outputs in case.data_sets:
            arrays, wanted = (
                [numpy_helper.to_array(t) if isinstance(t, onnx.TensorProto) else t for t in ts]
                for ts in (inputs, outputs)
            )
            got = run(written, arrays)
            if close(case, got, wanted) or original is None:
                continue
            reference = run(original, arrays)
            if reference is not None and not close(case, got, reference):
                wrong.append(f"{case.name}: differs")
    assert not wrong
