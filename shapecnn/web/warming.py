"""Load the networks in the background, while requests that need none are answered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

DELAY = 1.5
"""Seconds in which the first page has the processor to itself, unless a request needs a network."""


class Warming:
    """Loads the networks once, in a thread.

    Requests that need a network wait before they enter the gate. Otherwise the first uploads would keep all its places
    until the networks are loaded, and searches that need no network would wait for them.

    Args:
        load: Function that loads the networks. If it fails, the first request that needs a network reports the error.
    """

    def __init__(self, load: Callable[[], None]) -> None:
        self._load = load
        self._begin: asyncio.TimerHandle | None = None
        self._done = asyncio.Event()
        self._done.set()

    def start(self) -> None:
        """Begin to load after :data:`DELAY` seconds; called in the event loop of the server."""
        self._done.clear()
        self._begin = asyncio.get_running_loop().call_later(DELAY, self._start_now)

    async def done(self) -> None:
        """Wait until the networks are loaded or cannot be; return at once if :meth:`start` was never called."""
        if self._begin is not None:
            self._start_now()
        await self._done.wait()

    def _start_now(self) -> None:
        if self._begin is not None:
            self._begin.cancel()
            self._begin = None
            loop = asyncio.get_running_loop()
            threading.Thread(target=self._work, args=(loop,), name="warm", daemon=True).start()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        with suppress(Exception):
            self._load()
        with suppress(RuntimeError):  # the server has ended
            loop.call_soon_threadsafe(self._done.set)
