"""The operations' own syntax: what it says, that it and the generic form are one IR, and limits."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import (
    UNKNOWN_LOC,
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    ModuleOp,
    StringAttr,
    SymbolRefAttr,
    TensorType,
    f32,
    f64,
    i8,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.irdl import IRDLOperation, OptPropertyDef

from furiosa_ir.backends.warboy.dialect import Warboy
from furiosa_ir.backends.warboy.pipeline import PIPELINE
from furiosa_ir.compiler import compile_source
from furiosa_ir.dialects.ftensor import FTensor
from furiosa_ir.dialects.graph import Graph
from furiosa_ir.dialects.quant import Quantization, UniformType
from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers import load
from furiosa_ir.ir.assembly_format import AssemblyOp
from furiosa_ir.ir.constants import BlobAttr, ConstantTable
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.equivalence import difference
from furiosa_ir.ir.location import fuse, name_loc
from furiosa_ir.ir.pipeline import Pipeline, run_pipeline
from furiosa_ir.ir.text import large_constants, parse_module, print_module
from furiosa_ir.ir.text_format import is_ir_text
from furiosa_ir.passes.assign_target import with_target
from tests.conformance.conformance import onnx_model
from tests.conftest import DIGITS, SHARED
from tests.draws import draws
from tests.lowering.drawn import drawn
from tests.lowering.exact_cases import CASES
from tests.lowering.network import forms, networks
from tests.oracle.litert import build_model

OPERATIONS = sorted(
    (op for d in (Graph, FTensor, Warboy) for op in d.operations), key=lambda op: op.name
)


def round_trip(module: ModuleOp, *, verify: bool = True) -> str:
    """Checks that both forms are this module again, and that text does not change on its way."""
    table = ConstantTable()
    for constant in large_constants(module):
        table.add(constant)
    text = print_module(module)
    assert is_ir_text(text.encode())
    again = parse_module(text, table, verify=verify)
    assert difference(module, again) is None, text
    assert print_module(again) == text
    generic = print_module(module, generic=True)
    assert difference(module, parse_module(generic, table, verify=verify)) is None, generic
    return text


@pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.name)
def test_every_operation_has_a_syntax(op: type[Operation]):
    """A newcomer's, too: declaring one is enough."""
    assert issubclass(op, AssemblyOp)


# Any operation with any properties, operands and attributes, whether it makes sense or not.

NAMES = [
    "conv1",
    "layer/with space",
    "1x1",
    "é",
    "Conv_12",
    "a" * 70,
    "x;y",
    "conv1_QuantizeLinear",
    "%",
]


def _types(rng: random.Random) -> Attribute:
    channels = rng.choice([1, 3, 20])
    scales = tuple(rng.choice([0.5, 1 / 255, 1e-12]) * (i + 1) for i in range(channels))
    zeros = tuple(rng.randint(-9, 9) * rng.randint(0, 1) for _ in range(channels))
    quantised = UniformType(Quantization("i8", scales, zeros, 0 if channels > 1 else None))
    element = rng.choice([i8, f32, quantised])
    rank = rng.randint(0, 5)
    return TensorType(element, [channels, *[rng.randint(1, 9) for _ in range(rank)]])


def _property(name: str, rng: random.Random) -> Attribute:
    numbers = [rng.randint(-3, 2**40) for _ in range(rng.randint(0, 5))]
    real = rng.choice([0.0, -0.0, 1.0, 0.1, 1e-30, -1e300, float("inf"), float("nan")])
    choices: list[Attribute] = [
        IntegerAttr(rng.choice([0, 1, -128, 127, 2**62]), i64),
        FloatAttr(real, f64),
        StringAttr(rng.choice(["NCHW", "", 'a "b"\\', "é", "max"])),
        DenseArrayBase.from_list(i64, numbers),
        DenseArrayBase.from_list(i64, [rng.choice([0, 1])] * rng.randint(0, 4)),
        DenseArrayBase.from_list(f64, [real if abs(real) < 1e301 else 0.5, 2.0]),
        BlobAttr.of(np.arange(rng.choice([0, 3, 40]), dtype=np.int32)),
        TensorType(i8, [3]),
        SymbolRefAttr("v"),
    ]
    if name == "sym_name":
        return StringAttr(rng.choice(["ring", "with blank"]))
    return rng.choice(choices)


