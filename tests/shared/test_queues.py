"""Outputs of a queue come in the order of the inputs, however the queue finishes them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.shared.queues import Outputs, outputs_in_order


class Shuffled:
    """Queue that finishes its inputs in a random order."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.pending: list[tuple[Hashable, Outputs]] = []
        self.most = 0
        self.description: dict[str, str] = {}
        self.waited = False

    def start(self, key: Hashable, array: NDArray[np.uint8]) -> None:
        self.pending.insert(int(self.random.integers(len(self.pending) + 1)), (key, (array.astype(np.float32),)))
        self.most = max(self.most, len(self.pending))

    def finished(self) -> list[tuple[Any, Outputs]]:
        count = len(self.pending) if self.waited else int(self.random.integers(len(self.pending) + 1))
        done, self.pending = self.pending[:count], self.pending[count:]
        return done

    def wait(self) -> None:
        self.waited = True


@given(st.integers(0, 40), st.integers(0, 1 << 30))
def test_outputs_come_in_the_order_of_the_inputs(count: int, seed: int) -> None:
    arrays = [np.full(2, number, np.uint8) for number in range(count)]
    assert [int(output[0]) for (output,) in outputs_in_order(Shuffled(seed), arrays)] == list(range(count))


def test_a_queue_is_waited_for_if_reading_fails() -> None:
    def arrays() -> Iterator[NDArray[np.uint8]]:
        yield np.zeros(1, np.uint8)
        raise OSError("gone")

    queue = Shuffled(0)
    with pytest.raises(OSError, match="gone"):
        list(outputs_in_order(queue, arrays()))
    assert queue.waited
