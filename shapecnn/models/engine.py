"""Inference engines: compute features and class scores of views or grids, with torch on a GPU or OpenVINO on a CPU.

On a CPU without OpenVINO, torch is used. Engines compute in bfloat16 if the processor supports it. A network is
converted for OpenVINO once and cached (:mod:`shapecnn.models.engine_cache`). Later commands then import neither torch
nor timm, which saves seconds.
"""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from shapecnn.errors import StoredDataError, UsageError
from shapecnn.models import conversion, engine_cache
from shapecnn.models.calibration import probabilities
from shapecnn.models.input import InputArray
from shapecnn.models.model import Model, temperature_of
from shapecnn.models.output import Feature, Output
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.shared.checks import require_choice
from shapecnn.workers.progress import stage

Device = Literal["auto", "cpu", "cuda"]


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


def require_device(device: Device) -> None:
    """Raise UsageError if this machine does not have the device.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UsageError: The device is ``cuda``, and torch finds no CUDA device.
    """
    require_choice("device", device, Device)
    if device == "cuda" and not has_cuda():
        raise UsageError("--device cuda: torch finds no CUDA device on this machine. Use --device cpu or auto.")


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
    with stage("Loading the network"):
        if runs_on_cuda(device):
            return TorchEngine(model, "cuda", views=views)
        if conversion.available():
            return OpenVinoEngine(model, views=views)
        return TorchEngine(model, "cpu", views=views)


class OpenVinoEngine:
    """Engine that runs a network with OpenVINO on the CPU.

    Args:
        model: Model whose network the engine runs.
        threads: Number of threads; None for one thread per core.
        views: Whether outputs also contain a separate feature for each view or rotation.

    Attributes:
        description: Dictionary with ``engine`` (name and version of OpenVINO), ``precision`` and ``device``.
    """

    def __init__(self, model: Model, threads: int | None = None, *, views: bool = False) -> None:
        self._model, self._threads, self._views = model, threads, views
        self._classifier = model.head.classifier() if model.head else None
        self._outputs: list[tuple[Any, Output]] = []
        self._open(_trained_shape(model))
        self.description = self._queue.description

    def _open(self, shape: tuple[int, ...]) -> None:
        """Compile the network for arrays of one shape.

        Args:
            shape: (V, S, S) for V views of S pixels a side, or (R, N, N, N) for R grids of N cells a side.
        """
        converted = _converted(self._model, shape, self._views)
        self._shape, self._queue = shape, conversion.Queue(*converted, threads=self._threads)

    def _output(self, feature: Feature, views: Feature | None = None) -> Output:
        _require_finite(self._model, feature)
        if self._classifier is None:
            return Output(feature, None, views)
        return Output(feature, _scores(self._model, self._classifier.logits(feature)), views)

    def start(self, key: Hashable, array: InputArray) -> None:
        """Start the network on one shape, as soon as the queue has room for it; do not wait for the output."""
        if array.shape != self._shape:
            self.wait()
            self._outputs += self.finished()
            self._open(array.shape)
        self._queue.start(key, array)

    def finished(self) -> list[tuple[Any, Output]]:
        """Return the key, as given to :meth:`start`, and the output of each shape that finished since the last call."""
        outputs, self._outputs = self._outputs, []
        return outputs + [(key, self._output(*tensors)) for key, tensors in self._queue.finished()]

    def wait(self) -> None:
        """Block until all started shapes are finished."""
        self._queue.wait()


class TorchEngine:
    """Engine that runs a network with torch, on a GPU or on a CPU without OpenVINO.

    Args:
        model: Model whose network the engine runs.
        device: ``cpu`` or ``cuda``.
        threads: Number of threads of torch; None leaves it unchanged.
        views: Whether outputs also contain a separate feature for each view or rotation.

    Attributes:
        description: Dictionary with ``engine`` (name and version of torch), ``precision`` and ``device``.
    """

    def __init__(
        self, model: Model, device: Literal["cpu", "cuda"], threads: int | None = None, *, views: bool = False
    ) -> None:
        import torch

        if threads:
            torch.set_num_threads(threads)
        self._torch = torch
        channels_last = torch.channels_last if model.input.kind == "views" else torch.channels_last_3d
        self._network = model.network.build().to(device).to(memory_format=channels_last)
        self._model, self._device, self._views = model, device, views
        self._reduced = (
            torch.cuda.is_bf16_supported(including_emulation=False) if device == "cuda" else cpu_has_bfloat16()
        )
        self._outputs: list[tuple[Hashable, Output]] = []
        self.description = {
            "engine": f"torch {torch.__version__}",
            "precision": "bfloat16" if self._reduced else "float32",
            "device": device,
        }

    def start(self, key: Hashable, array: InputArray) -> None:
        """Run the network on one shape, and wait until the output is ready."""
        torch = self._torch
        with torch.inference_mode(), torch.autocast(self._device, torch.bfloat16, enabled=self._reduced):
            activations = self._network.stem(torch.from_numpy(np.ascontiguousarray(array[None])).to(self._device))
            logits, feature = self._network.head(self._network.pool(activations))
            tensors = (feature, logits, *([self._network.alone(activations)] if self._views else []))
        feature_array, logit_array, *views = (tensor[0].float().cpu().numpy() for tensor in tensors)
        _require_finite(self._model, feature_array)
        scores = _scores(self._model, logit_array) if logit_array.size else None
        self._outputs.append((key, Output(feature_array, scores, views[0] if views else None)))

    def finished(self) -> list[tuple[Any, Output]]:
        """Return the key, as given to :meth:`start`, and the output of each shape that finished since the last call."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def wait(self) -> None:
        """Return at once, because :meth:`start` has already waited for each output."""


def _scores(model: Model, logits: Feature) -> Feature:
    """Return the probabilities (C,) of C classes: the softmax of the logits (C,) divided by the temperature."""
    _require_finite(model, logits)
    return probabilities(logits, temperature_of(model)).astype(np.float32)


def _require_finite(model: Model, values: Feature) -> None:
    """Raise StoredDataError if outputs of the network are infinite or NaN, which damaged weights can cause."""
    if not np.isfinite(values).all():
        raise StoredDataError(
            f"The network of {model.name} computes infinite values or NaN: its weights are damaged, or its training "
            f"diverged. Restore the model from a copy, or use another model."
        )


def _trained_shape(model: Model) -> tuple[int, ...]:
    """Return the size of a training input: V views (V, S, S) of S × S pixels, or R grids (R, N, N, N) of N³ cells."""
    settings, side = model.input.drawing(), model.input.side
    if isinstance(settings, VoxelSettings):
        return (settings.rotations if settings.rotations > 1 else model.input.turns, side, side, side)
    return settings.views, side, side


def runs_on_cuda(device: Device) -> bool:
    """Return whether a device name selects the GPU: ``cuda``, or ``auto`` on a machine with an NVIDIA GPU.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
    """
    return device == "cuda" or (device == "auto" and has_cuda())


def has_cuda() -> bool:
    """Return whether torch can use an NVIDIA GPU; without a driver, return False before the slow import of torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return False
    if not (Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists() or os.name == "nt"):
        return False
    import torch

    return torch.cuda.is_available()


def cpu_has_bfloat16() -> bool:
    """Return whether the processor has bfloat16 instructions, according to ``/proc/cpuinfo``."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


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
