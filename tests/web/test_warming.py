"""What waits for the networks, and what does not."""

from __future__ import annotations

import asyncio
import threading

import pytest

from shapecnn.web.warming import Warming


@pytest.mark.parametrize("fails", [False, True])
def test_requests_wait_until_the_networks_are_loaded_or_cannot_be(fails: bool) -> None:
    go, calls = threading.Event(), 0

    def load() -> None:
        nonlocal calls
        calls += 1
        assert go.wait(30)
        if fails:
            raise ValueError

    async def run() -> None:
        warming = Warming(load)
        warming.start()
        assert not calls  # the first page goes first
        waiting = [asyncio.create_task(warming.done()) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in waiting)
        go.set()
        await asyncio.wait_for(asyncio.gather(*waiting), 30)

    asyncio.run(run())
    assert calls == 1


def test_nothing_waits_for_what_was_never_begun() -> None:
    asyncio.run(asyncio.wait_for(Warming(lambda: None).done(), 30))


def test_networks_are_loaded_without_any_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shapecnn.web.warming.DELAY", 0.01)
    loaded = threading.Event()

    async def run() -> None:
        Warming(loaded.set).start()
        while not loaded.is_set():
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(run(), 30))
