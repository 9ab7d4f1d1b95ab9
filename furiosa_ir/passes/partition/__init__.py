"""`graph-partition`: what runs on the accelerator and what on the host, in few segments."""

from __future__ import annotations

from furiosa_ir.passes.partition.graph_partition import GraphPartition

__all__ = ["GraphPartition"]
