"""How much is taken at a time: sizes, times and numbers of requests."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request

from shapecnn.web import limits
from shapecnn.web.limits import Gate, RefusedError, read_body


def test_a_gate_lets_some_work_some_wait_and_refuses_the_others() -> None:
    async def check() -> tuple[int, list[int]]:
        gate, at_once, most = Gate(2, 3), 0, 0

        async def one() -> int:
            nonlocal at_once, most
            try:
                async with gate.passing():
                    at_once += 1
                    most = max(most, at_once)
                    await asyncio.sleep(0.01)
                    at_once -= 1
            except RefusedError as error:
                return error.status if error.retry else 0
            return 200

        first = await asyncio.gather(*[one() for _ in range(50)])
        assert await one() == 200  # all places are free again
        return most, first

    most, statuses = asyncio.run(check())
    assert most == 2
    assert sorted(statuses) == [200] * 5 + [503] * 45


def request(*parts: bytes, length: int | None = None, slow: float = 0.0) -> Request:
    async def receive() -> dict[str, object]:
        await asyncio.sleep(slow)
        part = left.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(left)}

    left = [*parts, b""]
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)  # type: ignore[arg-type]


def test_a_body_is_read_up_to_its_limit() -> None:
    assert asyncio.run(read_body(request(b"ab", b"cd"), 4)) == b"abcd"
    for given in (request(b"ab", b"cde"), request(b"a", length=5)):
        with pytest.raises(RefusedError) as refused:
            asyncio.run(read_body(given, 4))
        assert refused.value.status == 413
    with pytest.raises(RefusedError, match="empty"):
        asyncio.run(read_body(request(), 4))


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RECEIVING", 0.05)
    with pytest.raises(RefusedError) as refused:
        asyncio.run(read_body(request(b"a", slow=5), 4))
    assert refused.value.status == 408
