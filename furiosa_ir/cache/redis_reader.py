"""Reading values from a Redis server within a deadline, without a client library.

redis-py takes 0.1 s to import and copies a value three times: longer than a whole hit may take.
So hits are read here. Whatever is no value and no absence of one is left to redis-py, which knows
all that a server may say: this is a short cut and no second client.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from furiosa_ir.cache.redis_value import Value
from furiosa_ir.cache.settings import RedisAddress

_RECEIVE = 4096
"""Bytes asked for where a line is expected; of a value, all that fits into the buffer."""
_LONGEST_LINE = 1024

Addresses = list[tuple[Any, ...]]
"""What `socket.getaddrinfo` gives."""


class UnclearAnswer(Exception):
    """A server says anything but a value or that there is none.

    Attributes:
        is_cluster: it names the node of a cluster that should know.
    """

    def __init__(self, line: bytes = b"") -> None:
        super().__init__(line)
        self.is_cluster = line.startswith((b"-MOVED ", b"-ASK ", b"-CLUSTERDOWN "))


def resolve(address: RedisAddress) -> Addresses:
    """Where a server is; takes as long as the name servers do.

    Raises:
        OSError: nowhere.
    """
    return socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)


class RedisReader:
    """A connection to a server.

    Args:
        address: who to be, and whom to trust.
        addresses: where it is.
        deadline: when (`time.monotonic`) everything must have been read.

    Raises:
        OSError: it cannot be reached in time; TLS does not trust it.
    """

    def __init__(self, address: RedisAddress, addresses: Addresses, deadline: float) -> None:
        self._deadline = deadline
        self._received = bytearray()
        self._value: _Received | None = None
        self._socket = self._connect(addresses)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address.tls:
                self._socket = _encrypted(self._socket, address.host, address.ca_file)
        except BaseException:
            self.close()
            raise
        self._greeting = _greeting(address)

    def _connect(self, addresses: Addresses) -> socket.socket:
        reason = OSError("it has no address")
        for family, kind, protocol, _, place in addresses:
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(self._left())
                connection.connect(place)
            except OSError as error:
                connection.close()
                reason = error
            else:
                return connection
        raise reason

    def _left(self) -> float:
        """Seconds until the deadline.

        Raises:
            TimeoutError: it is over.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def value(self, name: str) -> Value | None:
        """A key's value, which has to be read before the next one is asked for.

        Raises:
            UnclearAnswer: it gives no answer to that.
            OSError: it does not answer in time.
        """
        if self._value is not None:
            self._value.finish()
        greeting, self._greeting = self._greeting, []
        commands = [*greeting, ("GET", name)]
        self._socket.settimeout(self._left())
        self._socket.sendall(b"".join(_packed(c) for c in commands))
        for _ in greeting:
            if (line := self._line()) != b"+OK":
                raise UnclearAnswer(line)
        line = self._line()
        if line == b"$-1":
            return None
        if line[:1] != b"$" or not line[1:].isdigit() or len(line) > 12:
            raise UnclearAnswer(line)
        self._value = _Received(self, int(line[1:]))
        return self._value

    def _line(self) -> bytes:
        """The next line, without its end."""
        while (end := self._received.find(b"\r\n")) < 0:
            if len(self._received) > _LONGEST_LINE:
                raise UnclearAnswer
            self._socket.settimeout(self._left())
            more = self._socket.recv(_RECEIVE)
            if not more:
                raise UnclearAnswer
            self._received += more
        line = bytes(self._received[:end])
        del self._received[: end + 2]
        return line

    def receive_into(self, buffer: memoryview) -> int:
        """Fills the beginning of a buffer; how many bytes there were, at least one.

        Raises:
            UnclearAnswer: the connection ends.
            OSError: nothing comes in time.
        """
        if self._received:
            got = min(len(buffer), len(self._received))
            buffer[:got] = self._received[:got]
            del self._received[:got]
            return got
        self._socket.settimeout(self._left())
        got = self._socket.recv_into(buffer)
        if not got:
            raise UnclearAnswer
        return got

    def close(self) -> None:
        """Ends the connection."""
        with suppress(OSError):
            self._socket.close()


class _Received(Value):
    """A value on its way."""

    def __init__(self, reader: RedisReader, size: int) -> None:
        self.size = size
        self._reader = reader
        self._left = size

    def readinto(self, buffer: Any, /) -> int:
        wanted = memoryview(buffer)[: self._left]
        if not wanted:
            return 0
        got = self._reader.receive_into(wanted)
        self._left -= got
        return got

    def finish(self) -> None:
        """Reads the end of line behind a value that has been read.

        Raises:
            UnclearAnswer: there is none.
        """
        end = memoryview(bytearray(2))
        count = 0
        while self._left == 0 and count < 2:
            count += self._reader.receive_into(end[count:])
        if bytes(end) != b"\r\n":
            raise UnclearAnswer


def _encrypted(connection: socket.socket, host: str, ca_file: Path | None) -> socket.socket:
    import ssl  # noqa: PLC0415  # 15 ms, for TLS only

    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    return context.wrap_socket(connection, server_hostname=host)


def _greeting(address: RedisAddress) -> list[tuple[str, ...]]:
    """The commands that come first on a connection."""
    commands: list[tuple[str, ...]] = []
    if address.password is not None:
        user = () if address.username is None else (address.username,)
        commands.append(("AUTH", *user, address.password))
    if address.database:
        commands.append(("SELECT", str(address.database)))
    return commands


def _packed(command: tuple[str, ...]) -> bytes:
    """A command in Redis's protocol (RESP): an array of strings, each with its length."""
    words = [word.encode("utf-8", "surrogateescape") for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)
