"""Compute the descriptors of many shapes in threads; the descriptors release the interpreter lock."""

from __future__ import annotations

from collections.abc import Hashable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.descriptors.registry import Descriptor, describe
from shapecnn.settings.networks import DescriptorName
from shapecnn.shared.queues import Outputs
from shapecnn.workers.pool import available_cores


class Queue:
    """Queue that computes the descriptors of several shapes at the same time.

    Implements :class:`shapecnn.shared.queues.Queue`.

    Args:
        name: Descriptor to compute: ``sph``, ``lfd`` or ``fisher``.
        threads: Number of threads; None for one thread per core.

    Attributes:
        description: Dictionary with ``engine`` (the descriptor), ``precision`` and ``device``.
    """

    def __init__(self, name: DescriptorName, *, threads: int | None = None) -> None:
        self._name, self._threads = name, threads or available_cores()
        self._executor = ThreadPoolExecutor(self._threads)
        self._pending: dict[Future[Descriptor], Hashable] = {}
        self.description = {"engine": f"descriptor {name}", "precision": "float32", "device": "cpu"}

    def start(self, key: Hashable, array: NDArray[np.uint8]) -> None:
        """Start computing the descriptor of one shape; block while twice as many shapes wait as there are threads.

        Args:
            key: Identifier of the shape, returned together with the descriptor.
            array: Input of the descriptor; see :func:`shapecnn.descriptors.registry.describe`.
        """
        running = [future for future in self._pending if not future.done()]
        if len(running) >= 2 * self._threads:
            wait(running, return_when=FIRST_COMPLETED)
        self._pending[self._executor.submit(describe, self._name, array)] = key

    def finished(self) -> list[tuple[Any, Outputs]]:
        """Return a (key, (descriptor,)) pair for each shape that has finished since the last call."""
        done = [future for future in self._pending if future.done()]
        return [(self._pending.pop(future), (future.result(),)) for future in done]

    def wait(self) -> None:
        """Block until all started shapes are finished."""
        wait(self._pending)
