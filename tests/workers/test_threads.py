"""Tasks in threads: results in order, errors at their place, and few tasks taken ahead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shapecnn.workers import threads


def test_results_come_with_their_tasks_in_order() -> None:
    assert [*threads.run(lambda n: n * n, range(200))] == [(n, n * n) for n in range(200)]
    assert [*threads.run(str, [])] == []


def test_an_error_is_raised_at_the_place_of_its_result() -> None:
    results = threads.run(lambda n: 1 // (5 - n), range(10))
    assert [next(results)[0] for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_only_a_batch_of_tasks_is_taken_ahead() -> None:
    taken = []

    def tasks() -> Iterator[int]:
        for number in range(10_000):
            taken.append(number)
            yield number

    results = threads.run(str, tasks())
    next(results)
    assert len(taken) <= 64
    results.close()