def _operation(cls: type[IRDLOperation], values: list[SSAValue], rng: random.Random) -> Operation:
    definition = cls.get_irdl_definition()
    # Without results, properties and operands there is nothing to tell where it ends.
    least = 0 if definition.results else 1
    operands = [rng.choice(values) for _ in range(rng.randint(least, 4))]
    operands = operands if definition.operands else []
    properties = {
        name: _property(name, rng)
        for name, declared in definition.properties.items()
        if name == getattr(cls, "LEADING", None)
        or not isinstance(declared, OptPropertyDef)
        or rng.random() < 0.3
    }
    results = [_types(rng) for _ in range(rng.randint(1, 3))] if definition.results else []
    attributes: dict[str, Attribute] = {}
    if rng.random() < 0.3:
        attributes = {"graph.hint": StringAttr("so"), "axis": IntegerAttr(1, i64)}
    regions: list[Region] = []
    if definition.regions:
        arguments = [v.type for v in operands] if rng.random() < 0.7 else [_types(rng)]
        regions = [Region(Block(arg_types=arguments))]
    op = cls.create(
        operands=operands,
        result_types=results,
        properties=properties,
        attributes=attributes,
        regions=regions,
    )
    layers = [name_loc(rng.choice(NAMES)) for _ in range(rng.randint(0, 3))]
    op.location = fuse(*layers) if layers else UNKNOWN_LOC
    return op


WITHOUT_PLANS = [
    op for op in OPERATIONS if op.dialect_name() != "warboy" or op.name == "warboy.yield"
]


@settings(max_examples=draws(25), deadline=None)
@given(st.integers(0, 2**32))
def test_any_operation_round_trips(seed: int):
    rng = random.Random(seed)
    first = WITHOUT_PLANS[0].create(result_types=[_types(rng), _types(rng)])
    module, values = ModuleOp([first]), list[SSAValue](first.results)
    for cls in rng.sample(WITHOUT_PLANS, 12):
        assert issubclass(cls, IRDLOperation)
        op = _operation(cls, values, rng)
        module.body.block.add_op(op)
        values.extend(op.results)
    round_trip(module, verify=False)


