"""Who is answered: only this server's own page, by its own names, with the token where one is needed."""

from __future__ import annotations

import hmac
import socket

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from shapecnn.web.guard import POLICY, Guard, is_local

TOKEN = "a-token-of-the-tests"
COOKIE = hmac.new(TOKEN.encode(), b"cookie", "sha256").hexdigest()


def ask(token: str | None = None, bound: str = "127.0.0.1", name: str | None = None, **headers: str) -> int:
    client = TestClient(Guard(PlainTextResponse("fine"), bound, token, name), "http://127.0.0.1:8000")
    return client.get("/x", headers={name.replace("_", "-"): value for name, value in headers.items()}).status_code


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.1.2.3"])
def test_names_of_this_machine_are_answered(host: str) -> None:
    assert ask(host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "",
        "192.168.0.9",
        "[::1",
        "a@b",
        "evil@127.0.0.1",
        "127.0.0.1/evil.com",
    ],
)
def test_other_names_are_refused(host: str) -> None:
    assert ask(host=host) == 421


def test_other_sites_are_refused() -> None:
    assert ask(origin="http://127.0.0.1:8000") == 200
    assert ask(origin="http://evil.example") == 403
    assert ask(origin="http://127.0.0.1:9000") == 403
    assert ask(origin="null") == 403
    assert ask(origin="http://[") == 403
    assert ask(sec_fetch_site="same-origin") == 200
    assert ask(sec_fetch_site="cross-site") == 403
    assert ask(sec_fetch_site="same-site") == 403


def test_a_token_is_asked_for() -> None:
    assert ask(TOKEN) == 401
    assert ask(TOKEN, authorization="Bearer wrong") == 401
    assert ask(TOKEN, authorization=f"Bearer {TOKEN}") == 200
    assert ask(TOKEN, cookie=f"a=b; shapecnn_token_8000={COOKIE}") == 200
    assert ask(TOKEN, cookie=f"shapecnn_token_8000={TOKEN}") == 401  # other servers of the host get the cookie
    assert ask(TOKEN, authorization=f"bearer {TOKEN}") == 200
    for two in (f"{COOKIE}; shapecnn_token_8000=old", f"old; shapecnn_token_8000={COOKIE}"):
        assert ask(TOKEN, cookie=f"shapecnn_token_8000={two}") == 200
    assert ask(TOKEN, "0.0.0.0", authorization=f"Bearer {TOKEN}", host="192.168.0.9:8000") == 200
    assert ask(TOKEN, "0.0.0.0", authorization=f"Bearer {TOKEN}", host="evil.example") == 421


def test_the_token_of_the_address_becomes_a_cookie() -> None:
    client = TestClient(Guard(PlainTextResponse("fine"), "127.0.0.1", TOKEN), "http://127.0.0.1:8000")
    first = client.get("/", params={"token": TOKEN}, follow_redirects=False)
    assert first.status_code == 303
    assert first.headers["location"] == "/"
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "SameSite=strict" in first.headers["set-cookie"]
    assert TOKEN not in first.headers["set-cookie"]
    assert client.get("/x").status_code == 200
    assert first.headers["set-cookie"].startswith("shapecnn_token_8000=")  # another server here has another cookie


def test_a_proxy_passes_requests_on_under_its_name() -> None:
    proxied = {"host": "shapes.example.org", "origin": "https://shapes.example.org"}
    assert ask(TOKEN, name="Shapes.example.org", authorization=f"Bearer {TOKEN}", **proxied) == 200
    assert ask(TOKEN, name="Shapes.example.org", **proxied) == 401
    assert ask(TOKEN, name=None, authorization=f"Bearer {TOKEN}", **proxied) == 421
    assert ask(None, name="Shapes.example.org", **proxied) == 421


def test_the_names_of_this_machine_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finding them can take seconds, in which no other request would be answered."""
    monkeypatch.setattr(socket, "getfqdn", lambda: "me.example.org")
    client = TestClient(Guard(PlainTextResponse("fine"), "0.0.0.0", TOKEN), "http://127.0.0.1:8000")
    monkeypatch.setattr(socket, "getfqdn", None)
    monkeypatch.setattr(socket, "gethostname", None)
    token = {"authorization": f"Bearer {TOKEN}"}
    assert client.get("/x", headers={"host": "me.example.org", **token}).status_code == 200
    assert client.get("/x", headers={"host": "evil.example", **token}).status_code == 421


def test_every_answer_has_the_security_headers() -> None:
    client = TestClient(Guard(PlainTextResponse("fine"), "127.0.0.1", None), "http://127.0.0.1:8000")
    for headers in ({}, {"host": "evil.example"}):
        answer = client.get("/x", headers=headers)
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
    assert "unsafe" not in POLICY


def test_what_is_local() -> None:
    assert all(map(is_local, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_local, ("0.0.0.0", "::", "example.org", "10.0.0.1", "")))
