"""The documented user API: `furiosa.runtime.session.create`, `furiosa.runtime.sync`."""

from furiosa.runtime import session, sync
from furiosa_ir.runtime import Axis, DataType, Session, Tensor, TensorArray, TensorDesc

__all__ = [
    "Axis",
    "DataType",
    "Session",
    "Tensor",
    "TensorArray",
    "TensorDesc",
    "session",
    "sync",
]