@settings(
    max_examples=draws(8),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_drawn_networks_round_trip_at_every_level(data: st.DataObject):
    name = data.draw(st.sampled_from([*CASES, *forms()]))
    if isinstance(name, str):
        module = load(onnx_model(data.draw(drawn(CASES[name]))))
    else:
        module = load(build_model(data.draw(networks(*name)).operators))
    round_trip(module)
    for phase in with_target(PIPELINE.phases, module, "warboy-2pe"):
        run_pipeline(make_context(), module, Pipeline(phase.name, (phase,)))
        round_trip(module)


@pytest.fixture(scope="module")
def digits_text() -> str:
    return print_module(compile_source(DIGITS / "digits_int8.tflite", target_ir="graph").module)


def test_values_and_types_are_called_as_layers(digits_text: str):
    lines = digits_text.splitlines()
    body = lines[next(i for i, line in enumerate(lines) if line.startswith("builtin.module")) :]
    assert not any("!quant.uniform<i8:f32:" in line for line in body)
    assert any(line.startswith("!stem_weight = !quant.uniform<i8:f32:0, {") for line in lines)
    assert re.search(
        r"^    %stem = graph\.conv %image, %stem_weight, %stem_bias", digits_text, re.MULTILINE
    )
    assert re.search(r'^#stem_weight = #graph\.blob<"[0-9a-f]{64}">$', digits_text, re.MULTILINE)
    assert "loc(unknown)" not in digits_text


def test_defaults_are_not_printed_but_are_in_the_ir():
    text = (
        "func.func @f(%x: tensor<1x1x4x4xi8>, %w: tensor<1x1x3x3xi8>) {\n"
        '  %y = graph.conv %x, %w {layout = "NCHW", kernel_layout = "OIHW"} : tensor<1x1x2x2xi8>\n'
        "  func.return\n}"
    )
    module = parse_module(text)
    (conv,) = (op for op in module.walk() if op.name == "graph.conv")
    assert conv.properties["dilations"] == DenseArrayBase.from_list(i64, [1, 1])
    assert conv.properties["pads"] == DenseArrayBase.from_list(i64, [0, 0, 0, 0])
    assert conv.properties["group"] == IntegerAttr(1, i64)
    assert 'graph.conv %x, %w {layout = "NCHW", kernel_layout = "OIHW"} :' in print_module(module)
    assert "dilations = array<i64: 1, 1>" in print_module(module, generic=True)


@pytest.mark.parametrize(
    ("operation", "message", "column"),
    [
        ("%y = graph.relu %z : tensor<4xf32>", "%z is not defined above", 19),
        ("%y = graph.relu %x#1 : tensor<4xf32>", "%x has no value 1", 19),
        (
            "%y = graph.relu %x {a = 1, a = 2} : tensor<4xf32>",
            "the property 'a' is there twice",
            32,
        ),
        ("%y = graph.relu %x {a = [1, 2 : i32]} : tensor<4xf32>", "a list of numbers, some", 39),
        ("%y = graph.nothing %x : tensor<4xf32>", "there is no operation 'graph.nothing'", 8),
        ("%y = graph.rleu %x : tensor<4xf32>", "(did you mean 'graph.relu'?)", 8),
        ("%y = grahp.relu %x : tensor<4xf32>", "no dialect 'grahp' (did you mean 'graph'?)", 8),
        (
            '%y = "stablehlo.add"(%x, %x) : tensor<4xf32>',
            "no dialect 'stablehlo' (there are: arith, builtin, ",
            9,
        ),
        ("%y = graph.relu %x tensor<4xf32>", "':' and the result's type expected", 22),
        ("%y = graph.relu %x", "':' and the result's type expected", 21),
        ("%y = graph.relu %x : tensor<4xf32> )", "an operation or '}' expected", 38),
        ("%y = graph.relu %x : tensor<4xf32", "expected '>' after builtin parameter list", 36),
        ('%y = graph.constant #graph.blob<f32 [1] ("s")> : tensor<1xf32>', "not 's'", 47),
        ("%y = graph.relu %x : tensor<4x!quant.uniform<5:f32, 1.0>>", "a storage type such", 48),
        ("%y = graph.relu %x : tensor<4x!quant.uniform<i8:5, 1.0>>", "quantised expected", 51),
        ("%y = graph.relu %x, : tensor<4xf32>", "operand expected", 23),
        ("graph.assign_variable @v, {}", "operand expected", 29),
        ("graph.assign_variable @v, %x, {}", "operand expected", 33),
        ("%y = warboy.vector %a = %x, : tensor<4xf32> {}", "operand expected", 31),
        ("%y = graph.relu %x {a = } : tensor<4xf32>", "attribute expected", 27),
        ("%y = warboy.vector %a = %x, %x : tensor<4xf32> {}", "some operands stand for arg", 34),
        ("%y = warboy.load after %q {layer = 0}", "%q is not defined above", 26),
        ("%y = warboy.load {layer = 0, layer = 1}", "load has 'layer' twice", 38),
        ("%y = graph.read_variable : tensor<4xf32>", "attribute expected", 28),
        ("%y = graph.relu %x : !t", "undefined symbol alias '!t'", 24),
        ("%y = graph.relu %x {a = #a} : tensor<4xf32>", "undefined symbol alias '#a'", 27),
        ("%x = graph.relu %x : tensor<4xf32>", "SSA value %x is already defined", 3),
        (f"%y = graph.relu %x {{a = [{2**63}]}} : tensor<4xf32>", "is no 64-bit integer", 48),
        (f"%y = graph.relu %x {{a = [0.5, {9**400}]}} : tensor<4xf32>", "too large to", 416),
        ("%y = graph.constant #graph.blob<i8 [1] (1.5)> : tensor<1xi8>", "1.5 is no i8", 49),
        ("%y = graph.constant #graph.blob<i1 [1] (2)> : tensor<1xi1>", "2 is no i1", 47),
        ("%y = graph.constant #graph.blob<ui8 [1] (-1)> : tensor<1xi8>", "-1 is no ui8", 49),
        ("%y = graph.constant #graph.blob<f16 [1] (1.0e9)> : tensor<1xf16>", "is no f16", 52),
    ],
)
def test_errors_have_a_place(operation: str, message: str, column: int):
    text = f"func.func @main(%x: tensor<4xf32>) {{\n  {operation}\n  func.return\n}}"
    with pytest.raises(ImportFailure) as caught:
        parse_module(text, name="a.mlir")
    (found,) = caught.value.diagnostics
    assert message in str(caught.value)
    assert (found.line, found.column, found.source) == (2, column, f"  {operation}")


def test_scales_beside_the_text_are_checked():
    scales = UniformType(Quantization("i8", tuple(i / 7 + 0.1 for i in range(20)), (3,) * 20, 0))
    table = ConstantTable()
    for constant in scales.text_constants():
        table.add(constant)
    first, second = (constant.digest for constant in scales.text_constants())

    def module(numbers: str) -> ModuleOp:
        kind = f"tensor<20x!quant.uniform<i8:f32:0, {numbers}>>"
        return parse_module(f"func.func @f(%x: {kind}) {{ func.return }}", table)

    made = module(f'"{first}":"{second}"')
    assert f'"{first}":"{second}"' in print_module(made)
    for numbers, message in (
        (f'"{second}"', "is no list of f64"),
        (f'"{first}":"{first}"', "is no list of i32"),
        ('"0123"', "no constant 0123… in the safetensors file"),
    ):
        with pytest.raises(ImportFailure, match=message):
            module(numbers)


def test_a_scale_list_cannot_stand_for_more_than_a_text_may(monkeypatch: pytest.MonkeyPatch):
    table = ConstantTable()
    constant = BlobAttr.of(np.ones(1000)).data
    table.add(constant)
    aliases = "\n".join(f'!a{i} = !quant.uniform<i8:f32:0, "{constant.digest}">' for i in range(20))
    parse_module(f"{aliases}\nbuiltin.module {{}}", table)
    monkeypatch.setenv("FURIOSA_MAX_DENSE_ELEMENTS", "10000")
    with pytest.raises(ImportFailure, match="FURIOSA_MAX_DENSE_ELEMENTS"):
        parse_module(f"{aliases}\nbuiltin.module {{}}", table)


def test_long_lists_of_aliases_are_ir(digits_text: str):
    """A reader looks at the first bytes only; the aliases of ResNet50 are longer."""
    begin = digits_text.index("builtin.module")
    assert begin > 1000
    assert all(is_ir_text(digits_text[:end].encode()) for end in range(80, begin, 7))
    assert all(is_ir_text(digits_text[:end].encode()) for end in range(begin, begin + 20))
    assert all(is_ir_text(("// a\n// b\n" + digits_text)[:end].encode()) for end in range(3, 20))


def test_lines_are_short_and_one_operation_is_found_on_its_first(digits_text: str):
    assert max(map(len, digits_text.splitlines())) <= 160
    operations = len(re.findall(r"^    %\S+ = graph\.", digits_text, re.MULTILINE))
    module = compile_source(DIGITS / "digits_int8.tflite", target_ir="graph").module
    assert operations == sum(op.name.startswith("graph.") for op in module.walk())


@pytest.mark.slow
@pytest.mark.corpus
def test_resnet50_is_for_people(tmp_path: Path):
    source = SHARED / "models" / "generated" / "resnet50_v15_qdq_int8.onnx"
    if not source.exists():
        pytest.skip(f"{source} is not there")
    module = compile_source(source, target_ir="graph").module
    text = round_trip(module)
    assert len(text) < 100_000
    assert max(len(line) for line in text.splitlines()) <= 200


@pytest.fixture(scope="module")
def iree_opt() -> str:
    """Upstream's parser, where `pip install iree-base-compiler` has put it."""
    here = Path(sys.executable).parent  # `make test` does not activate the environment
    found = shutil.which("iree-opt", path=os.pathsep.join([str(here), os.environ["PATH"]]))
    if found is None:
        pytest.skip("iree-opt (package iree-base-compiler) is not installed")
    return found


@pytest.mark.parametrize("level", ["graph", "ftensor", "warboy"])
def test_upstream_reads_the_generic_form(level: str, iree_opt: str, tmp_path: Path):
    module = compile_source(DIGITS / "digits_int8.tflite", target_ir=level).module
    table = ConstantTable()
    for constant in large_constants(module):
        table.add(constant)
    path = tmp_path / "generic.mlir"
    path.write_text(print_module(module, generic=True))
    flags = ("allow-unregistered-dialect", "mlir-print-debuginfo", "mlir-print-local-scope")
    command = [iree_opt, *(f"--{flag}" for flag in flags), str(path)]
    came_back = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert difference(module, parse_module(came_back, table)) is None
