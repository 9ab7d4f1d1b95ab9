"""The names under which the vendor's users catch errors."""

from furiosa_ir.errors import FuriosaError
from furiosa_ir.runtime.errors import (
    InvalidInput,
    QueueWaitTimeout,
    SessionClosed,
    SessionTerminated,
)

FuriosaRuntimeError = NativeException = FuriosaError

__all__ = [
    "FuriosaRuntimeError",
    "InvalidInput",
    "NativeException",
    "QueueWaitTimeout",
    "SessionClosed",
    "SessionTerminated",
]
