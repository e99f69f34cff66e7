"""Inference engines: compute features and class scores of views or grids, with torch on a GPU or OpenVINO on a CPU.

On a CPU without OpenVINO, torch is used. Engines compute in bfloat16 if the processor supports it.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol

from shapecnn.models import conversion
from shapecnn.models.device import Device, require_device, runs_on_cuda
from shapecnn.models.input import InputArray
from shapecnn.models.model import Model
from shapecnn.models.output import Output
from shapecnn.models.queue_engines import DescriptorEngine, OpenVinoEngine
from shapecnn.models.torch_engine import TorchEngine
from shapecnn.workers.progress import stage


class Engine(Protocol):
    """Interface of an inference engine: :meth:`start` queues one shape, :meth:`finished` returns all ready outputs.

    Attributes:
        description: Dictionary with ``engine`` (library and its version), ``precision`` and ``device``.
    """

    description: dict[str, str]

    def start(self, key: Hashable, array: InputArray) -> None:
        """Start the network on one shape, without waiting for its output; block while the queue is full.

        Args:
            key: Identifier of the shape, returned together with the output.
            array: V views (V, S, S) uint8 of S pixels a side, or R grids (R, N, N, N) uint8 of N cells a side, with
                values 0 and 1.

        Raises:
            StoredDataError: The network computes infinite values or NaN, because its weights are damaged.
        """

    def finished(self) -> list[tuple[Any, Output]]:
        """Return a (key, output) pair for each shape that has finished since the last call, in any order.

        Raises:
            StoredDataError: The network computes infinite values or NaN, because its weights are damaged.
        """

    def wait(self) -> None:
        """Block until all started shapes are finished."""


def open_engine(model: Model, device: Device = "auto", *, views: bool = False) -> Engine:
    """Open the fastest inference engine for a model on this machine, and load the network into it.

    Args:
        model: Model whose network the engine runs.
        device: ``cpu``, ``cuda``, or ``auto`` for a GPU if this machine has one.
        views: Whether outputs also contain a separate feature for each view or rotation.

    Raises:
        UsageError: The device is ``cuda`` and torch finds no CUDA device, or the network cannot be built.
        WeightsError: The weights cannot be downloaded.
        StoredDataError: The weights of a run are damaged.
    """
    require_device(device)
    if model.network.descriptor is not None:
        return DescriptorEngine(model)
    with stage("Loading the network"):
        if runs_on_cuda(device):
            return TorchEngine(model, "cuda", views=views)
        if conversion.available():
            return OpenVinoEngine(model, views=views)
        return TorchEngine(model, "cpu", views=views)
