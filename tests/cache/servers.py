"""Real Redis servers for the tests: single ones, TLS ones, clusters; and a proxy that misbehaves.

Each is a process of its own on a free port of the loopback device, keeps nothing on disk, and is
killed at the end of its block (or with our process, where `setpriv` is there to ask the kernel).
"""

from __future__ import annotations

import itertools
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis
import trustme

HOST = "127.0.0.1"
DEADLINE = 30.0
"""Seconds for anything that a server has to get done."""


@dataclass(frozen=True)
class Certificates:
    """Files for TLS.

    Attributes:
        ca: the certificate of who signed.
        certificate, key: the server's.
    """

    ca: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path, *names: str) -> Certificates:
    """Certificates of a new CA for a server of these names and addresses."""
    ca = trustme.CA()
    issued = ca.issue_cert(*names)
    made = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    folder.mkdir(parents=True, exist_ok=True)
    ca.cert_pem.write_to_path(made.ca)
    issued.private_key_pem.write_to_path(made.key)
    made.certificate.write_bytes(b"".join(c.bytes() for c in issued.cert_chain_pems))
    return made


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class RedisServer:
    """A server, started anew as often as wished on the same port.

    Args:
        folder: for its log.
        options: of its command line.
        password: of its default user.
        certificates: for TLS instead of plain TCP.
    """

    def __init__(
        self,
        folder: Path,
        options: Sequence[str] = (),
        password: str | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        self.password = password
        self.certificates = certificates
        self.port = 0
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What `FC_CACHE_STORE_URL` has to say."""
        user = "" if self.password is None else f":{quote(self.password, safe='')}@"
        tls = self.certificates
        scheme, query = ("redis", "") if tls is None else ("rediss", f"?ssl_ca_certs={tls.ca}")
        return f"{scheme}://{user}{HOST}:{self.port}{query}"

    def client(self) -> redis.Redis:
        """A connection for the test itself."""
        ca = None if self.certificates is None else str(self.certificates.ca)
        return redis.Redis(
            HOST, self.port, password=self.password, ssl=ca is not None, ssl_ca_certs=ca
        )

    def start(self) -> None:
        """Starts it, on the port that it had before if there was one."""
        assert self._process is None
        for attempt in itertools.count():
            port = self.port or free_port()
            if self._started(port):
                self.port = port
                return
            # Somebody was faster; the old port may be taken for a moment only.
            assert attempt < 20, (self._folder / "log").read_text()
            time.sleep(0.1)

    def _started(self, port: int) -> bool:
        tls = self.certificates
        ports = ["--port", str(port)]
        if tls is not None:
            ports = ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"]
            ports += ["--tls-cert-file", str(tls.certificate), "--tls-key-file", str(tls.key)]
            ports += ["--tls-ca-cert-file", str(tls.ca)]
        password = [] if self.password is None else ["--requirepass", self.password]
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []),
                    "redis-server",
                    *("--bind", HOST, "--save", "", "--appendonly", "no"),
                    *("--dir", str(self._folder), "--repl-diskless-sync-delay", "0"),
                    *ports,
                    *password,
                    *self._options,
                ],
                stdout=log,
                stderr=log,
            )
        for _ in patience():
            if self._process.poll() is not None:
                self._process = None
                return False
            with socket.socket() as probe:
                if probe.connect_ex((HOST, port)) == 0:
                    return True
        raise AssertionError

    def kill(self) -> None:
        """kill -9, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


def patience() -> Iterator[None]:
    """Lets a loop try again and again, for a limited time."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)
    raise AssertionError("the server does not get done what it should")


def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition; a server that is not ready for the question yet is asked again."""
    for _ in patience():
        try:
            if condition():
                return
        except redis.RedisError:
            pass


@contextmanager
def redis_server(
    folder: Path,
    *options: str,
    password: str | None = None,
    certificates: Certificates | None = None,
) -> Generator[RedisServer]:
    """A server that runs; see `RedisServer`."""
    server = RedisServer(folder, options, password, certificates)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@dataclass(frozen=True)
class RedisCluster:
    """A cluster.

    Attributes:
        masters: nodes, each with a third of the slots if there are three.
        replicas: one for each of the first masters.
    """

    masters: list[RedisServer]
    replicas: list[RedisServer]

    @property
    def nodes(self) -> list[RedisServer]:
        """All of them."""
        return [*self.masters, *self.replicas]

    def master_of(self, name: str) -> int:
        """Which of the masters had a key's slot in the beginning."""
        with self.masters[0].client() as client:
            slot: Any = client.execute_command("CLUSTER", "KEYSLOT", name)
        return slot * len(self.masters) // 16384


@contextmanager
def redis_cluster(
    folder: Path,
    *options: str,
    masters: int = 3,
    replicas: int = 0,
    certificates: Certificates | None = None,
) -> Generator[RedisCluster]:
    """A cluster that is ready; three masters can outvote a dead one."""
    if certificates is not None:
        options = (*options, "--tls-cluster", "yes", "--tls-replication", "yes")
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(
                redis_server(
                    folder / str(n),
                    *("--cluster-enabled", "yes", "--cluster-node-timeout", "1000"),
                    *("--cluster-port", str(free_port()), *options),
                    certificates=certificates,
                )
            )
            for n in range(masters + replicas)
        ]
        clients: list[Any] = [stack.enter_context(node.client()) for node in nodes]
        for n, client in enumerate(clients):
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            if n < masters:
                bounds = (n * 16384 // masters, (n + 1) * 16384 // masters - 1)
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", *bounds)
            if n:
                bus = client.config_get("cluster-port")["cluster-port"]
                clients[0].execute_command("CLUSTER", "MEET", HOST, nodes[n].port, bus)
        until(lambda: all(len(c.cluster("nodes")) == len(nodes) for c in clients))
        names = [c.execute_command("CLUSTER", "MYID") for c in clients]
        for n, client in enumerate(clients[masters:]):
            client.execute_command("CLUSTER", "REPLICATE", names[n])
        for client in clients[masters:]:
            until(lambda c=client: c.info("replication")["master_link_status"] == "up")
        # A node that does without full coverage says "ok" before it knows who has which slots.
        for client in clients:
            until(lambda c=client: c.cluster("info")["cluster_slots_ok"] == "16384")
            until(lambda c=client: c.cluster("info")["cluster_state"] == "ok")
        yield RedisCluster(nodes[:masters], nodes[masters:])
