"""The Warboy backend: machine, tiling, scheduling, memory, ENF, simulator.

What the rest of the compiler knows of it is `BACKEND`, whose parts are imported when they are used.
"""

from furiosa_ir.backends import Backend, Container, lazily

_HERE = __name__

_ENF = Container(
    name="enf",
    title="ENF",
    magic=b"enf",
    read=lazily(f"{_HERE}.enf.reader:read_program"),
    write=lazily(f"{_HERE}.enf.writer:write_sections"),
    head=lazily(f"{_HERE}.enf.head:read_head"),
    disassemble=lazily(f"{_HERE}.enf.disassembler:disassemble"),
    foreign=lazily(f"{_HERE}.enf.vendor:vendor_header"),
    reference=lazily(f"{_HERE}.enf.reference:tables"),
)

BACKEND = Backend(
    name="warboy",
    title="Warboy",
    module=_HERE,
    targets={"warboy": "one PE", "warboy-2pe": "two PEs fused"},
    default_target="warboy-2pe",
    levels=("graph", "ftensor", "warboy"),
    container=_ENF,
    dialects={"warboy": f"{_HERE}.dialect:Warboy"},
    pass_packages=(f"{_HERE}.passes", f"{_HERE}.search"),
    search=("search-plan", "plan-tiles"),
    pipeline=lazily(f"{_HERE}.pipeline:pipeline"),
    refusal=lazily(f"{_HERE}.support:refusal"),
    stages=("fuse-kernels", "assign-views", "plan-tiles", "allocate", "schedule"),
    missing=lazily(f"{_HERE}.stages:missing_in_segment"),
    assemble=lazily(f"{_HERE}.assembly:assemble_program"),
    executor=lazily(f"{_HERE}.simulator.simulator:Simulator"),
    costs=lazily(f"{_HERE}.costs:program_costs"),
    verification=lazily(f"{_HERE}.verification:verification"),
    execution=lazily(f"{_HERE}.execution:program_execution"),
    diagnosis=lazily(f"{_HERE}.diagnosis:diagnosis"),
    devices=(
        # "warboy(2)*1": a device of two fused PEs. "npu:0:0-1", "npu0pe0-1": PEs 0 and 1 of NPU 0.
        (r"warboy\(2\)\*\d+|npu:\d+:\d+-\d+|npu\d+pe\d+-\d+|npu:\d+|npu\d+", "warboy-2pe"),
        (r"warboy(\(1\))?\*\d+|npu:\d+:\d+|npu\d+pe\d+", "warboy"),
    ),
    device_hint="use 'warboy(1)*1' for one PE or 'warboy(2)*1' for two fused PEs",
)
