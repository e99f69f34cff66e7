"""Process a stream of inputs with an asynchronous queue, and return the outputs in the order of the inputs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Outputs = tuple[NDArray[np.float32], ...]
"""Outputs for one input: one float32 array for each output tensor, without the batch axis."""


class Queue(Protocol):
    """Interface of an asynchronous queue: :meth:`start` queues one input, :meth:`finished` returns all ready outputs.

    Attributes:
        description: Dictionary with ``engine`` (library and its version), ``precision`` and ``device``.
    """

    description: dict[str, str]

    def start(self, key: Hashable, array: NDArray[np.uint8]) -> None:
        """Start one input without waiting for its outputs; block while the queue is full.

        Args:
            key: Identifier of the input, returned together with the outputs.
            array: Input without the batch axis.
        """

    def finished(self) -> list[tuple[Any, Outputs]]:
        """Return a (key, outputs) pair for each input that has finished since the last call, in any order."""

    def wait(self) -> None:
        """Block until all started inputs are finished."""


def outputs_in_order(queue: Queue, inputs: Iterable[NDArray[np.uint8]]) -> Iterator[Outputs]:
    """Pass each input through a queue, with only a few inputs in memory at a time.

    Args:
        queue: Queue without pending inputs.
        inputs: uint8 arrays without the batch axis.

    Yields:
        Outputs of each input, in the order of the inputs.
    """
    waiting: dict[int, Outputs] = {}  # outputs that are ready before the outputs of an earlier input
    due = 0  # number of the input whose outputs come next
    try:
        for number, array in enumerate(inputs):
            queue.start(number, array)
            waiting.update(queue.finished())
            while due in waiting:
                yield waiting.pop(due)
                due += 1
    finally:
        queue.wait()
    waiting.update(queue.finished())
    yield from (waiting[number] for number in sorted(waiting))
