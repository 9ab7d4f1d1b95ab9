"""Sessions, `with session.create("network.tflite") as s: s.run(x)`, and asynchronous ones."""

from furiosa_ir.runtime.async_session import AsyncSession, CompletionQueue, create_async
from furiosa_ir.runtime.session import Session, create

__all__ = ["AsyncSession", "CompletionQueue", "Session", "create", "create_async"]
