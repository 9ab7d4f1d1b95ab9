"""furiosa-ir: a multi-level compiler for NPUs, with bit-exact simulation.

    import furiosa_ir as fi

    program = fi.compile("net.tflite")
    fi.report(program).save("report.html")
    outputs = fi.simulate(program, image)

docs/api.md says what there is and what stays as it is. Importing the package imports nothing else:
each name is imported when somebody asks for it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from xdsl.context import Context
    from xdsl.dialects.builtin import ModuleOp as Module

    from furiosa_ir.api.evaluation import evaluate
    from furiosa_ir.api.exploring import explore
    from furiosa_ir.api.machine_dialects import dialect
    from furiosa_ir.api.modules import load, parse, run, save, transform, verify
    from furiosa_ir.api.programs import Program, load_program, simulate
    from furiosa_ir.api.programs import compile_network as compile  # noqa: A004
    from furiosa_ir.api.reports import Report, inspect, report
    from furiosa_ir.api.sensitivity import sensitivity
    from furiosa_ir.compiler import default_pipeline
    from furiosa_ir.dialects import ftensor, graph, quant
    from furiosa_ir.dialects.graph.base import constant_of, quantization_of
    from furiosa_ir.errors import (
        CompilationFailure,
        ExecutionFailure,
        FormatFailure,
        FuriosaError,
        ImportFailure,
        VerificationFailure,
    )
    from furiosa_ir.evaluation import Evaluation
    from furiosa_ir.ir.constants import BlobAttr
    from furiosa_ir.ir.context import make_context
    from furiosa_ir.ir.location import layer_name
    from furiosa_ir.ir.passes import Pass, RewritePass
    from furiosa_ir.ir.pipeline import Instrumentation, Phase, Pipeline
    from furiosa_ir.ir.rewriting import Rewrite, Rule, has_one_reader, rule
    from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of
    from furiosa_ir.ir.text import print_module
    from furiosa_ir.layer_sensitivity import LayerSensitivity, Sensitivity
    from furiosa_ir.notebook.exploration import Exploration, Step
    from furiosa_ir.plugins import load_plugins
    from furiosa_ir.quantization import quantize
    from furiosa_ir.runtime import session
    from furiosa_ir.runtime.session import Session
    from furiosa_ir.version import __version__

# What an `__all__` may consist of type checkers know without running it: so these stand here twice,
# and a test compares the two.
__all__ = [
    "BlobAttr",
    "CompilationFailure",
    "Context",
    "Evaluation",
    "ExecutionFailure",
    "Exploration",
    "FormatFailure",
    "FuriosaError",
    "ImportFailure",
    "Instrumentation",
    "LayerSensitivity",
    "Module",
    "Pass",
    "Phase",
    "Pipeline",
    "Program",
    "Report",
    "Rewrite",
    "RewritePass",
    "Rule",
    "Sensitivity",
    "Session",
    "Step",
    "VerificationFailure",
    "__version__",
    "compile",
    "constant_of",
    "default_pipeline",
    "dialect",
    "element_of",
    "evaluate",
    "explore",
    "ftensor",
    "graph",
    "has_one_reader",
    "inspect",
    "ints",
    "layer_name",
    "load",
    "load_plugins",
    "load_program",
    "make_context",
    "parse",
    "print_module",
    "quant",
    "quantization_of",
    "quantize",
    "report",
    "rule",
    "run",
    "save",
    "sensitivity",
    "session",
    "shape_of",
    "simulate",
    "transform",
    "verify",
]

_DECLARED = {
    "furiosa_ir.api.evaluation": "evaluate",
    "furiosa_ir.api.exploring": "explore",
    "furiosa_ir.api.machine_dialects": "dialect",
    "furiosa_ir.api.modules": "load parse run save transform verify",
    "furiosa_ir.api.programs": "Program compile_network=compile load_program simulate",
    "furiosa_ir.api.reports": "Report inspect report",
    "furiosa_ir.api.sensitivity": "sensitivity",
    "furiosa_ir.compiler": "default_pipeline",
    "furiosa_ir.dialects.ftensor": "=ftensor",
    "furiosa_ir.dialects.graph": "=graph",
    "furiosa_ir.dialects.quant": "=quant",
    "furiosa_ir.dialects.graph.base": "constant_of quantization_of",
    "furiosa_ir.errors": "CompilationFailure ExecutionFailure FormatFailure FuriosaError "
    "ImportFailure VerificationFailure",
    "furiosa_ir.evaluation": "Evaluation",
    "furiosa_ir.ir.constants": "BlobAttr",
    "furiosa_ir.ir.context": "make_context",
    "furiosa_ir.ir.location": "layer_name",
    "furiosa_ir.ir.passes": "Pass RewritePass",
    "furiosa_ir.ir.pipeline": "Instrumentation Phase Pipeline",
    "furiosa_ir.ir.rewriting": "Rewrite Rule has_one_reader rule",
    "furiosa_ir.ir.shaped_operation": "element_of ints shape_of",
    "furiosa_ir.ir.text": "print_module",
    "furiosa_ir.notebook.exploration": "Exploration Step",
    "furiosa_ir.plugins": "load_plugins",
    "furiosa_ir.quantization": "quantize",
    "furiosa_ir.runtime.session": "=session Session",
    "furiosa_ir.layer_sensitivity": "LayerSensitivity Sensitivity",
    "furiosa_ir.version": "__version__",
    "xdsl.context": "Context",
    "xdsl.dialects.builtin": "ModuleOp=Module",
}
"""Module -> names in it that are public here.

`ITS=OURS` where one is called otherwise, `=OURS` for the module itself.
"""

_PLACES = {
    ours or its: (module, its)
    for module, names in _DECLARED.items()
    for its, _, ours in (name.partition("=") for name in names.split())
}


def __getattr__(name: str) -> object:
    """What is imported when somebody asks: the commands install their signal handlers first."""
    # `from furiosa_ir import errors` asks here, too, before it looks for a module.
    if name not in _PLACES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import importlib  # noqa: PLC0415

    module, its = _PLACES[name]
    held = importlib.import_module(module)
    found = globals()[name] = getattr(held, its) if its else held
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
