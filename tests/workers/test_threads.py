"""Tasks in threads: results in order, errors at their place, and few tasks taken ahead."""

from __future__ import annotations

import threading
import time
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


def test_an_error_in_another_thread_comes_after_the_results_before_it() -> None:
    results = threads.run(lambda n: 1 // (20 - n), range(64))
    assert [next(results)[0] for _ in range(20)] == [*range(20)]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_after_an_error_the_other_threads_end_early() -> None:
    done = []

    def slow(number: int) -> None:
        if number == 0:
            raise ValueError
        time.sleep(0.02)
        done.append(number)

    with pytest.raises(ValueError):  # noqa: PT011  # raised above
        next(threads.run(slow, range(64)))
    assert len(done) < 48


def test_a_few_tasks_are_shared_by_all_threads() -> None:
    together = threading.Barrier(4, timeout=20)
    assert len([*threads.run(lambda _: together.wait(), range(4))]) == 4


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
