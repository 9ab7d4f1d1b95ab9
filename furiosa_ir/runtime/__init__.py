"""Sessions on the simulated NPU: a program in, results out.

from furiosa_ir.runtime import session

with session.create("network.onnx") as s:
    print(s.run(image)[0].numpy())
"""

from furiosa_ir.runtime.model import Model
from furiosa_ir.runtime.session import ModelSource, Session, create
from furiosa_ir.runtime.tensor import Axis, DataType, Tensor, TensorArray, TensorDesc

__all__ = [
    "Axis",
    "DataType",
    "Model",
    "ModelSource",
    "Session",
    "Tensor",
    "TensorArray",
    "TensorDesc",
    "create",
]
