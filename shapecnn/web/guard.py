"""Decide which requests are answered: only those meant for this server, from its own page, and with its token.

A page of another site can send requests to a server on this machine, also under a name of its own that it lets point to
127.0.0.1 (DNS rebinding). So the name in ``Host`` must be one of this machine, and ``Origin`` must be the same place.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shapecnn.web.replies import as_error

COOKIE = "shapecnn_token"  # with the port: browsers send the cookies of one host to all its ports

_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?")

POLICY = "; ".join([
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    "connect-src 'self'",
    "font-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
])  # fmt: skip
"""Content security policy of all responses: the page loads its own files only, and nothing inline."""

_HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def is_local(host: str) -> bool:
    """Return whether an address or a name means this machine only, such as ``127.0.0.1``, ``::1`` or ``localhost``."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses requests for other hosts, from other sites and without the token, and adds the security headers.

    Args:
        app: The application behind.
        bound: Address that the server is bound to.
        token: Token that requests must have; None if none is needed, which only a local address allows.
        name: Further name of the server, such as that of a proxy; needs a token.
    """

    def __init__(self, app: ASGIApp, bound: str, token: str | None, name: str | None = None) -> None:
        self._app, self._token = app, token
        self._cookie = "" if token is None else hmac.digest(token.encode(), b"cookie", "sha256").hex()
        self._names = {bound.lower()}
        if token is not None:  # found once: the search for a full name can take seconds
            own = [socket.gethostname(), socket.getfqdn(), *([] if name is None else [name])]
            self._names |= {each.lower() for each in own}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                static = scope["path"].startswith("/static/")
                headers.setdefault("cache-control", "no-cache" if static else "no-store")
            await send(message)

        answer = self._refusal(scope)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(host):
            return as_error(421, "host", "This server does not answer for that name: open the address that it printed.")
        origin = headers.get("origin")
        if origin is not None and _place(origin) != host.lower():
            return as_error(403, "origin", "Other sites may not use this server: open its own page.")
        top = headers.get("sec-fetch-mode") == "navigate" and scope["method"] == "GET" and scope["path"] == "/"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not top:
            return as_error(403, "origin", "Other sites may not use this server: open its own page.")
        return None if self._token is None else self._ask_for_token(scope, headers, self._token)

    def _is_ours(self, host: str) -> bool:
        """Return whether the value of ``Host`` names this machine: with a token, also by an address or its own name."""
        if not _HOST.fullmatch(host):  # such as a@b or a/b, of which other programs may take another part
            return False
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if is_local(name) or name in self._names:
            return True
        with suppress(ValueError):
            ipaddress.ip_address(name)
            return self._token is not None  # an address cannot be rebound
        return False

    def _ask_for_token(self, scope: Scope, headers: Headers, token: str) -> Response | None:
        offered = parse_qs(scope["query_string"].decode("ascii", "replace")).get("token", [""])[-1]
        if scope["path"] == "/" and _same(offered, token):
            response = RedirectResponse("/", 303)  # the token leaves the address bar
            response.set_cookie(_cookie(scope), self._cookie, httponly=True, samesite="strict", path="/")
            return response
        bearer = re.sub("^bearer +", "", headers.get("authorization", ""), flags=re.IGNORECASE)
        cookies = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
        kept = [value for name, _, value in cookies if name == _cookie(scope)]  # of two, one may be of another server
        if _same(bearer, token) or any(_same(value, self._cookie) for value in kept):
            return None
        return as_error(
            401, "token", "A token is needed: open the address that the server printed, or send Authorization: Bearer."
        )


def _same(offered: str, token: str) -> bool:
    return secrets.compare_digest(offered.encode(), token.encode())


def _cookie(scope: Scope) -> str:
    return f"{COOKIE}_{scope['server'][1]}"


def _place(origin: str) -> str | None:
    """Return the host and port that an origin names; None if it is no address."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
