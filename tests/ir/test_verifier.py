"""What the verifier refuses: structure, dominance, types, and how it says so."""

from __future__ import annotations

import gc
import re

import pytest
from xdsl.dialects import arith
from xdsl.dialects.builtin import ModuleOp, StringAttr, i32, i64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.dialects.linalg.ops import YieldOp
from xdsl.ir import Block, Operation, Region

from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir import verifier
from furiosa_ir.ir.text import parse_module
from furiosa_ir.ir.verifier import OperationFailure, operation_fault, verify_module

T = "tensor<4xf32>"


def failure(text: str) -> OperationFailure:
    module = parse_module(text, verify=False)
    with pytest.raises(VerificationFailure) as caught:
        verify_module(module)
    assert isinstance(caught.value, OperationFailure)
    assert "\n" not in str(caught.value)
    return caught.value


def test_accepts():
    verify_module(
        parse_module(f"""
        func.func @main(%x: {T}) -> {T} {{
          %0 = "graph.relu"(%x) : ({T}) -> {T}
          func.return %0 : {T}
        }}""")
    )


def test_use_before_definition():
    error = failure(f"""
        func.func @main(%x: {T}) -> {T} {{
          %0 = "graph.relu"(%1) : ({T}) -> {T} loc("late")
          %1 = "graph.relu"(%x) : ({T}) -> {T}
          func.return %0 : {T}
        }}""")
    assert "is used before it is defined" in str(error)
    assert error.layer == "late"
    assert error.operation is not None
    assert error.operation.name == "graph.relu"


def test_a_value_of_another_function():
    from xdsl.dialects.builtin import ModuleOp, TensorType, f32
    from xdsl.dialects.func import FuncOp, ReturnOp
    from xdsl.ir import Block, Region

    kind = TensorType(f32, [4])
    one, two = Block(arg_types=[kind]), Block(arg_types=[kind])
    one.add_op(ReturnOp(one.args[0]))
    two.add_op(ReturnOp(one.args[0]))
    module = ModuleOp([FuncOp(n, ([kind], [kind]), Region(b)) for n, b in (("a", one), ("b", two))])
    with pytest.raises(VerificationFailure, match="does not dominate this use"):
        verify_module(module)


POOL = (
    '%0 = "graph.max_pool"(%x) <{layout = "NQ", kernel_shape = array<i64>, '
    "strides = array<i64>, pads = array<i64>, dilations = array<i64>, ceil_mode = 0 : i64}> "
    ": (tensor<4xf32>) -> tensor<4xf32>"
)
TRANSPOSE = '%0 = "graph.transpose"(%x) <{perm = array<i64: 1>}>'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('%0 = "graph.relu"(%x) : (tensor<4xf32>) -> tensor<5xf32>', r"result has shape \[5\]"),
        ('"graph.relu"(%x) : (tensor<4xf32>) -> f32', "graph.relu: .*"),
        (f'%0 = "graph.clip"(%x) <{{minimum = "a"}}> : ({T}) -> {T}', "graph.clip: .*"),
        (f"{TRANSPOSE} : ({T}) -> {T}", "permutes no"),
        (POOL, "graph.max_pool is malformed"),
        (f"func.return %x : {T}", "a terminator in the middle of a block"),
        ('"func.call"(%x) <{callee = @nobody}> : (tensor<4xf32>) -> ()', "func.call: .*nobody"),
    ],
)
def test_operations(body: str, message: str):
    error = failure(f"func.func @main(%x: {T}) -> {T} {{\n {body} \n func.return %x : {T}\n}}")
    assert re.search(message, str(error)), error


def test_a_block_without_terminator():
    error = failure(f'func.func @main(%x: {T}) {{\n "graph.relu"(%x) : ({T}) -> {T}\n}}')
    assert "ends its block but is not a terminator" in str(error)


def test_a_symbol_that_is_there_twice():
    function = f"func.func @f(%x: {T}) -> {T} {{ func.return %x : {T} }}\n"
    with pytest.raises(OperationFailure) as caught:
        parse_module(function * 3, name="a.mlir")
    assert [d.place for d in caught.value.diagnostics] == ["a.mlir:2:1", "a.mlir:3:1"]
    assert "redefinition of the symbol @f" in caught.value.message


@pytest.mark.parametrize("axes", ["1, 1", "1, 7", "1, -1"])
def test_axes_that_are_there_twice_or_nowhere(axes: str):
    text = f"""
func.func @npu(%x: tensor<2x3xi8>) -> tensor<2x1xi32> {{
  %y = "ftensor.reduce"(%x) <{{kind = "sum", axes = array<i64: {axes}>, x_zp = 0 : i64}}>
       : (tensor<2x3xi8>) -> tensor<2x1xi32>
  func.return %y : tensor<2x1xi32>
}}
"""
    with pytest.raises(VerificationFailure, match=r"ftensor\.reduce: "):
        parse_module(text)


