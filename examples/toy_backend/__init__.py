"""A second backend, a machine with one multiplier: docs/adding-a-backend.md tells its story."""

from furiosa_ir.backends import Backend, Container, lazily, register

BACKEND = register(
    Backend(
        name="toy",
        title="the toy",
        module=__name__,
        targets={"toy": "one multiply-accumulate a cycle"},
        default_target="toy",
        levels=("graph", "ftensor"),
        container=Container(
            *("toy", "TOY", b"toy1"),  # its name, what sentences call it, how a file begins
            read=lazily(f"{__name__}.container:read"),
            write=lazily(f"{__name__}.container:write"),
            head=lazily(f"{__name__}.container:head"),
            disassemble=lazily(f"{__name__}.container:disassemble"),
        ),
        pipeline=lazily(f"{__name__}.pipeline:pipeline"),
        refusal=lazily(f"{__name__}.support:refusal"),
        assemble=lazily(f"{__name__}.assembly:assemble_program"),
        executor=lazily(f"{__name__}.executor:ToyExecutor"),
        costs=lazily(f"{__name__}.costs:program_costs"),
    )
)
