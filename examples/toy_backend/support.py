"""What the machine takes of the graph level: what becomes nothing but its instructions."""

from furiosa_ir import hints, lowering
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.lowering.operation import lower_operation
from toy_backend.machine import INSTRUCTIONS


def refusal(op: GraphOp, numerics: str) -> hints.Hint | None:
    """Why an operation stays on the host; None if it does not."""
    hint = lowering.refusal(op, numerics)
    for made in () if hint is not None else lower_operation(op, numerics).body.block.ops:
        name = made.name.removeprefix("ftensor.")
        if name not in (*INSTRUCTIONS, "constant", "func.return"):
            return hints.form(op.name, f"as it needs '{name}'")
        if "input_dilation" in made.properties and made.input_dilation.get_values() != (1, 1):
            return hints.form(op.name, "that spreads its input")
    return hint
