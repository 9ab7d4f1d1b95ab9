"""furiosa-ir: a multi-level compiler for FuriosaAI's Warboy NPU, with a bit-exact simulator."""

from furiosa_ir.errors import FuriosaError

__all__ = ["FuriosaError", "__version__"]

__version__ = "0.1.0"
