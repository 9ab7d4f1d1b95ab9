"""IR text whose origins are nodes that onnx does not survive, of the newest operator set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from xdsl.dialects.builtin import StringAttr

from furiosa_ir.dialects.graph.base import OriginAttr
from furiosa_ir.dialects.graph.structure import OpaqueOp
from furiosa_ir.importers.onnx import import_onnx
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.text import write_module
from tests import bounded

NODES: dict[str, tuple[str, list[str], list[str], dict[str, Any]]] = {
    "never ends": ("Einsum", ["x"], ["y"], {"equation": "aaa1->"}),
    "ends the process": ("Split", ["x"], ["y", "b", "c", "d"], {"axis": 0, "num_outputs": 2}),
}


@pytest.mark.parametrize("case", NODES)
def test_an_origin_that_onnx_does_not_survive(case: str, tmp_path: Path):
    node = helper.make_node("Det", ["x"], ["y"])
    values = [helper.make_tensor_value_info("x", 1, [2, 2, 2])]
    results = [helper.make_tensor_value_info("y", 1, [2])]
    graph = helper.make_graph([node], "g", values, results)
    newest = helper.make_opsetid("", onnx.defs.onnx_opset_version())
    module = import_onnx(helper.make_model(graph, opset_imports=[newest]).SerializeToString())
    (op,) = [op for op in module.walk() if isinstance(op, OpaqueOp)]
    assert op.origin is not None
    origin = onnx.ModelProto.FromString(op.origin.data[1].array.tobytes())
    kind, inputs, outputs, attributes = NODES[case]
    old: Any = origin.graph.node[0]
    names = {"x": old.input[0], "y": old.output[0]}
    evil = helper.make_node(
        kind, [names[i] for i in inputs], [names.get(o, o) for o in outputs], **attributes
    )
    old.CopyFrom(evil)
    data = np.frombuffer(origin.SerializeToString(), np.uint8)
    op.properties["origin"] = OriginAttr(("onnx", BlobAttr.of(data)))
    op.properties["operator"] = StringAttr(kind)
    path = tmp_path / "evil.mlir"
    write_module(module, path)
    done = bounded.furiosa("compile", path, "-o", tmp_path / "out.enf")
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    assert done.code == 0 or "ERROR: " in done.stderr
