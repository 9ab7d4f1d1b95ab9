"""What xDSL's own tools find here: our dialects and passes (entry point `xdsl.universe`).

`xdsl-opt net.mlir -p graph-compose-movement` reads, verifies, rewrites and prints IR text of every
level, as `furiosa-opt` does, but for constants of more than 16 elements and aliases behind the
module: xDSL's parser knows nothing of the file beside the text, and wants an alias defined above
(`furiosa-opt --print-op-generic` prints none).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from xdsl.dialects import get_all_dialects
from xdsl.ir import Dialect
from xdsl.passes import ModulePass
from xdsl.universe import Universe

from furiosa_ir.ir.context import load_dialect
from furiosa_ir.ir.extensions import dialects
from furiosa_ir.ir.passes import all_passes


def _dialects() -> dict[str, Callable[[], Dialect]]:
    """Those that xDSL does not have itself."""
    known = get_all_dialects()
    return {n: partial(load_dialect, target) for n, target in dialects().items() if n not in known}


def _passes() -> dict[str, Callable[[], type[ModulePass]]]:
    return {name: partial(_itself, cls) for name, cls in all_passes().items()}


def _itself(cls: type[ModulePass]) -> type[ModulePass]:
    return cls


UNIVERSE = Universe(all_dialects=_dialects(), all_passes=_passes())
"""Everything that this installation has."""
