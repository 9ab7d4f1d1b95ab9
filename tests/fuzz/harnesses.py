"""What is fuzzed: each reader of files that somebody else may have written.

A harness is a function of the file's bytes. It may return or raise `FuriosaError`; anything else is
a bug. To fuzz another reader, add a function and a line in `HARNESSES`.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from furiosa_ir.errors import FuriosaError
from tests.fuzz import seeds
from tests.fuzz.mutators import (
    mutate_cache,
    mutate_enf,
    mutate_ir,
    mutate_mlirz,
    mutate_onnx,
    mutate_reproducer,
    mutate_tflite,
    seal_cache,
    seal_enf,
)


@dataclass(frozen=True)
class Harness:
    """A reader under test.

    Attributes:
        run: reads the bytes.
        seeds: (name, bytes) of files that it accepts.
        mutate: changes a file without breaking its form; None where it cannot parse it.
        max_bytes: of a file; longer seeds are left out.
        repair: makes the checksums of a file right again, after libFuzzer changed its bytes.
    """

    run: Callable[[bytes], object]
    seeds: Callable[[], Iterable[tuple[str, bytes]]]
    mutate: Callable[[bytes, random.Random], bytes | None]
    max_bytes: int = 1 << 14
    repair: Callable[[bytes], bytes] | None = None


def _onnx(data: bytes) -> None:
    from furiosa_ir.importers.onnx import import_onnx
    from furiosa_ir.ir.text import print_module
    from furiosa_ir.ir.verifier import verify_module

    module = import_onnx(data)
    verify_module(module)
    print_module(module)  # makes the origins


def _tflite(data: bytes) -> None:
    from furiosa_ir.importers.tflite import import_tflite
    from furiosa_ir.ir.text import print_module
    from furiosa_ir.ir.verifier import verify_module

    module = import_tflite(data)
    verify_module(module)
    print_module(module)


def _ir(data: bytes) -> None:
    """IR text; behind a zero byte its constants, as the safetensors file beside it."""
    from furiosa_ir.ir.constant_file import constants_of
    from furiosa_ir.ir.text import parse_module, print_module
    from furiosa_ir.ir.verifier import verify_module

    text, _, beside = data.partition(b"\0")
    table = constants_of(memoryview(beside)) if beside else None
    module = parse_module(text.decode("utf-8", "replace"), table)
    verify_module(module)
    print_module(module)


def _enf(data: bytes) -> None:
    from furiosa_ir.backends.warboy.checker import check_program
    from furiosa_ir.backends.warboy.enf.disassembler import disassemble
    from furiosa_ir.backends.warboy.enf.reader import read_program
    from furiosa_ir.reports.page import render_page
    from furiosa_ir.reports.profiling import profile_program

    program = read_program(data)
    render_page(profile_program(program))  # what is looked at need not run
    check_program(program)
    for _ in disassemble(program):
        pass


def _mlirz(data: bytes) -> None:
    """A program in upstream's dialects, up to the text that native code would be made of."""
    from furiosa_ir.backends.mlir.archive import disassemble, read_head, read_program
    from furiosa_ir.backends.mlir.segment import MlirSegment
    from furiosa_ir.backends.mlir.text_safety import checked_text

    program = read_program(data)
    read_head(data, 0)
    for segment in program.segments:
        if isinstance(segment, MlirSegment):
            checked_text(segment)
    for _ in disassemble(program):
        pass


def _cache(data: bytes) -> None:
    """An entry as the stores hand it out, for the key that its header names."""
    from furiosa_ir.cache.entry import BadEntry, read_entry, read_header

    try:
        read_entry(io.BytesIO(data), len(data), read_header(data).key)
    except BadEntry as bad:
        raise FuriosaError(str(bad)) from bad


def _reproducer(data: bytes) -> None:
    """What is unpacked lies in one folder, under names of ours."""
    from furiosa_ir.leftovers import temporary_folder
    from furiosa_ir.reproducer.container import CONSTANTS, MODULE, NETWORK, read_reproducer

    with temporary_folder() as folder:
        path, into = folder / "c.zip", folder / "into"
        path.write_bytes(data)
        into.mkdir()
        read_reproducer(path, into)
        assert {p.name for p in folder.rglob("*")} <= {"c.zip", "into", MODULE, CONSTANTS, NETWORK}


HARNESSES = {
    "onnx": Harness(_onnx, seeds.onnx_models, mutate_onnx),
    "tflite": Harness(_tflite, seeds.tflite_models, mutate_tflite),
    "ir": Harness(_ir, seeds.ir_texts, mutate_ir, max_bytes=1 << 13),
    "enf": Harness(_enf, seeds.programs, mutate_enf, 1 << 15, seal_enf),
    "mlirz": Harness(_mlirz, seeds.upstream_programs, mutate_mlirz, max_bytes=1 << 15),
    "reproducer": Harness(_reproducer, seeds.reproducers, mutate_reproducer),
    "cache": Harness(_cache, seeds.cache_entries, mutate_cache, repair=seal_cache),
}
