"""Text of a program that somebody else wrote: nothing of it reads or writes outside of a tensor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from furiosa_ir.backends.mlir.segment import MlirSegment
from furiosa_ir.backends.mlir.text_safety import check_text, checked_text
from furiosa_ir.errors import FormatFailure, FuriosaError
from furiosa_ir.ir.constant_file import constant_chunks
from furiosa_ir.ir.constants import Constant
from furiosa_ir.program import Binding

NO_PARAMETERS = b"".join(constant_chunks([]))


def segment(function: str) -> MlirSegment:
    one = (Binding(0, 0),)
    return MlirSegment("npu_0", one, one, (), function, NO_PARAMETERS)


def loop(body: str, index: str = "d0", given: str = "tensor<4xi64>") -> MlirSegment:
    """A loop of four turns over `%x`, whose element is `%a`; the body makes `%v`."""
    return segment(f"""
      func.func public @npu_0(%x: {given}) -> tensor<4xi64> {{
        %e = tensor.empty() : tensor<4xi64>
        %r = linalg.generic {{
          indexing_maps = [affine_map<(d0) -> ({index})>, affine_map<(d0) -> (d0)>],
          iterator_types = ["parallel"]
        }} ins(%x : {given}) outs(%e : tensor<4xi64>) {{
        ^bb0(%a: i64, %b: i64):
          {body}
          linalg.yield %v : i64
        }} -> tensor<4xi64>
        func.return %r : tensor<4xi64>
      }}""")


def clamped(low: int, high: int) -> str:
    return f"""
      %low = arith.constant {low} : i64
      %high = arith.constant {high} : i64
      %at_least = arith.maxsi %a, %low : i64
      %clamped = arith.minsi %at_least, %high : i64
      %i = arith.index_cast %clamped : i64 to index
      %v = tensor.extract %x[%i] : tensor<4xi64>"""


def shifted(distance: int) -> str:
    return f"""
      %distance = arith.constant {distance} : i64
      %v = arith.shli %a, %distance : i64"""


def computed(half: int) -> str:
    return f"""
      %half = arith.constant {half} : i64
      %distance = arith.addi %half, %half : i64
      %v = arith.shrsi %a, %distance : i64"""


def within(most: int) -> str:
    """Shifted by data that are clamped."""
    return f"""
      %low = arith.constant 0 : i64
      %high = arith.constant {most} : i64
      %at_least = arith.maxsi %a, %low : i64
      %distance = arith.minsi %at_least, %high : i64
      %v = arith.shli %a, %distance : i64"""


def at_loop(number: int) -> str:
    return f"""
      %i = "linalg.index"() <{{dim = {number} : i64}}> : () -> index
      %v = tensor.extract %x[%i] : tensor<4xi64>"""


def real(kind: str) -> str:
    return f"""
      %r = arith.sitofp %a : i64 to {kind}
      %zero = arith.constant 0 : i64
      %v = arith.addi %a, %zero : i64"""


def promised(operation: str) -> str:
    """A clamp that a promise makes needless, unless it is broken."""
    return f"""
      %low = arith.constant 0 : i64
      %high = arith.constant 3 : i64
      %one = arith.constant 1 : i64
      %real = arith.sitofp %a : i64 to f64
      {operation}
      %at_least = arith.maxsi %more, %low : i64
      %clamped = arith.minsi %at_least, %high : i64
      %i = arith.index_cast %clamped : i64 to index
      %v = tensor.extract %x[%i] : tensor<4xi64>"""


PROMISES = {
    "addi": "%more = arith.addi %a, %one overflow<nsw> : i64",
    "subi": "%more = arith.subi %a, %one overflow<nuw> : i64",
    "muli": "%more = arith.muli %a, %a overflow<nsw, nuw> : i64",
    "shli": "%more = arith.shli %a, %one overflow<nsw> : i64",
    "mulf": "%r = arith.mulf %real, %real fastmath<nnan> : f64\n"
    "%more = arith.bitcast %r : f64 to i64",
    "addf": "%r = arith.addf %real, %real fastmath<fast> : f64\n"
    "%more = arith.bitcast %r : f64 to i64",
    "cmpf": "%r = arith.cmpf ogt, %real, %real fastmath<ninf> : f64\n"
    "%more = arith.select %r, %a, %one : i64",
    "trunci": "%r = arith.trunci %a {overflowFlags = #arith.overflow<nsw>} : i64 to i32\n"
    "%more = arith.extsi %r : i32 to i64",
}


@pytest.mark.parametrize("operation", PROMISES)
def test_promises_are_refused(operation: str) -> None:
    with pytest.raises(FormatFailure, match=r"says that something|attributes of its own"):
        check_text(loop(promised(PROMISES[operation])))


def test_without_promises_it_is_taken() -> None:
    check_text(loop(promised("%more = arith.addi %a, %one : i64")))


SLICE_IN_A_BODY = """
      %start = arith.index_cast %a : i64 to index
      %part = tensor.extract_slice %x[%start] [1] [1] : tensor<4xi64> to tensor<1xi64>
      %zero = arith.constant 0 : i64
      %at_least = arith.maxsi %a, %zero : i64
      %clamped = arith.minsi %at_least, %zero : i64
      %i = arith.index_cast %clamped : i64 to index
      %v = tensor.extract %part[%i] : tensor<1xi64>"""

COPY = "%zero = arith.constant 0 : i64\n%v = arith.addi %a, %zero : i64"


def slice_at(start: str) -> MlirSegment:
    return segment(f"""
      func.func public @npu_0(%x: tensor<4xi64>) -> tensor<1xi64> {{
        %start = arith.constant 99 : index
        %r = tensor.extract_slice %x[{start}] [1] [1] : tensor<4xi64> to tensor<1xi64>
        func.return %r : tensor<1xi64>
      }}""")


def function(body: str, made: str = "tensor<4xi64>") -> MlirSegment:
    """Of `%x`, a tensor<4xi64>; the body makes `%r`."""
    return segment(f"""
      func.func public @npu_0(%x: tensor<4xi64>) -> {made} {{
        {body}
        func.return %r : {made}
      }}""")


def part_of(start: int, count: int, step: int) -> MlirSegment:
    made = f"tensor<{count}xi64>"
    return function(
        f"%r = tensor.extract_slice %x[{start}] [{count}] [{step}] : tensor<4xi64> to {made}", made
    )


def put_into(start: int, count: int, step: int) -> MlirSegment:
    part = f"tensor<{count}xi64>"
    return function(f"""
        %p = tensor.extract_slice %x[0] [{count}] [1] : tensor<4xi64> to {part}
        %r = tensor.insert_slice %p into %x[{start}] [{count}] [{step}]
          : {part} into tensor<4xi64>""")


def padded(low: int, high: int) -> MlirSegment:
    made = f"tensor<{4 + low + high}xi64>"
    return function(
        f"""%r = tensor.pad %x low[{low}] high[{high}] {{
        ^bb0(%i: index):
          %c = arith.constant 7 : i64
          tensor.yield %c : i64
        }} : tensor<4xi64> to {made}""",
        made,
    )


def into(map_: str, body: str) -> MlirSegment:
    """A loop of two turns over `%x`'s beginning that makes a tensor<4xi64> from an empty one."""
    return function(f"""
        %p = tensor.extract_slice %x[0] [2] [1] : tensor<4xi64> to tensor<2xi64>
        %e = tensor.empty() : tensor<4xi64>
        %r = linalg.generic {{
          indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ({map_})>],
          iterator_types = ["parallel"]
        }} ins(%p : tensor<2xi64>) outs(%e : tensor<4xi64>) {{
        ^bb0(%a: i64, %b: i64):
          {body}
          linalg.yield %v : i64
        }} -> tensor<4xi64>""")


