"""Programs without a compiler: NPU segments that copy, and sub-models on the host."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto, helper

from furiosa_ir.backends.warboy.enf.records import NpuSegment, Vector
from furiosa_ir.program import HostSegment, Layer, Program, Tensor
from tests.backends.warboy.simulator.program_builder import ProgramBuilder

HINT = ("argmax", "y", 1, "argmax cannot be accelerated by Warboy; it runs on the host")


def host_program(
    model: bytes, framework: str, inputs: list[Tensor], outputs: list[Tensor]
) -> Program:
    """One host segment and nothing else."""
    tensors = (*inputs, *outputs)
    into = tuple(range(len(inputs)))
    out = tuple(range(len(inputs), len(tensors)))
    segment = HostSegment("host_0", framework, into, out, model, (HINT,))
    base = ProgramBuilder().program()
    return replace(
        base,
        tensors=tensors,
        inputs=into,
        outputs=out,
        segments=(segment,),
        layers=(Layer("y", "argmax", 0, 0, 0),),
        source_framework=framework,
    )


def copy_program(dtype: str) -> Program:
    """An NPU segment that copies x, [1, 2, 3, 4], to y."""
    builder = ProgramBuilder()
    tile = builder.input((1, 2, 3, 4), dtype=dtype)
    copy = Vector((tile,), (), (), builder.tile((1, 2, 3, 4)), 0)
    builder.output(builder.kernel(copy), dtype=dtype)
    return builder.program()


def copy_then_host(dtype: str, model: bytes, framework: str, result: Tensor) -> Program:
    """An NPU segment that copies x to `copied`, then a sub-model that makes `result` of it."""
    program = copy_program(dtype)
    (npu,) = program.segments
    assert isinstance(npu, NpuSegment)
    x, copied = program.tensors
    segment = HostSegment("host_1", framework, (1,), (2,), model, (HINT,))
    return replace(
        program,
        tensors=(x, replace(copied, name="copied"), result),
        outputs=(2, 1),
        segments=(npu, segment),
        layers=(*program.layers, Layer("result", "Neg", 1, 0, 0)),
        source_framework=framework,
    )


def onnx_model(dtype: type[np.generic], shape: tuple[int, ...], operator: str = "Neg") -> bytes:
    """An ONNX network of one operator of one or (Div) two operands, called `node`."""
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    inputs = ["a", "b"] if operator == "Div" else ["a"]
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, ["c"], name="node")],
        "g",
        [helper.make_tensor_value_info(name, element, shape) for name in inputs],
        [helper.make_tensor_value_info("c", element, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    assert element != TensorProto.UNDEFINED
    return model.SerializeToString()
