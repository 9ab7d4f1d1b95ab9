"""What `--verify` knows of Warboy: commands beside the kernels that they carry out."""

from furiosa_ir.backends.verification import Verification
from furiosa_ir.backends.warboy.verification.commands import check_same_segment, has_commands
from furiosa_ir.backends.warboy.verification.segment import segment_checks


def verification() -> Verification:
    """`Backend.verification`."""
    return Verification(
        commands_by="schedule",
        has_commands=has_commands,
        segment_checks=segment_checks,
        check_same_segment=check_same_segment,
    )