def no_turns() -> MlirSegment:
    """A loop within a loop, over a dimension of no elements, that would make a tensor<4xi64>."""
    return segment("""
      func.func public @npu_0(%x: tensor<0xi64>) -> tensor<4xi64> {
        %e = tensor.empty() : tensor<4xi64>
        %r = linalg.generic {
          indexing_maps = [affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d0)>],
          iterator_types = ["parallel", "reduction"]
        } ins(%x : tensor<0xi64>) outs(%e : tensor<4xi64>) {
        ^bb0(%a: i64, %b: i64):
          linalg.yield %a : i64
        } -> tensor<4xi64>
        func.return %r : tensor<4xi64>
      }""")


def compared(predicate: int) -> str:
    return f"""
      %is = "arith.cmpi"(%a, %a) <{{predicate = {predicate} : i64}}> : (i64, i64) -> i1
      %v = arith.extsi %is : i1 to i64"""


def filled(last: str) -> str:
    return f"""
        %c = arith.constant 77 : i64
        %e = tensor.empty() : tensor<4xi64>
        %r = "linalg.fill"(%c, %e) <{{operandSegmentSizes = array<i32: 1, 1>}}> ({{
        ^bb0(%s: i64, %d: i64):
          %t = arith.addi %s, %s : i64
          {last}
        }}) : (i64, tensor<4xi64>) -> tensor<4xi64>"""


