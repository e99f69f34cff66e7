"""Networks of torch in OpenVINO, which computes them several times as fast on a CPU."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.workers import pool

if TYPE_CHECKING:
    from torch import nn

Outputs = tuple[NDArray[np.float32], ...]
"""What a network says of one input: an array for each tensor it ends in, the first axis (of one) left out."""


def available() -> bool:
    """Whether OpenVINO is installed."""
    return util.find_spec("openvino") is not None


def convert(network: nn.Module, shape: tuple[int, ...]) -> tuple[bytes, bytes]:
    """Graph and weights of a network from (1, \\*shape) uint8 to one tensor or several, of one row each."""
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
    """A converted network at work on several inputs at a time.

    description: engine, precision and device, to be recorded beside what it computes.
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
        self._done: deque[tuple[Hashable, Outputs]] = deque()  # filled by OpenVINO's threads
        self._queue = openvino.AsyncInferQueue(core.compile_model(core.read_model(graph, weights), "CPU", options))
        self._queue.set_callback(self._collect)
        self.description = {
            "engine": f"openvino {metadata.version('openvino')}",
            "precision": "bfloat16" if reduced else "float32",
            "device": "cpu",
        }

    def _collect(self, request: Any, key: Hashable) -> None:
        self._done.append((key, tuple(np.array(tensor.data[0], np.float32) for tensor in request.output_tensors)))

    def start(self, key: Hashable, array: NDArray[np.uint8]) -> None:
        """Begin on one input; waits while all places are taken."""
        self._queue.start_async({0: array[None]}, key)

    def finished(self) -> list[tuple[Any, Outputs]]:
        """Key and outputs of what was finished since this was last asked, in any order."""
        return [self._done.popleft() for _ in range(len(self._done))]

    def wait(self) -> None:
        """Return when all that was started is finished."""
        self._queue.wait_all()

    def map(self, inputs: Iterable[NDArray[np.uint8]]) -> Iterator[Outputs]:
        """The outputs of each input, in their order, a few at a time."""
        early: dict[int, Outputs] = {}
        told = 0
        try:
            for number, array in enumerate(inputs):
                self.start(number, array)
                early.update(self.finished())
                while told in early:
                    yield early.pop(told)
                    told += 1
        finally:
            self.wait()
        early.update(self.finished())
        yield from (early[number] for number in sorted(early))


def _openvino() -> Any:
    # Left alone it would report each import to Google Analytics, from a forked process that exit waits for.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
