"""`warboy`: kernels with plans, then with addresses, then the NPU's commands."""

from xdsl.ir import Dialect

from furiosa_ir.backends.warboy.dialect.attributes import (
    AddressesAttr,
    CommandAttr,
    LayersAttr,
    MemoryAttr,
    PlanAttr,
    TokenType,
    ViewsAttr,
)
from furiosa_ir.backends.warboy.dialect.commands import (
    COMMANDS,
    BeginRunOp,
    CopyDramOp,
    EndOp,
    ExecuteDotOp,
    ExecutePoolOp,
    ExecuteVectorOp,
    LoadOp,
    StoreOp,
)
from furiosa_ir.backends.warboy.dialect.kernels import CopyOp, DotOp, PoolOp, VectorOp, YieldOp

Warboy = Dialect(
    "warboy",
    [DotOp, PoolOp, VectorOp, CopyOp, YieldOp, *COMMANDS, BeginRunOp, EndOp],
    [ViewsAttr, PlanAttr, MemoryAttr, AddressesAttr, CommandAttr, LayersAttr, TokenType],
)

__all__ = [
    "AddressesAttr",
    "BeginRunOp",
    "CommandAttr",
    "CopyDramOp",
    "CopyOp",
    "DotOp",
    "EndOp",
    "ExecuteDotOp",
    "ExecutePoolOp",
    "ExecuteVectorOp",
    "LayersAttr",
    "LoadOp",
    "MemoryAttr",
    "PlanAttr",
    "PoolOp",
    "StoreOp",
    "TokenType",
    "VectorOp",
    "ViewsAttr",
    "Warboy",
    "YieldOp",
]
