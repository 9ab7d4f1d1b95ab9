"""The backend `mlir`: device segments in upstream's linalg, for IREE and for MLIR's other tools.

What the rest of the compiler knows of it is `BACKEND`, whose parts are imported when they are used.
"""

from furiosa_ir.backends import Backend, Container, lazily

_HERE = __name__

_ARCHIVE = Container(
    name="mlirz",
    title="MLIR archive",
    magic=b"furiosa-mlir 1\n",
    read=lazily(f"{_HERE}.archive:read_program"),
    write=lazily(f"{_HERE}.archive:write_program"),
    head=lazily(f"{_HERE}.archive:read_head"),
    disassemble=lazily(f"{_HERE}.archive:disassemble"),
)

BACKEND = Backend(
    name="mlir",
    title="MLIR",
    module=_HERE,
    targets={
        "mlir": "linalg for upstream's tools, compiled by IREE where it runs",
        "iree-cpu": "native code of IREE's for this processor",
    },
    default_target="mlir",
    levels=("graph", "ftensor", "linalg"),
    container=_ARCHIVE,
    dialects={
        "linalg": "xdsl.dialects.linalg:Linalg",
        "tensor": "xdsl.dialects.tensor:Tensor",
        "arith": "xdsl.dialects.arith:Arith",
        "flow": f"{_HERE}.dialect:Flow",
        "util": f"{_HERE}.dialect:Util",
    },
    pass_packages=(f"{_HERE}.passes",),
    pipeline=lazily(f"{_HERE}.pipeline:pipeline"),
    refusal=lazily("furiosa_ir.lowering:refusal"),
    stages=("ftensor-to-linalg",),
    missing=lazily(f"{_HERE}.stages:missing_in_segment"),
    assemble=lazily(f"{_HERE}.assembly:assemble_program"),
    executor=lazily(f"{_HERE}.executor:NativeExecutor"),
    costs=lazily(f"{_HERE}.costs:program_costs"),
    exports={".mlir": lazily(f"{_HERE}.export:write_text")},
)
