"""Keep the inference engine of a model open between calls, because opening an engine takes seconds."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

from shapecnn.errors import UsageError
from shapecnn.models.device import Device, require_device
from shapecnn.models.engine import Engine, open_engine
from shapecnn.models.input import Prepared
from shapecnn.models.model import Model
from shapecnn.models.output import Feature, Output


class KeptEngine:
    """Holder of the inference engine of a model: opens the engine at the first use, and keeps it for later calls.

    Args:
        model: Model whose network the engine runs.
        device: Device of the network: ``auto``, ``cpu`` or ``cuda``.
        views: Whether to also compute a separate feature for each view.

    Raises:
        UsageError: ``device`` is ``cuda``, and torch finds no CUDA device.
    """

    def __init__(self, model: Model, device: Device = "auto", *, views: bool = False) -> None:
        require_device(device)
        self._model, self._device, self._views = model, device, views
        self._reset()
        _kept.add(self)

    def _reset(self) -> None:
        self._engine: Engine | None = None
        self._descriptors: dict[Hashable, Feature] = {}  # of the shapes that the engine has started
        self._owner: int | None = None  # thread that is inside :meth:`reserved`
        self._lock = threading.Lock()

    def open(self) -> Engine:
        """Return the inference engine, which the first call opens.

        Raises:
            UsageError: The network cannot be built, for example because its backbone does not exist.
            StoredDataError: The model is damaged.
            WeightsError: The weights of the model cannot be downloaded.
        """
        if self._engine is None:
            self._engine = open_engine(self._model, self._device, views=self._views)
        return self._engine

    def open_if_remote(self) -> None:
        """Open the engine now if the weights of the network may have to be downloaded.

        A wrong backbone or a failed download is then reported before any mesh is read. If the weights are
        already on this machine, the engine is opened later, while worker processes read meshes.
        """
        if not self._model.network.at_hand:
            self.open()

    def start(self, key: Hashable, prepared: Prepared) -> None:
        """Start the network on one shape; the output will have the descriptor of the shape, if the model joins one.

        Args:
            key: Identifier of the shape, returned together with the output.
            prepared: What a worker process computed of the mesh.
        """
        if prepared.descriptor is not None:
            self._descriptors[key] = prepared.descriptor
        self.open().start(key, prepared.array)

    def finished(self, wait: bool = False) -> list[tuple[Any, Output]]:
        """Return a (key, output) pair for each shape that has finished since the last call; [] before :meth:`open`.

        Args:
            wait: Whether to wait until all started shapes are finished.
        """
        if self._engine is None:
            return []
        if wait:
            self._engine.wait()
        outputs = self._engine.finished()
        return [(key, output._replace(descriptor=self._descriptors.pop(key, None))) for key, output in outputs]

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Reserve the engine for one caller; other threads wait until the context ends.

        Without a reservation, one caller could receive the outputs of another caller. After an error, the next call
        opens a new engine, because the old engine may still contain outputs of the failed call.

        Raises:
            UsageError: This thread has reserved the engine already, because a progress function called the model.
        """
        if self._owner == threading.get_ident():
            raise UsageError(
                "A progress function called the model that was calling it. Use the model again after its current call "
                "has returned."
            )
        with self._lock:
            self._owner = threading.get_ident()
            try:
                yield
            except BaseException:
                self._engine, self._descriptors = None, {}
                raise
            finally:
                self._owner = None


_kept: weakref.WeakSet[KeptEngine] = weakref.WeakSet()


def _reset_all() -> None:
    """Replace all engines after a fork: the child has copies of their locks, but not of the threads that compute."""
    for kept in list(_kept):
        if kept._engine is not None:  # never freed, because freeing it would wait for its threads without end
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept._engine))
        kept._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)
