"""What can go wrong with a session, by the names of the vendor's `furiosa.runtime.errors`.

All of them are `ExecutionFailure`. Where the vendor's later API raises one of Python's exceptions
(`ValueError`, `TypeError`, `TimeoutError`), ours is one of those too.
"""

from __future__ import annotations

from furiosa_ir.errors import ExecutionFailure


class SessionClosed(ExecutionFailure):
    """A session, or one half of an asynchronous one, is used after its own `close`."""


class SessionTerminated(ExecutionFailure):
    """The other half of an asynchronous session is closed, and nothing is left to do or receive."""


class QueueWaitTimeout(ExecutionFailure, TimeoutError):
    """Nothing could be submitted or received in the time given."""


class InvalidInput(ExecutionFailure, ValueError):
    """The inputs are not those of the network."""


class InvalidInputType(InvalidInput, TypeError):
    """An input is no array, or one of another dtype than the network's."""


class RunFailure(ExecutionFailure):
    """A submitted run failed; `recv` raises it in place of the run's results.

    Its cause is what went wrong, and `context` what the run was submitted with.
    """

    context: object = None
