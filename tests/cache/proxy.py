"""A TCP proxy that does to a connection what networks and dying servers do."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Fault:
    """What goes wrong.

    Attributes:
        delay: seconds before each piece of an answer goes on.
        drip: seconds between single bytes of an answer.
        silent: whether no answer comes at all.
        answer, question: bytes after which the connection is cut, in the one or other direction;
            None: never.
        at_cut: called before it is.
        garbage: comes instead of the first answer.
    """

    delay: float = 0.0
    drip: float = 0.0
    silent: bool = False
    answer: int | None = None
    question: int | None = None
    at_cut: Callable[[], None] = lambda: None
    garbage: bytes = b""


class Proxy:
    """Listens on `port` until its block ends. Without a fault it passes everything on.

    Args:
        target: the port that connections go to.
        fault: may be changed; connections that are there keep theirs.
    """

    def __init__(self, target: int, fault: Fault | None = None) -> None:
        self.fault = fault or Fault()
        self.connections = 0
        self._target = target
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Proxy:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in (self._listener, *self._sockets):
            each.close()

    def _start(self, function: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(client)
            fault = self.fault
            try:
                server = socket.create_connection((HOST, self._target))
            except OSError:  # it is dead: so are we
                _reset(client)
                continue
            self._sockets.append(server)
            if fault.garbage:
                client.sendall(fault.garbage)
            self._start(self._questions, client, server, fault)
            self._start(self._answers, server, client, fault)

    def _questions(self, client: socket.socket, server: socket.socket, fault: Fault) -> None:
        left = fault.question
        with suppress(OSError):
            while data := client.recv(65536):
                if left is not None:
                    if len(data) >= left:
                        server.sendall(data[:left])
                        self._cut(client, server, fault)
                        return
                    left -= len(data)
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answers(self, server: socket.socket, client: socket.socket, fault: Fault) -> None:
        left = fault.answer
        with suppress(OSError):
            while data := server.recv(65536):
                if fault.silent or fault.garbage:
                    continue
                if self._closing.wait(fault.delay):
                    return
                if left is not None:
                    if len(data) >= left:
                        client.sendall(data[:left])
                        self._cut(client, server, fault)
                        return
                    left -= len(data)
                if fault.drip:
                    for byte in data:
                        client.sendall(bytes([byte]))
                        if self._closing.wait(fault.drip):
                            return
                else:
                    client.sendall(data)
            client.shutdown(socket.SHUT_WR)

    @staticmethod
    def _cut(client: socket.socket, server: socket.socket, fault: Fault) -> None:
        fault.at_cut()
        _reset(client)
        _reset(server)


def _reset(connection: socket.socket) -> None:
    """Ends a connection as the kernel of a machine does whose process has died."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)


class FullBacklog:
    """A port whose connections hang: nobody accepts them, and its queue is full."""

    def __enter__(self) -> int:
        self._listener = socket.socket()
        self._listener.bind((HOST, 0))
        self._listener.listen(0)
        port: int = self._listener.getsockname()[1]
        self._waiting: list[socket.socket] = []
        for _ in range(3):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex((HOST, port))
            self._waiting.append(waiting)
        return port

    def __exit__(self, *_: object) -> None:
        for each in (*self._waiting, self._listener):
            each.close()
