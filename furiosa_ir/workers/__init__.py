"""Spreads work over processes of this machine, or over a Dask cluster that somebody has started.

    work = Work(jobs, {"program": "net.enf"})
    with open_workers(work, processes=4) as workers:  # or scheduler="tcp://10.0.0.1:8786"
        for answer in workers.map(Item("run", arrays=[image]) for image in images):
            print(answer.value)

`jobs` is a function of a module, which each worker calls once with the work's options and data and
which returns its jobs by name, as those of `native_process` do. An item names a job and says what
it gets; what it returns is an `Answer`. Items are taken as workers come free, so there may be any
number of them. A worker that is lost costs the time of what it did, which another one does again.

`processes` are the machine's, `cluster` is Dask's, `here` is this process, `spreading` what they
have in common.
"""

from furiosa_ir.workers.opening import open_workers
from furiosa_ir.workers.spreading import Workers
from furiosa_ir.workers.work import Item, Work, WorkersLost

__all__ = ["Item", "Work", "Workers", "WorkersLost", "open_workers"]
