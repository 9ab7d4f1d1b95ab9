"""ONNX models for onnx's and onnxruntime's own eyes: with the external data that they use inside.

onnx's own loader reads every external tensor, those that nothing uses and those that share bytes
included, and raises what is no sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from furiosa_ir.importers.onnx.external import ExternalData
from furiosa_ir.importers.onnx.node_order import used_names
from furiosa_ir.importers.onnx.tensors import constant_of_tensor


def embed_external_data(model: onnx.ModelProto, folder: Path) -> None:
    """Puts the external data of a model into it; initialisers that have some and no use go.

    Args:
        model: is changed.
        folder: below which the data is.

    Raises:
        ImportFailure: it is not there, or the tensors hold more than `ExternalData` lets them.
    """
    graph: Any = model.graph
    if not any(tensor.data_location for tensor in graph.initializer):
        return
    used = {name for node in graph.node for name in used_names(node)}
    used.update(str(output.name) for output in graph.output)
    external, unused = ExternalData(folder), set[str]()
    for tensor in graph.initializer:
        if not tensor.data_location:
            continue
        if tensor.name not in used:
            unused.add(str(tensor.name))
            continue
        constant = constant_of_tensor(tensor, external)
        tensor.raw_data = constant.array.tobytes()
        tensor.ClearField("data_location")
        del tensor.external_data[:]
    for field in (graph.initializer, graph.input):  # an initialiser may be listed as an input
        kept = [one for one in field if one.name not in unused]
        del field[:]
        field.extend(kept)
