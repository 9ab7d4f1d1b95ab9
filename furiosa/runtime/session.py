"""Sessions: `with session.create("network.tflite") as s: s.run(x)`."""

from furiosa_ir.runtime.session import Session, create

__all__ = ["Session", "create"]
