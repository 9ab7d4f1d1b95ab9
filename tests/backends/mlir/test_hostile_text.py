"""Text of a program that somebody else wrote: nothing of it reads or writes outside of a tensor."""

from __future__ import annotations

import pytest

from furiosa_ir.backends.mlir.segment import MlirSegment
from furiosa_ir.backends.mlir.text_safety import check_text
from furiosa_ir.errors import FormatFailure
from furiosa_ir.program import Binding

NO_PARAMETERS = (2).to_bytes(8, "little") + b"{}"


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


@pytest.mark.parametrize(
    "safe",
    [
        loop(COPY),
        loop(clamped(0, 3)),
        loop(shifted(63)),
        loop(within(63)),
        loop(real("f64")),
        loop(COPY, "d0 * 2 + 1", "tensor<8xi64>"),
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
    ],
)
def test_what_may_leave_its_tensors_is_refused(hostile: MlirSegment, cause: str) -> None:
    with pytest.raises(FormatFailure, match=cause):
        check_text(hostile)