EMPTY = "%r = tensor.empty() : tensor<4xi64>"
TWICE = "%v = arith.addi %b, %a : i64"
"""What was there, and an element."""


@pytest.mark.parametrize(
    "safe",
    [
        loop(COPY),
        loop(clamped(0, 3)),
        loop(shifted(63)),
        loop(within(63)),
        loop(real("f64")),
        loop(COPY, "d0 * 2 + 1", "tensor<8xi64>"),
        part_of(1, 3, 1),
        part_of(1, 2, 2),
        put_into(0, 2, 3),
        padded(0, 2),
        part_of(4, 0, 1),
        part_of(0, 0, 1),
    ],
)
def test_what_stays_within_its_tensors_is_taken(safe: MlirSegment) -> None:
    check_text(safe)


@pytest.mark.parametrize(
    ("hostile", "cause"),
    [
        pytest.param(loop(clamped(0, 4)), "may lie outside", id="clamped beyond the end"),
        pytest.param(loop(clamped(-1, 3)), "may lie outside", id="clamped in front"),
        pytest.param(loop(clamped(0, -99)), "may lie outside", id="clamped to less than nothing"),
        # Where it begins and where it ends, which is all that verifiers try, it is at 0.
        pytest.param(loop(COPY, "(d0 mod 3) * 99"), "is no sum", id="remainders"),
        pytest.param(loop(COPY, "d0 floordiv 4"), "is no sum", id="quotients"),
        pytest.param(loop(COPY, "3 - d0"), "is no sum", id="backwards"),
        pytest.param(loop(COPY, given="tensor<?xi64>"), "open extents", id="open extents"),
        pytest.param(loop(shifted(64)), "shifts by more", id="shifted by the width"),
        pytest.param(loop(shifted(-1)), "shifts by more", id="shifted by less than nothing"),
        pytest.param(loop("%v = arith.shli %a, %a : i64"), "shifts by more", id="shifted by data"),
        pytest.param(loop(computed(50)), "shifts by more", id="shifted by a sum"),
        pytest.param(loop(within(64)), "shifts by more", id="shifted by up to the width"),
        pytest.param(loop(at_loop(5)), "may lie outside", id="the index of no loop"),
        pytest.param(loop(at_loop(-1)), "may lie outside", id="the index of a loop from behind"),
        pytest.param(loop("%v = tensor.extract %x[] : tensor<4xi64>"), "an index for each", id="0"),
        pytest.param(
            loop("%i = linalg.index 0 : index\n%v = tensor.extract %x[%i, %i] : tensor<4xi64>"),
            "an index for each",
            id="two indices of one dimension",
        ),
        pytest.param(loop(real("f32")), "of type f32", id="f32"),
        pytest.param(loop(real("f128")), "of type f128", id="f128"),
        pytest.param(
            segment(
                "func.func public @npu_0(%x: tensor<4xi64> {iree.abi.output = 0 : index}) "
                "-> tensor<4xi64> { func.return %x : tensor<4xi64> }"
            ),
            "attributes of its own",
            id="attributes of an argument",
        ),
        pytest.param(loop(SLICE_IN_A_BODY), "within 'linalg.generic'", id="a slice in a loop"),
        pytest.param(slice_at("%start"), "is computed", id="a slice at a computed offset"),
        # All but the last are no fault to IREE 3.13.
        pytest.param(part_of(0, 4096, -1), "reaches out", id="a slice in front"),
        pytest.param(part_of(0, 9, 0), "reaches out", id="a slice of one element nine times"),
        pytest.param(put_into(0, 4, -1), "reaches out", id="a slice put in front"),
        pytest.param(part_of(1, 2, 3), "reaches out", id="a slice beyond the end"),
        pytest.param(padded(-2, 3), "cuts off", id="less than no padding"),
        pytest.param(function(EMPTY), "nobody has written", id="an empty tensor returned"),
        pytest.param(loop(TWICE), "nobody has written", id="an empty tensor's elements"),
        pytest.param(into("d0 * 3", COPY), "leaves elements out", id="every third element"),
        pytest.param(loop(COPY, "d0 + 100", "tensor<0xi64>"), "reaches out", id="elements of none"),
        pytest.param(
            loop(COPY, f"d0 * {1 << 62}", "tensor<0xi64>"), "reaches out", id="around 64 bits"
        ),
        pytest.param(loop(COPY, "d0", "tensor<0xi64>"), "less than 0", id="none of four"),
        pytest.param(no_turns(), "leaves elements out", id="a loop of no turns"),
        pytest.param(loop(compared(77)), "in no way that there is", id="an unknown comparison"),
        pytest.param(
            segment("func.func public @npu_0(%x: i64) -> i64 { func.return %x : i64 }"),
            "which is no tensor",
            id="a number for a tensor",
        ),
        pytest.param(
            segment(
                "func.func public @npu_0(%x: tensor<4xi64>) -> i64 "
                "{ %c = arith.constant 1 : i64\nfunc.return %c : i64 }"
            ),
            "gives what is no tensor",
            id="a number in place of a tensor",
        ),
        pytest.param(
            segment(
                "func.func public @npu_0(%x: tensor<ui64>) -> tensor<ui64> "
                "{ func.return %x : tensor<ui64> }"
            ),
            "of type tensor<ui64>",
            id="no sign",
        ),
        pytest.param(
            segment(
                'func.func public @npu_0(%x: tensor<4xi64, "a">) -> tensor<4xi64, "a"> '
                '{ func.return %x : tensor<4xi64, "a"> }'
            ),
            "of type tensor<4xi64",
            id="an encoding",
        ),
        pytest.param(
            function(filled("linalg.yield %t : i64")), "something else", id="another filling"
        ),
        pytest.param(
            segment("""
              func.func public @npu_0(%x: tensor<i64>) -> tensor<i64> {
                %r = tensor.pad %x low[] high[] {
                  %c = arith.constant 7 : i64
                  tensor.yield %c : i64
                } : tensor<i64> to tensor<i64>
                func.return %r : tensor<1xi64>
              }"""),
            ".",
            id="padding of no dimensions",
        ),
    ],
)
def test_what_may_leave_its_tensors_is_refused(hostile: MlirSegment, cause: str) -> None:
    with pytest.raises(FuriosaError, match=cause):
        check_text(hostile)


