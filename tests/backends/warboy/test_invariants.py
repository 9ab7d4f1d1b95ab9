"""What holds at the end of each phase: IR that breaks it is refused, with its operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from xdsl.dialects.builtin import ModuleOp, StringAttr, TensorType, f32
from xdsl.dialects.func import CallOp, FuncOp
from xdsl.ir import Operation

from furiosa_ir.backends import backends
from furiosa_ir.backends.warboy.dialect.attributes import AddressesAttr
from furiosa_ir.backends.warboy.pipeline import PIPELINE
from furiosa_ir.compiler import compile_source
from furiosa_ir.dialects.ftensor import TensorOp
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.quantization import StorageCastOp
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.pipeline import Phase, Pipeline, run_pipeline
from furiosa_ir.ir.verifier import OperationFailure
from tests.conftest import DIGITS

PHASES = {phase.name: phase for phase in PIPELINE.phases}
NETWORK = "digits_int8.tflite"
NETWORKS = (NETWORK, "digits_qdq_int8.onnx")


@cache
def compiled(network: str, level: str) -> ModuleOp:
    return compile_source(DIGITS / network, target_ir=level).module


def main(module: ModuleOp) -> FuncOp:
    return next(f for f in module.ops if isinstance(f, FuncOp) and f.sym_name.data == "main")


def segment(module: ModuleOp) -> FuncOp:
    return next(f for f in module.ops if isinstance(f, FuncOp) and f.sym_name.data == "npu_0")


def some(module: ModuleOp, kind: type[Operation], within: FuncOp | None = None) -> Operation:
    """The last one: the first operation of a function is looked at by everything."""
    return [op for op in (within or segment(module)).walk() if isinstance(op, kind)][-1]


def graph_operation_in_main(module: ModuleOp) -> None:
    call = some(module, CallOp, main(module))
    main(module).body.block.insert_op_before(constant_of("graph"), call)


def function_of_nobody(module: ModuleOp) -> None:
    del segment(module).attributes["graph.placement"]


def called_twice(module: ModuleOp) -> None:
    call = some(module, CallOp, main(module))
    main(module).body.block.insert_op_after(call.clone(), call)


def never_called(module: ModuleOp) -> None:
    other = segment(module).clone()
    other.sym_name = StringAttr("npu_7")
    module.body.block.insert_op_before(other, main(module))


def constant_of(level: str) -> Operation:
    """A constant of that level's segment, on its own."""
    found = segment(compiled(NETWORK, level))
    return next(op for op in found.walk() if op.name.endswith(".constant")).clone()


def integers_among_operators(module: ModuleOp) -> None:
    block = segment(module).body.block
    block.insert_op_before(constant_of("ftensor"), block.last_op)


def operator_among_integers(module: ModuleOp) -> None:
    block = segment(module).body.block
    block.insert_op_before(constant_of("graph"), block.last_op)


def floating_point(module: ModuleOp) -> None:
    op = some(module, TensorOp)
    op.results[0]._type = TensorType(f32, op.results[0].type.get_shape())


def float_argument(module: ModuleOp) -> None:
    argument = segment(module).body.block.args[0]
    argument._type = TensorType(f32, argument.type.get_shape())


def call_of_another_type(module: ModuleOp) -> None:
    call = some(module, CallOp, main(module))
    call.results[0]._type = TensorType(f32, [1, 10])


def integers_among_commands(module: ModuleOp) -> None:
    block = segment(module).body.block
    block.insert_op_before(constant_of("ftensor"), block.last_op)


def without(name: str) -> Callable[[ModuleOp], None]:
    def change(module: ModuleOp) -> None:
        del segment(module).attributes[name]

    return change


def addresses(**changes: object) -> Callable[[ModuleOp], None]:
    def change(module: ModuleOp) -> None:
        function = segment(module)
        known = function.attributes["warboy.addresses"].data
        function.attributes["warboy.addresses"] = AddressesAttr(replace(known, **changes))

    return change


CASES = [
    ("graph", graph_operation_in_main, "graph.constant: it stands in @main, outside of all segm"),
    ("graph", function_of_nobody, "func.func: @npu_0 has no 'graph.placement': it is no segment"),
    ("graph", called_twice, "func.func: @main calls the segment @npu_0 2 times, not once"),
    ("graph", never_called, "func.func: @main calls the segment @npu_7 0 times, not once"),
    ("graph", integers_among_operators, "it stands in @npu_0, and there is no lowering of it"),
    ("ftensor", operator_among_integers, "it is left in @npu_0, which holds ftensor operations"),
    ("ftensor", floating_point, "it makes a tensor<.*f32> in @npu_0, not integers"),
    ("ftensor", float_argument, "an argument of @npu_0 is a tensor<.*f32>, not integers"),
    ("ftensor", call_of_another_type, "func.call: the call makes tensor<1x10xf32>, @npu_0 tensor"),
    ("warboy", integers_among_commands, "it is left in @npu_0, which holds commands alone"),
    ("warboy", without("warboy.layers"), "func.func: @npu_0 has no 'warboy.layers'"),
    ("warboy", without("warboy.constants"), "func.func: @npu_0 has no 'warboy.constants'"),
    ("warboy", without("warboy.addresses"), "func.func: @npu_0 has no 'warboy.addresses'"),
    ("warboy", addresses(inputs=()), "func.func: argument 0 of @npu_0 has no address in the work"),
    ("warboy", addresses(inputs=(0, 64)), "@npu_0 has addresses of 2 arguments, its type has 1"),
    ("warboy", addresses(outputs=(-1,)), "func.func: result 0 of @npu_0 has no address in the wo"),
]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("level", PHASES)
def test_what_the_compiler_makes_holds(network: str, level: str) -> None:
    verifier = PHASES[level].verifier
    assert verifier is not None
    verifier(compiled(network, level))


@pytest.mark.parametrize(("level", "change", "sentence"), CASES)
def test_what_breaks_it_is_refused(
    level: str, change: Callable[[ModuleOp], None], sentence: str
) -> None:
    module = compiled(NETWORK, level).clone()
    change(module)
    phase = replace(PHASES[level], passes=())
    with pytest.raises(OperationFailure, match=sentence) as caught:
        phase.verifier(module)
    assert caught.value.operation is not None


def test_the_sentence_names_phase_and_operation() -> None:
    module = compiled(NETWORK, "graph").clone()
    graph_operation_in_main(module)
    operation = some(module, GraphOp, main(module))
    assert not isinstance(operation, StorageCastOp)
    phase = Phase("graph", "nothing more", (), PHASES["graph"].verifier)
    with pytest.raises(OperationFailure) as caught:
        run_pipeline(make_context(), module, Pipeline("p", (phase,)))
    assert caught.value.message == (
        "after the phase 'graph': graph.constant: it stands in @main, outside of all segments"
    )
    assert caught.value.operation is operation


def test_every_phase_of_every_backend_has_a_verifier() -> None:
    phases = [phase for backend in backends() for phase in backend.pipeline().phases]
    assert phases
    assert [phase.name for phase in phases if phase.verifier is None] == []