NETWORK = f"""
    func.func @main(%x: {T}, %y: tensor<2xf32>) -> ({T}, tensor<2xf32>) {{
      %0 = "graph.relu"(%x) : ({T}) -> {T}
      %1 = graph.clip %0 {{minimum = 0.0, maximum = 6.0}} : {T}
      %2 = "graph.abs"(%y) : (tensor<2xf32>) -> tensor<2xf32>
      func.return %1, %2 : {T}, tensor<2xf32>
    }}"""


def test_what_has_not_changed_is_not_verified_again(monkeypatch: pytest.MonkeyPatch):
    module = parse_module(NETWORK, verify=False)
    asked: list[str] = []

    def counted(op: Operation) -> str | None:
        asked.append(op.name)
        return operation_fault(op)

    monkeypatch.setattr(verifier, "operation_fault", counted)
    verify_module(module)
    assert {"graph.relu", "graph.clip", "graph.abs"} <= set(asked)
    asked.clear()
    verify_module(module)
    assert not [name for name in asked if name.startswith("graph.")]
    (function,) = module.ops
    assert isinstance(function, FuncOp)
    _, clip, absolute, _ = function.body.block.ops
    for change in (
        lambda: setattr(clip.results[0], "_type", absolute.results[0].type),
        lambda: clip.properties.update(minimum=StringAttr("least")),
    ):
        asked.clear()
        change()
        with pytest.raises(OperationFailure, match=r"graph\.clip"):
            verify_module(module)
        assert "graph.clip" in asked
        assert not {"graph.relu", "graph.abs"} & set(asked)


PADDED = """
func.func @f(%x: tensor<2xi8>) -> tensor<3xi8> {
  %0 = "tensor.pad"(%x) <{static_low = array<i64: 1>, static_high = array<i64: 0>,
       operandSegmentSizes = array<i32: 1, 0, 0>}> ({
  ^bb0(%i: index):
    %n = arith.constant 0 : i8
    "tensor.yield"(%n) : (i8) -> ()
  }) : (tensor<2xi8>) -> tensor<3xi8>
  func.return %0 : tensor<3xi8>
}
"""


def test_what_upstreams_operations_share_is_verified_once(monkeypatch: pytest.MonkeyPatch):
    """Loops' bodies are the same few operations; each has to be found that is another one."""
    asked: list[str] = []

    def counted(op: Operation) -> str | None:
        asked.append(op.name)
        return operation_fault(op)

    monkeypatch.setattr(verifier, "operation_fault", counted)
    block = Block(arg_types=[i64])
    flags = arith.AddiOp(block.args[0], block.args[0]).properties
    for _ in range(3):
        last = block.last_op.results[0] if block.last_op else block.args[0]
        block.add_op(
            arith.AddiOp.create(operands=[last, last], result_types=[i64], properties=flags)
        )
    third = block.last_op
    block.add_op(ReturnOp(third))
    module = ModuleOp([FuncOp("f", ([i64], [i64]), Region(block))])
    verify_module(module)
    assert asked.count("arith.addi") == 1
    third.results[0]._type = i32
    with pytest.raises(OperationFailure, match=r"arith\.addi"):
        verify_module(module)


def test_an_operation_whose_rules_look_inside_is_verified_each_time():
    module = parse_module(PADDED)
    verify_module(module)
    (pad,) = (op for op in module.walk() if op.name == "tensor.pad")
    block = pad.regions[0].block
    last = block.last_op
    last.detach()
    block.add_op(YieldOp(last.operands[0]))  # another dialect's
    with pytest.raises(OperationFailure, match=r"tensor\.pad"):
        verify_module(module)


def test_nothing_is_held_of_a_module_that_is_gone():
    module = parse_module(NETWORK)
    verify_module(module)
    assert module in verifier._LAST
    del module
    gc.collect()
    assert not [m for m in verifier._LAST if "graph.clip" in {op.name for op in m.walk()}]


def test_a_value_that_only_the_operation_itself_has_within() -> None:
    """The parser leaves it open, and it has no owner."""
    text = """
    func.func @f(%x: tensor<4xi64>) -> tensor<4xi64> {
      %r = linalg.generic {
        indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>],
        iterator_types = ["parallel"]
      } ins(%x : tensor<4xi64>) outs(%e : tensor<4xi64>) {
      ^bb0(%a: i64, %b: i64):
        %e = tensor.empty() : tensor<4xi64>
        linalg.yield %a : i64
      } -> tensor<4xi64>
      func.return %r : tensor<4xi64>
    }"""
    with pytest.raises(OperationFailure, match="operand 1 is defined nowhere around it"):
        parse_module(text)
