"""Which workers there are: a scheduler's, if one is named, else processes, or this one."""

from __future__ import annotations

from furiosa_ir.workers.here import Here
from furiosa_ir.workers.processes import Processes
from furiosa_ir.workers.spreading import Workers
from furiosa_ir.workers.work import Work


def open_workers(work: Work, *, processes: int = 1, scheduler: str | None = None) -> Workers:
    """Workers for a work, which whoever opens them closes (`with`).

    Args:
        work: what they do.
        processes: how many processes of this machine there are at most, without a scheduler; 0:
            this one does it all, which costs no start, and raises exceptions as they are.
        scheduler: the address of a Dask scheduler ("tcp://10.0.0.1:8786"), whose workers are used.

    Raises:
        FuriosaError: the scheduler cannot be reached, or the extra `dask` is not installed.
    """
    if scheduler is None:
        return Processes(work, processes) if processes else Here(work)
    from furiosa_ir.workers.cluster import Cluster  # noqa: PLC0415  # Dask takes a second

    return Cluster(work, scheduler)
