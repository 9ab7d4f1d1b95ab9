"""Every layer of the real TFLite networks, byte for byte with LiteRT's reference kernels.

Each layer is lowered alone and fed with the reference's own tensors, so that an error names its
layer and does not spread.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.importers.tflite import import_tflite
from furiosa_ir.ir.constants import Array
from furiosa_ir.ir.location import layer_name
from tests.draws import mostly_slow
from tests.lowering.network import Refused, evaluate_lowered

MODELS = Path(__file__).parents[3] / "shared" / "models" / "trained"

REFUSED_LAYERS = {
    "ad_fc_ae_int8": 0,
    "deeplabv3_mbv2_dm05_pascal_u8": 0,
    "ic_resnet8_int8": 0,
    "kws_dscnn_int8": 0,
    "mbv1_025_128_qat_u8": 0,
    "mbv1_050_128_int8_st": 0,
    "mbv2_100_224_ptq_int8": 0,
    "mobilenet_edgetpu_075_224_ptq_u8": 0,
    "person_detect_int8_qdimfix": 0,
    "ssd_mbv1_coco_300_u8": 1,
    "sww_streaming_int8": 0,
    "vww_mbv1_025_96_int8": 0,
}
"""Network -> how many operations at most stay on the host (the detection head)."""


LIGHT = ("ic_resnet8_int8", "kws_dscnn_int8", "mbv2_100_224_ptq_int8", "sww_streaming_int8")


@pytest.mark.corpus
@pytest.mark.parametrize("name", mostly_slow(REFUSED_LAYERS, *LIGHT))
def test_every_layer_matches(name: str) -> None:
    path = MODELS / f"{name}.tflite"
    reference = _reference_tensors(path)
    (function,) = import_tflite(path).body.ops
    assert isinstance(function, FuncOp)
    block = function.body.block
    assert function.arg_attrs is not None
    arrays: dict[SSAValue, Array] = {
        argument: reference[attributes.data["graph.name"].data]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        for argument, attributes in zip(block.args, function.arg_attrs.data, strict=True)
    }
    operations = [o for o in block.ops if isinstance(o, GraphOp) and not isinstance(o, ConstantOp)]
    refused = compared = 0
    for index, operation in enumerate(operations):
        data = list(dict.fromkeys(v for v in operation.operands if constant_of(v) is None))
        layer = layer_name(operation)
        try:
            inputs = [_as_int8(arrays[v]) for v in data]
            result = evaluate_lowered(data, [operation], operation.results[0], inputs)
        except Refused:
            refused += 1
        else:
            q = quantization_of(operation.results[0])
            plain = q is None  # an index
            arrays[operation.results[0]] = (
                result if plain else _as_int8(result.view(q.dtype)).view(q.dtype)
            )
        # The tensor in the file is the result of the layer's last operation, its activation.
        following = operations[index + 1 : index + 2]
        if layer not in reference or [layer_name(o) for o in following] == [layer]:
            continue
        if operation.results[0] in arrays:
            got, expected = arrays[operation.results[0]], reference[layer]
            np.testing.assert_array_equal(got, expected, err_msg=f"{operation.name} '{layer}'")
            compared += 1
        arrays[operation.results[0]] = reference[layer]
    assert refused <= REFUSED_LAYERS[name]
    assert compared > 0


def _reference_tensors(path: Path) -> dict[str, Array]:
    """Tensor name -> elements, after one run of the reference kernels on a smooth random image."""
    interpreter = Interpreter(
        model_path=str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        limits = np.iinfo(detail["dtype"])
        walk = np.cumsum(rng.normal(0, 6, detail["shape"]), axis=-2)
        data = np.clip(walk + (int(limits.min) + int(limits.max)) / 2, limits.min, limits.max)
        interpreter.set_tensor(detail["index"], data.astype(detail["dtype"]))
    interpreter.invoke()
    tensors: dict[str, Array] = {}
    for detail in interpreter.get_tensor_details():
        # LiteRT hides the tensors that it has fused away or that hold no data.
        try:
            tensors[detail["name"]] = interpreter.get_tensor(detail["index"])
        except ValueError:
            continue
    return tensors


def _as_int8(array: Array) -> Array:
    """uint8 as int8, less 128; int8 as it is."""
    return (array ^ np.uint8(128)).view(np.int8) if array.dtype == np.uint8 else array
