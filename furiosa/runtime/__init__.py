"""The documented user API.

`furiosa.runtime` itself has runners for asyncio, `furiosa.runtime.sync` those for threads,
`furiosa.runtime.session` the sessions of the legacy API.
"""

from furiosa.runtime import errors, session, sync
from furiosa.runtime.errors import FuriosaRuntimeError
from furiosa_ir.runtime import (
    Axis,
    DataType,
    Model,
    ModelSource,
    Session,
    Tensor,
    TensorArray,
    TensorDesc,
)
from furiosa_ir.runtime.async_runner import Runner, create_runner

__all__ = [
    "Axis",
    "DataType",
    "FuriosaRuntimeError",
    "Model",
    "ModelSource",
    "Runner",
    "Session",
    "Tensor",
    "TensorArray",
    "TensorDesc",
    "create_runner",
    "errors",
    "session",
    "sync",
]
