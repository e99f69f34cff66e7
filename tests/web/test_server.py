"""The server as a process: tokens, addresses, and nothing left behind when it is killed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import psutil
import pytest
import requests

from shapecnn.errors import UsageError
from shapecnn.web.server import address_to_open, choose_token, is_told, listen
from tests.cli.conftest import SCHEMAS, Command
from tests.solids import contents
from tests.web.conftest import serving


def test_a_local_address_needs_no_token_and_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHAPECNN_TOKEN", raising=False)
    assert choose_token(local=True) is None
    assert len(choose_token(local=False) or "") >= 32
    monkeypatch.setenv("SHAPECNN_TOKEN", "short")
    with pytest.raises(UsageError, match="at least 16"):
        choose_token(local=True)
    monkeypatch.setenv("SHAPECNN_TOKEN", "long-enough-for-a-token")
    assert choose_token(local=True) == "long-enough-for-a-token"


def test_the_printed_address_can_be_opened() -> None:
    assert address_to_open("0.0.0.0") == address_to_open("::") == socket.gethostname()
    assert address_to_open("::1") == "[::1]"
    assert address_to_open("192.168.0.9") == "192.168.0.9"
    assert address_to_open("localhost") == "localhost"


def test_a_request_that_is_cancelled_at_the_end_leaves_no_traceback() -> None:
    def record(error: BaseException | None) -> logging.LogRecord:
        told = None if error is None else (type(error), error, None)
        return logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "Exception in ASGI application", (), told)

    assert not is_told(record(asyncio.CancelledError()))
    assert is_told(record(ValueError()))
    assert is_told(record(None))


@pytest.mark.parametrize("times", [1, 2])
def test_nothing_but_the_end_is_told_when_work_is_pending(times: int, site: Path) -> None:
    with serving(site / "index") as (address, process), contextlib.ExitStack() as stack:
        place = urlsplit(address)

        def send(text: str) -> socket.socket:
            connection = stack.enter_context(socket.create_connection((place.hostname, place.port), timeout=60))
            connection.sendall(text.replace("\n", "\r\n").encode())
            return connection

        host = f"Host: {place.netloc}\n"
        assert b" 400 " in send("garbage\n\n").recv(1000)
        upgrade = "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: x\n"
        assert b" 200 " in send(f"GET /api/about HTTP/1.1\n{host}{upgrade}\n").recv(1000)
        send(f"POST /api/queries?name=a.off HTTP/1.1\n{host}Content-Length: 9\n\nOFF")
        assert requests.get(f"{address}api/about", timeout=60).ok
        time.sleep(4)  # the networks are loaded, and the upload is waited for
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
        assert process.stderr is not None
        assert process.stderr.read() == "\nInterrupted. The server has stopped.\n"


def test_a_proxy_is_named_without_port_and_folder(site: Path, command: Command) -> None:
    answer = command("serve", site / "index", "--name", "https://shapes.example.org/")
    assert answer.status == 2
    assert "give the name alone" in answer.stderr


def test_an_address_that_is_taken_is_named() -> None:
    with listen("127.0.0.1", 0) as listener, pytest.raises(UsageError, match="cannot listen at"):
        listen("127.0.0.1", listener.getsockname()[1])
    with pytest.raises(UsageError, match="give another --host"):
        listen("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("host", "token"), [("127.0.0.1", None), ("127.0.0.1", "a-token-of-ones-own"), ("0.0.0.0", None)]
)
def test_a_program_that_starts_the_server_is_told_where_it_is(host: str, token: str | None, site: Path) -> None:
    words = [sys.executable, "-P", "-m", "shapecnn", "serve", str(site / "index"), "--host", host, "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if name != "SHAPECNN_TOKEN"}
    environment |= {} if token is None else {"SHAPECNN_TOKEN": token}
    process = subprocess.Popen([*words, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    try:
        assert process.stdout is not None
        place = json.loads(process.stdout.readline())  # comes while the server runs
        jsonschema.validate(place, json.loads((SCHEMAS / "serve.json").read_text()))
        assert place["host"] == host
        assert (place["token"] is None) == (host == "127.0.0.1" and token is None)
        assert token in (None, place["token"])
        about = f"http://127.0.0.1:{place['port']}/api/about"
        shown = socket.gethostname() if host == "0.0.0.0" else host  # an address that works on other machines too
        if place["token"] is None:
            assert place["url"] == f"http://{shown}:{place['port']}/"
        else:
            assert place["url"] == f"http://{shown}:{place['port']}/?token={place['token']}"
            assert requests.get(about, timeout=60).status_code == 401
        assert requests.get(about, headers={"Authorization": f"Bearer {place['token']}"}, timeout=60).ok
    finally:
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert stdout == b""  # nothing after the one line
    assert b"Open " not in stderr
    assert stderr.endswith(b"Interrupted. The server has stopped.\n")


def test_uploads_in_parallel_are_answered_or_refused(site: Path) -> None:
    mesh = (site / "meshes" / "round" / "ball.glb").read_bytes()
    with serving(site / "index") as (address, process):

        def send(number: int) -> requests.Response:
            return requests.post(f"{address}api/queries", params={"name": f"{number}.glb"}, data=mesh, timeout=300)

        assert send(0).status_code == 201  # the network is loaded
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(send, range(50)))
        assert {answer.status_code for answer in answers} <= {201, 503}
        assert sum(answer.status_code == 201 for answer in answers) >= 2
        for answer in answers:
            if answer.status_code == 503:
                assert answer.headers["retry-after"]
                assert answer.json()["error"]["message"].endswith("s.")
        assert send(51).status_code == 201
        assert process.poll() is None


def test_a_killed_server_leaves_nothing_of_an_upload(site: Path, tmp_path: Path) -> None:
    before = contents(site)
    for _ in range(2):  # the second server starts after the first was killed
        with serving(site / "index", TMPDIR=str(tmp_path)) as (address, process):
            place = urlsplit(address)
            with socket.create_connection((place.hostname, place.port)) as connection:
                head = (
                    f"POST /api/queries?name=a.off HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: 100000\r\n\r\n"
                )
                connection.sendall(head.encode() + bytes(50_000))
                assert requests.get(f"{address}api/about", timeout=60).ok
                opened = [file.path for file in psutil.Process(process.pid).open_files()]
                assert not [path for path in opened if path.startswith(str(tmp_path)) and os.path.isfile(path)]
                process.kill()
                process.wait()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert contents(site) == before
