"""Limits of the web application: how much is uploaded, how long it takes, and how many requests work at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect, Request

from shapecnn.workers.pool import Workers

RECEIVING = 60.0  # seconds in which an upload must have arrived
RETRY = 2  # seconds after which a refused request may be sent again


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one upload.

    Attributes:
        upload: Largest size of a file, in bytes.
        workers: Time and memory limits of the worker process that reads it.
    """

    upload: int = 64 << 20
    workers: Workers = field(default_factory=lambda: Workers(timeout=60.0))


class RefusedError(Exception):
    """A request that is not answered.

    Args:
        status: Status of the HTTP response.
        kind: Stable name for programs.
        message: One sentence: what is wrong, and what to do.
        retry: Seconds after which the same request may be sent again; None if it would be refused again.
    """

    def __init__(self, status: int, kind: str, message: str, retry: int | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.retry = status, kind, message, retry


class Gate:
    """Lets a few requests work at a time, and a few more wait; all others are refused.

    Only requests that have passed are read, so waiting requests take no memory.

    Args:
        working: Largest number of requests that work at a time.
        waiting: Largest number of requests that wait.
    """

    def __init__(self, working: int, waiting: int) -> None:
        self._free = asyncio.Semaphore(working)
        self._room, self._inside = working + waiting, 0

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """Wait until there is a free place, and keep it while the block runs.

        Raises:
            RefusedError: Too many requests are waiting already.
        """
        if self._inside >= self._room:
            raise RefusedError(
                503, "busy", f"The server is busy with {self._inside} other requests: try again in {RETRY} s.", RETRY
            )
        self._inside += 1
        try:
            async with self._free:
                yield
        finally:
            self._inside -= 1


async def read_body(request: Request, most: int) -> bytes:
    """Return the body of a request, which is kept in memory only.

    Args:
        request: The request.
        most: Largest number of bytes.

    Raises:
        RefusedError: The body is empty, larger than ``most``, or takes longer than :data:`RECEIVING` seconds.
    """
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > most:
        raise _too_large(most)
    body = bytearray()
    try:
        async with asyncio.timeout(RECEIVING):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise _too_large(most)
    except TimeoutError:
        raise RefusedError(
            408, "timeout", f"The upload took longer than {RECEIVING:g} s: send it again, or send a smaller file."
        ) from None
    except ClientDisconnect:
        raise RefusedError(400, "disconnected", "The upload ended early: send the file again.") from None
    if not body:
        raise RefusedError(
            400, "empty", "The upload is empty: send the content of the file as the body of the request."
        )
    return bytes(body)


def _too_large(most: int) -> RefusedError:
    return RefusedError(
        413, "too-large", f"The file has more than {most >> 20} MB: simplify it, or raise --max-upload of the server."
    )
