"""Convert torch networks to OpenVINO, which runs them several times faster on a CPU."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections import deque
from collections.abc import Hashable
from functools import partial
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.shared.queues import Outputs
from shapecnn.workers import pool

if TYPE_CHECKING:
    from torch import nn


def available() -> bool:
    """Return whether OpenVINO is installed."""
    return util.find_spec("openvino") is not None


def convert(network: nn.Module, shape: tuple[int, ...]) -> tuple[bytes, bytes]:
    """Convert a network to OpenVINO.

    Args:
        network: Network to convert. It receives one input as a batch of size 1, (1, ...) uint8, and returns one or more
            tensors with the same batch axis.
        shape: Shape of one input, without the batch axis.

    Returns:
        Contents of the two files of an OpenVINO network: graph (XML) and weights.
    """
    import torch

    openvino = _openvino()
    example = torch.zeros((1, *shape), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        converted = openvino.convert_model(torch.export.export(network, (example,)))
    converted.reshape(list(example.shape))
    with tempfile.TemporaryDirectory() as scratch:
        openvino.save_model(converted, Path(scratch) / "model.xml", compress_to_fp16=False)
        return (Path(scratch) / "model.xml").read_bytes(), (Path(scratch) / "model.bin").read_bytes()


class Queue:
    """Asynchronous inference with an OpenVINO network: processes several inputs at the same time.

    Implements :class:`shapecnn.shared.queues.Queue`.

    Args:
        graph: Graph (XML) of the network, as :func:`convert` returns it.
        weights: Weights of the network, as :func:`convert` returns them.
        threads: Number of threads; None for one thread per core.
        exact: Whether to compute in float32 even if the processor supports bfloat16.

    Attributes:
        description: Dictionary with ``engine`` (name and version of OpenVINO), ``precision`` and ``device``.
    """

    def __init__(self, graph: bytes, weights: bytes, *, threads: int | None = None, exact: bool = False) -> None:
        openvino = _openvino()
        core = openvino.Core()
        reduced = not exact and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if reduced else "f32",
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_NUM_THREADS": threads or pool.available_cores(),
        }
        self._outputs: deque[tuple[Hashable, Outputs]] = deque()  # filled by the threads of OpenVINO
        self._queue = openvino.AsyncInferQueue(core.compile_model(core.read_model(graph, weights), "CPU", options))
        # Not a method: OpenVINO would keep this object, and the object the network, as a cycle that is never freed.
        self._queue.set_callback(partial(_collect, self._outputs))
        self.description = {
            "engine": f"openvino {metadata.version('openvino')}",
            "precision": "bfloat16" if reduced else "float32",
            "device": "cpu",
        }

    def start(self, key: Hashable, array: NDArray[np.uint8]) -> None:
        """Start the network on one input, without waiting for its outputs; block while the queue is full.

        Args:
            key: Identifier of the input, returned together with the outputs.
            array: Input without the batch axis, of the shape that the network was converted for.
        """
        self._queue.start_async({0: array[None]}, key)

    def finished(self) -> list[tuple[Any, Outputs]]:
        """Return a (key, outputs) pair for each input that has finished since the last call, in any order."""
        return [self._outputs.popleft() for _ in range(len(self._outputs))]

    def wait(self) -> None:
        """Block until all started inputs are finished."""
        self._queue.wait_all()


def _collect(outputs: deque[tuple[Hashable, Outputs]], request: Any, key: Hashable) -> None:
    """Append the outputs of a finished inference request of OpenVINO, with the key of its input."""
    outputs.append((key, tuple(np.array(tensor.data[0], np.float32) for tensor in request.output_tensors)))


def _openvino() -> Any:
    # OpenVINO telemetry would report each import to Google Analytics, from a forked process that delays the exit.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
