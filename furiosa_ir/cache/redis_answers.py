"""What redis-py may read from a server: in time, and no more than memory is meant for.

redis-py believes a server: an answer may drip in for ever, or be of any length. Whoever listens on
the port of a cache may be anybody, so each answer is bounded here, below redis-py's own parser.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from redis._parsers import _RESP2Parser  # pyright: ignore[reportPrivateUsage]
from redis._parsers.socket import SocketBuffer
from redis.exceptions import InvalidResponse

MOST_VALUE = 80 << 20
"""Bytes of a value; ours have at most 64 MiB (`redis_value.PART`)."""
MOST_AROUND = 2 << 20
"""Bytes of an answer without its largest value: a page of names has some 100 KB."""
SECONDS, RATE = 5.0, 1e6
"""An answer may take so many seconds, and one more for each so many bytes that have come."""
_LONGEST_LINE = 64 << 10


class BoundedParser(_RESP2Parser):
    """redis-py's own parser, also where hiredis is installed, within bounds.

    hiredis takes memory for as many elements as an array claims to have.
    """

    def on_connect(self, connection: Any) -> None:
        """See `redis._parsers.base.BaseParser`."""
        super().on_connect(connection)
        self._meter = _Meter(connection._sock)  # noqa: SLF001
        size: Any = self.socket_read_size  # pyright: ignore[reportUnknownVariableType]
        self._buffer: Any = _Buffer(self._meter, size, connection.socket_timeout)

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        """See `redis._parsers.base.BaseParser`.

        Raises:
            RedisError: the answer is too slow, too long, or none.
        """
        self._meter.begin()
        return super().read_response(*arguments, **options)  # pyright: ignore[reportUnknownVariableType]


class _Meter:
    """A socket that gives up on an answer that is too slow or too long."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._timeout = connection.gettimeout()
        self.begin()

    def begin(self) -> None:
        """An answer begins."""
        self._started = time.monotonic()
        self._received = 0
        self._value = 0

    def expect(self, value: int) -> None:
        """A value of so many bytes is part of the answer."""
        if not 0 <= value <= MOST_VALUE:
            raise InvalidResponse("a value is too long")
        self._value = max(self._value, value)

    def settimeout(self, seconds: float | None) -> None:
        """For each wait, as a socket's."""
        self._timeout = seconds
        self._socket.settimeout(seconds)

    def recv(self, size: int) -> bytes:
        """As a socket's."""
        left = self._started + SECONDS + self._received / RATE - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left if self._timeout is None else min(left, self._timeout))
        try:
            data = self._socket.recv(size)
        finally:  # sending has a time of its own
            self._socket.settimeout(self._timeout)
        self._received += len(data)
        if self._received > self._value + MOST_AROUND:
            raise InvalidResponse("an answer is too long")
        return data


class _Buffer(SocketBuffer):
    def __init__(self, meter: Any, read_size: int, timeout: float) -> None:
        super().__init__(meter, read_size, timeout)
        self._meter = meter

    def read(self, length: int, *arguments: Any, **options: Any) -> bytes:
        self._meter.expect(length)
        return super().read(length, *arguments, **options)

    def readline(self, *arguments: Any, **options: Any) -> bytes:
        buffer: Any = self._buffer
        line: bytes = buffer.readline()
        while not line.endswith(b"\r\n"):
            if len(line) > _LONGEST_LINE:
                raise InvalidResponse("a line is too long")
            self._read_from_socket(*arguments, **options)
            line += buffer.readline()
        return line[:-2]
