"""Runners: `with sync.create_runner("network.onnx") as runner: runner.run(x)`."""

from furiosa.runtime.errors import FuriosaRuntimeError
from furiosa_ir.runtime.sync import Runner, create_runner

__all__ = ["FuriosaRuntimeError", "Runner", "create_runner"]
