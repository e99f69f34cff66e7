"""An inference engine that is opened when it is first needed, and kept for later calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shapecnn.errors import UsageError
from shapecnn.models.engine import Device, Engine, open_engine, require_device
from shapecnn.models.model import Model
from shapecnn.models.output import Output


class KeptEngine:
    """Inference engine of a model, opened at the first use and then kept.

    Args:
        model: Model that the engine computes.
        device: Device of the network: ``auto``, ``cpu`` or ``cuda``.
        views: Whether the outputs also contain a separate feature for each view.

    Raises:
        UsageError: ``device`` is ``cuda``, and torch finds no CUDA device.
    """

    def __init__(self, model: Model, device: Device = "auto", *, views: bool = False) -> None:
        require_device(device)
        self._model, self._device, self._views = model, device, views
        self._engine: Engine | None = None
        self._owner: int | None = None  # thread that is inside :meth:`reserved`
        self._lock = threading.Lock()

    def open(self) -> Engine:
        """Return the engine; the first call opens the engine.

        Raises:
            StoredDataError: The model is damaged.
            WeightsError: The weights of the model cannot be downloaded.
        """
        if self._engine is None:
            self._engine = open_engine(self._model, self._device, views=self._views)
        return self._engine

    def open_if_remote(self) -> None:
        """Open the engine now if the weights of the network may have to be downloaded.

        A wrong backbone or a failed download is then reported before any mesh is read. If the weights are on this
        machine, the engine is opened later, while workers read meshes.
        """
        if not self._model.network.at_hand:
            self.open()

    def finished(self, wait: bool = False) -> list[tuple[Any, Output]]:
        """Return a (key, output) pair for each shape that has finished since the last call; [] if nothing was opened.

        Args:
            wait: Whether to wait until all started shapes are finished.
        """
        if self._engine is None:
            return []
        if wait:
            self._engine.wait()
        return self._engine.finished()

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Reserve the engine for one call, because an engine returns the outputs of all callers together.

        Other threads wait. After an error the engine is dropped: it may still hold outputs of the failed call.

        Raises:
            UsageError: The same thread has reserved the engine already, in a callback of the running call.
        """
        if self._owner == threading.get_ident():
            raise UsageError("The model is called from its own progress function. Call it when that call has returned.")
        with self._lock:
            self._owner = threading.get_ident()
            try:
                yield
            except BaseException:
                self._engine = None
                raise
            finally:
                self._owner = None