def test_what_a_carriage_return_hides_is_not_compiled() -> None:
    """A comment ends there for MLIR, and with the line for xDSL, which we look at text with."""
    body = """
      // \r %i = arith.index_cast %a : i64 to index //
      %zero = // \r tensor.extract %x[%i] : tensor<4xi64> //
        arith.constant 0 : i64
      %v = arith.addi %a, %zero : i64"""
    ours = checked_text(loop(body))
    assert "extract" not in ours
    assert "\r" not in ours


@pytest.mark.parametrize("name", ["npu 0", "npu_0() { } //", 'npu_0"', "npu_0\\0A"])
def test_names_that_need_quotes_are_refused(name: str) -> None:
    quoted = name.replace('"', "\\22")
    text = f"""
      func.func public @"{quoted}"(%x: tensor<4xi64>) -> tensor<4xi64> {{
        func.return %x : tensor<4xi64>
      }}"""
    one = (Binding(0, 0),)
    with pytest.raises(FormatFailure, match="none of ours"):
        checked_text(MlirSegment(name, one, one, (), text, NO_PARAMETERS))


def parameters(header: str, elements: bytes) -> MlirSegment:
    held = len(header).to_bytes(8, "little") + header.encode() + elements
    return replace(loop(COPY), parameters=held)


def test_constants_are_as_we_write_them() -> None:
    """IREE reads them by a parser of its own, which may find others in the same bytes."""
    constant = Constant(np.arange(20, dtype=np.int8))
    ours = b"".join(constant_chunks([constant]))
    check_text(replace(loop(COPY), parameters=ours))
    one = f'"{constant.digest}":{{"data_offsets":[0,20],"dtype":"I8","shape":[20]}}'
    far = one.replace("[0,20]", "[0,20000]").replace("[20]", "[20000]")
    name = one.replace(constant.digest, 'a\\" b')
    for header in ("{" + one + "}", "{" + far + "," + one + "}", "{" + name + "}"):
        padded_ = header + " " * (-(len(header) + 8) % 64)
        hostile = parameters(padded_, constant.array.tobytes())
        if header == "{" + one + "}":
            check_text(hostile)
        else:
            with pytest.raises(FormatFailure, match="not written as ours are"):
                check_text(hostile)
        # Spaces, which ours has not.
        with pytest.raises(FormatFailure, match="not written as ours are"):
            check_text(parameters(padded_.replace(",", ", "), constant.array.tobytes()))
