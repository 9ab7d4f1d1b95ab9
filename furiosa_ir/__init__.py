"""furiosa-ir: a multi-level compiler for NPUs, with bit-exact simulation."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from furiosa_ir.errors import FuriosaError

__all__ = ["FuriosaError", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """What is imported when somebody asks: the commands install their signal handlers first."""
    if name == "FuriosaError":
        from furiosa_ir import errors  # noqa: PLC0415

        return errors.FuriosaError
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
