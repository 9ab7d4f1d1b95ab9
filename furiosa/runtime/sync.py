"""Runners: `with sync.create_runner("network.onnx") as runner: runner.run(x)`."""

from furiosa_ir.runtime.sync import Runner, create_runner

__all__ = ["Runner", "create_runner"]
