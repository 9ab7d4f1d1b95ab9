"""Networks and IR text as modules, and what can be done with one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from xdsl.dialects.builtin import ModuleOp, StringAttr

from furiosa_ir.arguments import optional_text
from furiosa_ir.backends import backend_for, look_for_installed
from furiosa_ir.backends.target import backend_of
from furiosa_ir.debugging.device import is_on_device
from furiosa_ir.debugging.execution import run as run_module
from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.driver import failures_named
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.importers import load as import_network
from furiosa_ir.interpreter.elements import numpy_dtype
from furiosa_ir.interpreter.run import value_names
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.pipeline import Instrumentation, Pipeline, run_pipeline
from furiosa_ir.ir.segments import main_function
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.ir.text import parse_module, write_module
from furiosa_ir.ir.verifier import verify_module
from furiosa_ir.model_source import Source, model_source
from furiosa_ir.network_part import PartArguments, part_of
from furiosa_ir.notebook.module_page import show_modules
from furiosa_ir.numerics.array import Array
from furiosa_ir.passes.assign_target import with_target
from furiosa_ir.pipeline_selection import phases_asked_for
from furiosa_ir.plugin_source import Plugin, plugin_list
from furiosa_ir.plugins import load_plugins
from furiosa_ir.runtime.model import Inputs, Model
from furiosa_ir.runtime.tensor import DataType, TensorDesc, tensor_format
from furiosa_ir.verification.trace import copy_module

show_modules()


def load(
    source: Source,
    *,
    batch_size: int | None = None,
    plugins: Sequence[Plugin] = (),
    **part: Unpack[PartArguments],
) -> ModuleOp:
    """The module of a network or of IR text, verified.

    Args:
        source: an ONNX or TFLite network or one of our IRs: a path, the file's content, a file that
            is open in binary mode, or an `onnx.ModelProto`. Its content says which of them it is.
        batch_size: how many samples the inputs hold; None keeps the file's batch, an open one as 1.
        plugins: code that declares operators, which is loaded first: Python files, folders of
            packages, or modules by their names.
        **part: `input_shapes` and `dims` fix extents that a network leaves open, `inputs` and
            `outputs` take what is between them.

    Raises:
        FuriosaError: it cannot be read, or does not verify.
    """
    load_plugins(plugin_list(plugins))
    data = model_source(source)
    name = None if isinstance(data, bytes) else str(data)
    with failures_named(name):
        return import_network(data, batch_size, part_of(**part), resumed=True)


def parse(text: str, *, name: str = "<text>", verify: bool = True) -> ModuleOp:
    """The module that a text describes.

    Large constants lie beside a text; `load` reads both from files.

    Args:
        text: IR at any level, of ours or in MLIR's generic form.
        name: what errors call it.
        verify: whether it must verify.

    Raises:
        FuriosaError: it does not parse, which the message says with line and column, or does not
            verify.
    """
    look_for_installed()  # text may name what they declare
    return parse_module(text, name=name, verify=verify, resumed=True)


def save(module: ModuleOp, path: Path | str, *, locations: bool = True) -> None:
    """Writes a module's text, and its large constants to `NAME.safetensors` beside it.

    Args:
        module: at any level.
        path: a new file, or one that is replaced.
        locations: whether the layers' names are in the text.

    Raises:
        FuriosaError: a file cannot be written.
    """
    write_module(module, path, locations=locations)


def verify(module: ModuleOp) -> None:
    """Checks a module: operations, types, shapes, quantisation, dominance.

    Raises:
        VerificationFailure: something is wrong; the error's `diagnostics` are all there is.
    """
    verify_module(module)


def transform(
    module: ModuleOp,
    passes: str | Pipeline,
    *,
    target: str | None = None,
    verify_each: bool = True,
    instrumentation: Sequence[Instrumentation] = (),
) -> ModuleOp:
    """What passes make of a module, which stays as it is.

        fi.transform(module, "graph-fold-constants,my-pass{limit=3}")
        fi.transform(module, fi.default_pipeline().between("graph", "ftensor"))

    Args:
        module: at the level that the passes take.
        passes: a pipeline, or the text of one.
        target: what it is for, where a pass asks for that; None: what the module says, and the
            default where it says nothing.
        verify_each: verify after each pass; else at the end of phases.
        instrumentation: watches the passes.

    Raises:
        FuriosaError: there is no such pass, or one fails, or what it leaves does not verify.
    """
    made = copy_module(module, {})
    with failures_named():
        run_passes(
            made, passes, target=target, verify_each=verify_each, instrumentation=instrumentation
        )
    return made


def run_passes(
    module: ModuleOp,
    passes: str | Pipeline | None,
    *,
    target: str | None = None,
    verify_each: bool = True,
    instrumentation: Sequence[Instrumentation] = (),
) -> None:
    """Runs passes on a module, in place.

    Args:
        module: as of `transform`.
        passes: as of `transform`; None: what is left of its backend's pipeline.
        target: as of `transform`.
        verify_each: as of `transform`.
        instrumentation: as of `transform`.

    Raises:
        FuriosaError: as `transform`.
    """
    optional_text(target, "target", CompilationFailure)
    backend = backend_of(module) if target is None else backend_for(target)
    phases = phases_asked_for(passes, module, None, backend)
    run_pipeline(
        make_context(),
        module,
        Pipeline("passes", with_target(phases, module, target)),
        instrumentation=instrumentation,
        verify_each=verify_each,
    )


def inputs_of(module: ModuleOp) -> list[TensorDesc]:
    """The inputs of a module's `@main`, in order."""
    main = main_function(module)
    arguments = main.body.block.args
    source = module.attributes.get("graph.source")
    framework = source.data if isinstance(source, StringAttr) else ""
    found: list[TensorDesc] = []
    names = value_names(main.arg_attrs, len(arguments), "input")
    for name, value in zip(names, arguments, strict=True):
        shape, dtype = shape_of(value), numpy_dtype(element_of(value))
        q = quantization_of(value)
        scale, zero_point = (0.0, 0) if q is None or q.axis is not None else (q.scale, q.zero_point)
        kind = DataType("string" if dtype.kind == "O" else dtype.name)
        letters = tensor_format(shape, framework)
        found.append(TensorDesc(name, shape, kind, letters, scale, zero_point))
    return found


def run(module: ModuleOp, inputs: Inputs) -> dict[str, Array]:
    """What a module computes, by the meaning of its operations.

    At the levels of networks, tensors and kernels the interpreter runs it; where there are plans
    and commands, a program is made of a copy and simulated.

    Args:
        module: at any level, with a `@main`.
        inputs: one array, several in order, or arrays by name; quantised ones as they are stored.

    Returns:
        Output name -> array, in order.

    Raises:
        FuriosaError: an input is missing or has another shape or dtype, or an operation cannot run.
    """
    descriptions = inputs_of(module)
    arrays = Model(tuple(descriptions), ()).arrays(inputs)
    with failures_named():
        if is_on_device(module):
            from furiosa_ir.api.programs import compile_network, simulate  # noqa: PLC0415

            return simulate(compile_network(module), arrays)
        names = (each.name for each in descriptions)
        return run_module(module, dict(zip(names, arrays, strict=True)))
