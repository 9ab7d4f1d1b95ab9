"""`--print-ir-tree-dir`: dumps as numbered files, and one file of the constants that they name.

    DIR/00_input.mlir
    DIR/01_graph-fold-quantization.mlir
    DIR/func_func_npu_0/08_lower-to-ftensor.mlir      with --print-ir-scope=function, as MLIR's
    DIR/shared-constants.safetensors

A pass has the same number in each folder. `furiosa-opt DIR/08_lower-to-ftensor.mlir` goes on from
there, as does `furiosa compile`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.errors import FuriosaError
from furiosa_ir.files import write_whole
from furiosa_ir.instrumentation.dumps import AFTER, BEFORE, FAILURE, INPUT, Dump
from furiosa_ir.ir.constant_file import write_constants
from furiosa_ir.ir.constants import Constant
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Instrumentation
from furiosa_ir.ir.text import large_constants
from furiosa_ir.ir.text_format import SHARED_CONSTANTS

_SUFFIX = {INPUT: "", BEFORE: ".before", AFTER: "", FAILURE: ".failed"}
_QUOTED = re.compile(r"'([^']+)'")
_LONGEST = 100
"""Letters of a name in that of a file."""
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass
class TreeDirectory(Instrumentation):
    """Takes dumps as files.

    Attributes:
        path: the folder, which is made where there is none.
        with_constants: whether the constants are written, too.
    """

    path: Path
    with_constants: bool = True
    _constants: dict[str, Constant] = field(default_factory=dict[str, Constant])

    def __post_init__(self) -> None:
        _make(self.path)

    def take(self, dump: Dump) -> None:
        """Writes a dump to its file.

        Raises:
            FuriosaError: it cannot be written.
        """
        folder = self.path
        if dump.function:
            folder /= f"func_func_{_safe(dump.function)}"
            _make(folder)
        quoted = _QUOTED.search(dump.what) if dump.when == FAILURE else None
        name = _safe(quoted[1] if quoted else dump.what.partition("{")[0])
        kind = ".diff" if dump.is_difference else ".mlir"
        path = folder / f"{dump.number:02}_{name}{_SUFFIX[dump.when]}{kind}"
        write_whole(f"{dump.text}\n".encode(), path)

    @override
    def before_pass(self, what: Pass, module: ModuleOp) -> None:
        self._keep(module)

    @override
    def after_pass(self, what: Pass, module: ModuleOp, seconds: float) -> None:
        self._keep(module)

    def _keep(self, module: ModuleOp) -> None:
        if self.with_constants:
            for constant in large_constants(module):
                self._constants.setdefault(constant.digest, constant)

    def finish(self) -> None:
        """Writes the constants."""
        if self._constants:
            write_constants(list(self._constants.values()), self.path / SHARED_CONSTANTS)


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name).strip("_")[:_LONGEST] or "ir"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise FuriosaError(f"cannot be made: {reason}", file=str(folder)) from error
