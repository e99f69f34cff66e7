"""An S3 server on this machine, moto, in a process of its own; and a proxy before it that makes what can go wrong."""

from __future__ import annotations

import http.client
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from shapecnn.storage.objects import snapshot, store
from shapecnn.storage.objects.url import Url, as_path

SERVER = """
import logging, sys, threading
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()  # until the tests end
"""

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The endpoint of an S3 server, for all tests of a session."""
    command = [sys.executable, "-W", "ignore", "-c", SERVER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()


@pytest.fixture
def bucket(s3_server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Url:
    """An empty bucket for one test, to which the environment variables of this process lead."""
    number = f"{os.getpid()}-{abs(hash(request.node.nodeid)) % 10**12}"
    requests.put(f"{s3_server}/shapes-{number}", timeout=60).raise_for_status()
    lead_to(s3_server, monkeypatch)
    url = as_path(f"s3://shapes-{number}")
    assert isinstance(url, Url)
    return url


def lead_to(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process, and those that it starts, use an endpoint."""
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    forget()


def forget() -> None:
    """Begin as a new process does: without open stores, and without known versions."""
    store._open.cache_clear()
    snapshot._latest.clear()


def put_folder(folder: Path, url: Url) -> None:
    """Upload the files of a folder as a user would by another tool."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.write_object(url / path.relative_to(folder), path.read_bytes())


@dataclass
class Faults:
    """What the proxy does to requests, and which it has seen.

    Attributes:
        plan: For requests whose method and path match a pattern, what is done to the first, the second and so on:
            ``ok``, ``503``, ``reset`` (no answer), ``lost`` (carried out, no answer), ``cut`` (half of the body), or
            ``slow`` (the body comes in drops). After the last of them, all are ``ok``, or of ``…`` as before.
        after: Called with method and path when a request was carried out, before it is answered.
        seen: Method and path of each request, with what was done.
    """

    plan: dict[str, list[str]] = field(default_factory=dict)
    after: Callable[[str], object] = lambda _request: None
    seen: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, request: str) -> str:
        with self.lock:
            for pattern, faults in self.plan.items():
                if faults and re.search(pattern, request):
                    fault = faults[0] if faults[1:] == ["…"] else faults.pop(0)
                    self.seen.append((request, fault))
                    return fault
            self.seen.append((request, "ok"))
            return "ok"


@dataclass
class Proxy:
    """A proxy between a client and the S3 server."""

    endpoint: str
    faults: Faults


@pytest.fixture
def proxy(s3_server: str, bucket: Url, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy, to which the environment variables of this process lead."""
    faults = Faults()
    upstream = s3_server.removeprefix("http://")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = faults.next(f"{self.command} {self.path}")
            if fault == "503":
                content = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
                self.answer(503, {"Content-Type": "application/xml"}, content)
                return
            if fault == "reset":
                self.reset()
                return
            connection = http.client.HTTPConnection(upstream)
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            content = response.read()
            connection.close()
            faults.after(f"{self.command} {self.path}")
            if fault == "lost":
                self.reset()
                return
            self.answer(response.status, dict(response.getheaders()), content, fault)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815

        def answer(self, status: int, headers: dict[str, str], content: bytes, fault: str = "ok") -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            length = headers.get("Content-Length", str(len(content))) if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length)
            self.end_headers()
            if fault == "cut":
                self.wfile.write(content[: len(content) // 2])
                self.reset()
            elif fault == "slow":
                for start in range(0, len(content), max(len(content) // 50, 1)):
                    self.wfile.write(content[start : start + max(len(content) // 50, 1)])
                    time.sleep(0.1)
            else:
                self.wfile.write(content)

        def reset(self) -> None:
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            self.wfile = open(os.devnull, "wb")  # noqa: SIM115

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *arguments: object) -> None:
            pass  # a client that has given up

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        lead_to(endpoint, monkeypatch)
        yield Proxy(endpoint, faults)
        server.shutdown()
        thread.join()
        forget()
