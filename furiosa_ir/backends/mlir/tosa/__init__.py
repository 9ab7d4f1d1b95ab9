"""The backend `tosa`: device segments in TOSA where that is exact, for the tools that read it.

A part of `backends/mlir`, whose segments, archive and export it has.
"""

from furiosa_ir.backends import Backend, Container, lazily

_HERE = __name__
_MLIR = "furiosa_ir.backends.mlir"

_ARCHIVE = Container(
    name="tosaz",
    title="TOSA archive",
    magic=b"furiosa-tosa 1\n",
    read=lazily(f"{_HERE}.archive:read_program"),
    write=lazily(f"{_HERE}.archive:write_program"),
    head=lazily(f"{_HERE}.archive:read_head"),
    disassemble=lazily(f"{_MLIR}.archive:disassemble"),
)

BACKEND = Backend(
    name="tosa",
    title="TOSA",
    module=_HERE,
    targets={"tosa": "TOSA where it is exact, for other tools"},
    default_target="tosa",
    levels=("graph", "ftensor", "tosa"),
    container=_ARCHIVE,
    dialects={"tosa": f"{_HERE}.dialect:Tosa"},
    pass_packages=(f"{_HERE}.passes",),
    pipeline=lazily(f"{_HERE}.pipeline:pipeline"),
    refusal=lazily("furiosa_ir.lowering:refusal"),
    stages=("ftensor-to-tosa",),
    missing=lazily(f"{_HERE}.stages:missing_in_segment"),
    assemble=lazily(f"{_HERE}.assembly:assemble_program"),
    executor=lazily(f"{_HERE}.executor:NoExecutor"),
    costs=lazily(f"{_MLIR}.costs:program_costs"),
    exports={".mlir": lazily(f"{_MLIR}.export:write_text")},
)
