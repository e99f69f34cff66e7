"""Connections of the server: one that does not ask for anything is closed, and one client cannot take them all."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from shapecnn.web.guard import is_local

SILENCE = 20  # seconds in which a request must have begun, with all its headers
MOST_OF_ONE = 64  # connections of one address of another machine


class Connection(H11Protocol):
    """A connection with a deadline for the headers of each request; uvicorn itself waits for them without end."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        if self._deadline is not None:
            self._deadline.cancel()

    @property
    def peer(self) -> str | None:
        """Address of the other end; None if it has ended already."""
        return None if self.client is None else self.client[0]

    def _wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(SILENCE, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:  # no request has begun
            self.transport.close()  # what was answered is still sent


class DirectConnection(Connection):
    """A connection without a proxy between: it is closed if the other machine has too many already."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, unless the other machine has too many connections."""
        super().connection_made(transport)
        peer = self.peer
        of_peer = sum(isinstance(each, Connection) and each.peer == peer for each in self.connections)
        if of_peer > MOST_OF_ONE and not (peer is None or is_local(peer)):
            transport.abort()
