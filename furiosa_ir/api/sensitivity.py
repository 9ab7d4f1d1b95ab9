"""How sensitive a quantised network is to the rounding of its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.api.modules import inputs_of, load
from furiosa_ir.driver import failures_named
from furiosa_ir.layer_sensitivity import Sensitivity, analyse
from furiosa_ir.model_source import Source
from furiosa_ir.numerics.array import Array
from furiosa_ir.runtime.model import Inputs, Model
from furiosa_ir.verification.inputs import drawn_inputs, network_inputs


def sensitivity(
    network: ModuleOp | Source,
    inputs: Sequence[Inputs] | None = None,
    *,
    layers: Sequence[str] = (),
    jobs: int = 1,
) -> Sensitivity:
    """What the rounding of each layer costs a network that is quantised, at its outputs.

        found = fi.sensitivity("int8.onnx", [{"image": image} for image in images])
        print(found.advice)
        for layer in found.layers:
            print(layer.name, layer.gain, layer.finding)

    Args:
        network: a module of the graph level, or what `load` takes; it stays as it is.
        inputs: samples, each what `run` takes. None: a few are drawn, like images and noise.
        layers: names of the layers to look at, or patterns ('*' as in file names); none: all.
        jobs: how many layers at once.

    Raises:
        FuriosaError: the network is not quantised, has integers only, or an operation cannot be
            computed; an input does not fit; or there is no such layer.
    """
    module = network if isinstance(network, ModuleOp) else load(network)
    with failures_named():
        if inputs is None:
            samples: Sequence[Mapping[str, Array]] = drawn_inputs(network_inputs(module))[:4]
        else:
            descriptions = inputs_of(module)
            names = [each.name for each in descriptions]
            model = Model(tuple(descriptions), ())
            samples = [dict(zip(names, model.arrays(one), strict=True)) for one in inputs]
        return analyse(module, samples, layers=layers, jobs=jobs)
