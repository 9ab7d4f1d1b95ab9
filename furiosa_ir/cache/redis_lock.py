"""Who compiles a key, on a Redis server: one process at a time, as long as it lives.

Who ends without having stored an entry says so. Then those who wait for it all compile at once:
what failed for one (a model that is refused, a full server) fails for the next one too, and one
behind the other they would wait for each failure. A process that dies says nothing; its lock
expires, and the first who finds it free takes it.
"""

from __future__ import annotations

import secrets
from typing import Any

from redis.exceptions import NoPermissionError, ResponseError

from furiosa_ir.cache.redis_value import value_name

LEASE = 10.0
"""Seconds after which a dead process's lock is free."""
_MOST_LEASE = 60.0
"""Seconds: a lock that is free no sooner is no lock of ours, whatever version made it."""
RENEWAL = LEASE / 5
"""Seconds between two renewals of a living one's."""
_NEWS = 10.0
"""Seconds in which everybody who waits has asked how a compile ended."""

_RELEASE = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('del', KEYS[1])
if redis.call('exists', KEYS[2]) == 0 then redis.call('set', KEYS[3], ARGV[1], 'px', ARGV[2]) end
return 1
"""
"""Deleting comes first: a script that has written may go on to write to a server that is full."""


class RedisLock:
    """A lock that has to be renewed: a process that dies holds it for `LEASE` seconds.

    Every method may raise what redis-py raises, and `OSError`.

    Args:
        client: redis-py's, of a server or a cluster.
        key: of an entry.
    """

    def __init__(self, client: Any, key: str) -> None:
        name = value_name(key)
        self._names = [f"{name}:lock", name, f"{name}:failed"]
        self._client = client
        # Known before it is asked for: an answer that is lost leaves no lock that is not ours.
        self._token = secrets.token_hex(16)
        self._lock = client.lock(self._names[0], timeout=LEASE, blocking=False, thread_local=False)

    def acquire(self) -> bool:
        """Tries to get it."""
        return self._lock.acquire(token=self._token)

    def is_nobodys(self) -> bool:
        """Whether what is in the way is no lock that somebody renews, and may stay for ever."""
        try:
            self._client.get(self._names[0])
            left = self._client.pttl(self._names[0])  # -1: for ever; -2: it is gone
        except NoPermissionError:  # a user as before: what cannot be known counts as a lock
            return False
        except ResponseError as error:
            if "WRONGTYPE" in str(error):
                return True
            raise
        return left == -1 or left > _MOST_LEASE * 1000

    def renew(self) -> bool:
        """Keeps it; false if it is lost, or the server out of reach."""
        try:
            return bool(self._lock.extend(LEASE, replace_ttl=True))
        except Exception:  # noqa: BLE001  # of a connection that was cut under it, anything
            return False

    def release(self) -> None:
        """Gives it back, unless it has expired: then somebody else may have it."""
        script = self._client.register_script(_RELEASE)
        script(keys=self._names, args=[self._token, int(_NEWS * 1000)])

    def last_failure(self) -> bytes | None:
        """Names the last holder who ended without an entry, if that is not long ago."""
        return self._client.get(self._names[2])
