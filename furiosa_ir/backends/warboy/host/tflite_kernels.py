"""Whether LiteRT has kernels for a sub-model's custom operators."""

from __future__ import annotations

from collections.abc import Sequence

from furiosa_ir.errors import CompilationFailure


def check_kernels(model: bytes, custom_operators: Sequence[tuple[str, str]]) -> None:
    """Tries the sub-model where it has custom operators, (name, layer) each.

    Raises:
        CompilationFailure: LiteRT refuses the sub-model.
    """
    if not custom_operators:
        return
    from ai_edge_litert.interpreter import Interpreter, OpResolverType  # noqa: PLC0415

    try:
        interpreter = Interpreter(
            model_content=model,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            num_threads=1,
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        text = str(error)
        # LiteRT names the operator that it cannot resolve.
        name, layer = next((c for c in custom_operators if c[0] in text), custom_operators[0])
        raise CompilationFailure(
            f"the custom operator '{name}' has no kernel on the host", layer=layer
        ) from None
