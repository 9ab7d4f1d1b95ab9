"""The chain on a network of the corpus: compile, write, read, check, run; equal to LiteRT."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from furiosa_ir.backends.warboy.costs import program_costs
from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.simulator.simulator import Simulator
from furiosa_ir.compiler import compile_model

pytestmark = pytest.mark.corpus


@pytest.mark.parametrize("target", ["warboy", "warboy-2pe"])
def test_mobilenet_is_bit_exact_and_takes_the_published_time(models, target):
    path = models / "trained" / "mbv2_100_224_ptq_int8.tflite"
    program = read_program(compile_model(path, target=target))
    simulator = Simulator(program)
    interpreter = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    x = np.random.default_rng(0).integers(0, 256, given["shape"], np.uint8).view(given["dtype"])
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    values = {program.inputs[0]: x}
    start = time.process_time()
    for index in range(len(program.segments)):
        values.update(simulator.run_segment(index, values))
    assert time.process_time() - start < 2  # 0.05 s where this was written
    expected = interpreter.get_tensor(result["index"])
    np.testing.assert_array_equal(values[program.outputs[0]], expected)
    # Published for MobileNet-v1 (a fifth more weights) on two PEs: 105 us on the NPU, cold.
    latency = program_costs(program).latency
    assert 70 < latency.setup_latency_us + latency.npu_latency_us < 170


def test_resnet50_runs_well_under_a_second(models):
    path = models / "generated" / "resnet50_v15_qdq_int8.onnx"
    data = compile_model(path)
    start = time.process_time()
    program = read_program(data)
    assert time.process_time() - start < 0.3  # 0.01 s
    simulator = Simulator(program)
    for index, segment in enumerate(program.segments):
        if not hasattr(segment, "commands"):
            continue
        tensor = program.tensors[segment.inputs[0].tensor]
        x = np.zeros(tensor.shape, tensor.dtype)
        start = time.process_time()
        simulator.run_segment(index, {segment.inputs[0].tensor: x})
        assert time.process_time() - start < 2  # 0.08 s
    # Published: 712 us with host and PCIe; the weights alone take 386 us of DRAM time.
    latency = program_costs(program).latency
    assert 386 < latency.setup_latency_us < 410
    assert 600 < latency.cold_latency_us < 800
