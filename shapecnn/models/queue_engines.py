"""Engines with an asynchronous queue: networks in OpenVINO on the CPU, and engineered descriptors in threads.

A network is converted for OpenVINO once and cached (:mod:`shapecnn.models.engine_cache`). Later commands then import
neither torch nor timm, which saves seconds.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from shapecnn import descriptors
from shapecnn.models import conversion, engine_cache
from shapecnn.models.input import InputArray
from shapecnn.models.model import Model
from shapecnn.models.output import Feature, Output
from shapecnn.models.scores import require_finite, scores_of, value_of
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.shared.queues import Queue


class _QueueEngine:
    """Engine that computes the features of shapes in an asynchronous queue, and the last layer in numpy."""

    def __init__(self, model: Model, queue: Queue) -> None:
        self._model, self._queue = model, queue
        self._classifier = model.head.classifier() if model.head else None
        self._regressor = model.quantity.regressor() if model.quantity else None
        self.description = queue.description

    def _output(self, feature: Feature, views: Feature | None = None) -> Output:
        require_finite(self._model, feature)
        if self._regressor is not None:
            return Output(feature, None, views, value=value_of(self._model, self._regressor.value(feature)))
        if self._classifier is None:
            return Output(feature, None, views)
        return Output(feature, scores_of(self._model, self._classifier.logits(feature)), views)

    def start(self, key: Hashable, array: InputArray) -> None:
        """Start one shape as soon as the queue has room for it, without waiting for the output."""
        self._queue.start(key, array)

    def finished(self) -> list[tuple[Any, Output]]:
        """Return the key, as given to :meth:`start`, and the output of each shape that finished since the last call."""
        return [(key, self._output(*tensors)) for key, tensors in self._queue.finished()]

    def wait(self) -> None:
        """Block until all started shapes are finished."""
        self._queue.wait()


class DescriptorEngine(_QueueEngine):
    """Engine that computes an engineered descriptor in threads, without torch. It has no features of single views.

    Args:
        model: Model whose network is an engineered descriptor.
        threads: Number of threads; None for one thread per core.

    Attributes:
        description: Dictionary with ``engine`` (name of the descriptor), ``precision`` and ``device``.
    """

    def __init__(self, model: Model, threads: int | None = None) -> None:
        assert model.network.descriptor is not None
        super().__init__(model, descriptors.Queue(model.network.descriptor, threads=threads))


class OpenVinoEngine(_QueueEngine):
    """Engine that runs a network with OpenVINO on the CPU.

    Args:
        model: Model whose network the engine runs.
        threads: Number of threads; None for one thread per core.
        views: Whether outputs also contain a separate feature for each view or rotation.

    Attributes:
        description: Dictionary with ``engine`` (name and version of OpenVINO), ``precision`` and ``device``.
    """

    def __init__(self, model: Model, threads: int | None = None, *, views: bool = False) -> None:
        self._threads, self._views = threads, views
        self._outputs: list[tuple[Any, Output]] = []
        self._shape = _trained_shape(model)
        super().__init__(model, self._open(model, self._shape))

    def _open(self, model: Model, shape: tuple[int, ...]) -> conversion.Queue:
        """Compile the network for arrays of one shape.

        Args:
            model: Model whose network to compile.
            shape: (V, S, S) for V views of S pixels a side, or (R, N, N, N) for R grids of N cells a side.
        """
        return conversion.Queue(*_converted(model, shape, self._views), threads=self._threads)

    def start(self, key: Hashable, array: InputArray) -> None:
        """Start the network on one shape, as soon as the queue has room for it; do not wait for the output."""
        if array.shape != self._shape:
            self.wait()
            self._outputs += self.finished()
            self._shape, self._queue = array.shape, self._open(self._model, array.shape)
        super().start(key, array)

    def finished(self) -> list[tuple[Any, Output]]:
        """Return the key, as given to :meth:`start`, and the output of each shape that finished since the last call."""
        outputs, self._outputs = self._outputs, []
        return outputs + super().finished()


def _trained_shape(model: Model) -> tuple[int, ...]:
    """Return the size of a training input: V views (V, S, S) of S × S pixels, or R grids (R, N, N, N) of N³ cells."""
    settings, side = model.input.drawing(), model.input.side
    if isinstance(settings, VoxelSettings):
        return (settings.rotations if settings.rotations > 1 else model.input.turns, side, side, side)
    return settings.views, side, side


def _converted(model: Model, shape: tuple[int, ...], views: bool) -> tuple[bytes, bytes]:
    """Return graph and weights of a network converted to OpenVINO; convert and cache them if the cache lacks them."""
    parts = [model.network.identity, " × ".join(map(str, shape)) + " and each alone" * views]
    key = engine_cache.key(*parts)
    converted = engine_cache.load(key)
    if converted is None:
        converted = _convert(model, shape, views)
        engine_cache.store(key, *converted)
    return converted


def _convert(model: Model, shape: tuple[int, ...], views: bool) -> tuple[bytes, bytes]:
    from shapecnn.networks.network import FeaturesAlone

    return conversion.convert(FeaturesAlone(model.network.build(), views).eval(), shape)
