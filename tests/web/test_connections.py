"""Connections that ask for nothing do not keep others out."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from shapecnn.web import connections
from shapecnn.web.connections import Connection, DirectConnection
from shapecnn.web.server import listen

MANY = 40
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nX: "

Place = tuple[str, int]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(body or b"fine")(scope, receive, send)


@pytest.fixture
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Address of a server that has no place for more than ``MANY`` connections and is soon tired of waiting."""
    monkeypatch.setattr(connections, "SILENCE", 2)
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        app, http=request.param, ws="none", lifespan="off", log_level="critical", limit_concurrency=MANY,
        timeout_keep_alive=60, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join(30)


def opened(place: Place, sent: bytes) -> socket.socket:
    connection = socket.create_connection(place, timeout=20)
    connection.sendall(sent)
    return connection


def received(connection: socket.socket, text: bytes = b"fine") -> bytes:
    """Return what arrives up to a text, or up to the end."""
    data = b""
    while text not in data and (part := connection.recv(1000)):
        data += part
    return data


def answer(place: Place) -> bytes:
    with opened(place, REQUEST) as connection:
        return received(connection)


def refused(place: Place) -> bool:
    try:
        return answer(place) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("place", [Connection], indirect=True)
def test_silent_connections_are_closed(place: Place) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(opened(place, HALF)) for _ in range(MANY)]
        assert b" 503 " in answer(place)
        assert [connection.recv(1) for connection in silent] == [b""] * MANY  # before the time-out of the sockets
        assert b"fine" in answer(place)


@pytest.mark.parametrize("place", [Connection], indirect=True)
def test_a_second_request_that_does_not_come_is_not_waited_for(place: Place) -> None:
    for second in (b"", HALF):
        with opened(place, REQUEST) as connection:
            assert b"fine" in received(connection)
            connection.sendall(second)
            assert connection.recv(1) == b""


@pytest.mark.parametrize("place", [Connection], indirect=True)
def test_a_request_that_has_begun_has_its_own_time(place: Place) -> None:
    with opened(place, b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 6\r\n\r\nsl") as connection:
        time.sleep(2.5)
        connection.sendall(b"owly")
        assert b"slowly" in received(connection, b"slowly")
        time.sleep(0.5)
        connection.sendall(REQUEST)  # the time begins anew after each answer
        assert b"fine" in received(connection)


@pytest.mark.parametrize("place", [DirectConnection], indirect=True)
def test_another_machine_cannot_take_all_connections(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_OF_ONE", 3)
    monkeypatch.setattr(connections, "SILENCE", 60)
    with ExitStack() as stack:
        for _ in range(5):
            assert b"fine" in received(stack.enter_context(opened(place, REQUEST)))  # of this machine
        monkeypatch.setattr(connections, "is_local", lambda _host: False)
        assert refused(place)
    time.sleep(0.5)  # the connections are closed
    assert b"fine" in answer(place)
