"""When an operation class becomes what xDSL makes of its declarations: when it is needed.

xDSL (0.74) reads a class's declarations and puts accessors in their place, 0.1 ms a class, when the
class is imported. The dialects have over a hundred classes, and a network operations of a dozen.
"""

from __future__ import annotations

from threading import RLock
from typing import TypeVar

from xdsl.irdl import IRDLOperation
from xdsl.irdl import irdl_op_definition as define_now

OperationT = TypeVar("OperationT", bound=IRDLOperation)

_OURS = __name__.partition(".")[0] + "."
_lock = RLock()
_declared: set[type[IRDLOperation]] = set()


def irdl_op_definition(cls: type[OperationT]) -> type[OperationT]:
    """xDSL's decorator; of ours, a class is defined when the first operation is made.

    Those of plug-ins are defined at once, so that what is wrong with them is said of their line.
    """
    if not cls.__module__.startswith(_OURS) or "traits" in vars(cls):
        return define_now(cls)
    _declared.add(cls)
    return cls


def define(cls: type[IRDLOperation]) -> bool:
    """Defines a class that is only declared so far; whether it was one."""
    if cls not in _declared:
        return False
    with _lock:
        if cls in _declared:  # no other thread has done it meanwhile
            define_now(cls)
            _declared.discard(cls)
    return True
