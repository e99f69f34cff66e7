"""From pictures or grids to features and scores, on the fastest engine there is: CUDA through torch, OpenVINO on a
CPU, else torch on the CPU.

bfloat16 is used where the processor computes in it. The network is converted for OpenVINO once and kept
(:mod:`shapecnn.models.engine_cache`); from then on neither torch nor timm is imported.
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
from shapecnn.settings.artefacts import VoxelSettings
from shapecnn.workers.progress import stage

Device = Literal["auto", "cpu", "cuda"]


class Engine(Protocol):
    """Computes the outputs of many shapes, several at a time."""

    description: dict[str, str]
    """engine, precision and device: what to record beside the features."""

    def start(self, key: Hashable, array: InputArray) -> None:
        """Begin on one shape, uint8: its pictures (V, S, S) or grids (R, N, N, N); waits while all places are taken."""

    def finished(self) -> list[tuple[Any, Output]]:
        """Key and output of what was finished since this was last asked."""

    def wait(self) -> None:
        """Return when all that was started is finished."""


def require_device(device: Device) -> None:
    """Raise UsageError if CUDA is asked for and absent: to be called before any work."""
    if device == "cuda" and not has_cuda():
        raise UsageError("--device cuda: torch sees no CUDA device here; use --device cpu or auto.")


def open_engine(model: Model, device: Device = "auto", *, views: bool = False) -> Engine:
    """The fastest engine for this model on this machine.

    views: whether its outputs have ``views``.

    Raises UsageError if CUDA is asked for and absent or the model cannot be built, WeightsError if the weights cannot
    be had, StoredDataError if those of a run are damaged.
    """
    require_device(device)
    with stage("Making the network ready"):
        if runs_on_cuda(device):
            return TorchEngine(model, "cuda", views=views)
        if conversion.available():
            return OpenVinoEngine(model, views=views)
        return TorchEngine(model, "cpu", views=views)


class OpenVinoEngine:
    """OpenVINO on the CPU."""

    def __init__(self, model: Model, threads: int | None = None, *, views: bool = False) -> None:
        self._model, self._threads, self._views = model, threads, views
        self._classifier = model.head.classifier() if model.head else None
        self._earlier: list[tuple[Any, Output]] = []
        self._open(_shape_of(model))
        self.description = self._queue.description

    def _open(self, shape: tuple[int, ...]) -> None:
        """Make ready for shapes seen in so many pictures or grids."""
        converted = _converted(self._model, shape, self._views)
        self._shape, self._queue = shape, conversion.Queue(*converted, threads=self._threads)

    def _output(self, feature: Feature, views: Feature | None = None) -> Output:
        _require_numbers(self._model, feature)
        if self._classifier is None:
            return Output(feature, None, views)
        return Output(feature, _scores(self._model, self._classifier.logits(feature)), views)

    def start(self, key: Hashable, array: InputArray) -> None:
        """Begin on one shape; waits while all places are taken."""
        if array.shape != self._shape:
            self.wait()
            self._earlier += self.finished()
            self._open(array.shape)
        self._queue.start(key, array)

    def finished(self) -> list[tuple[Any, Output]]:
        """What was finished since this was last asked."""
        earlier, self._earlier = self._earlier, []
        return earlier + [(key, self._output(*tensors)) for key, tensors in self._queue.finished()]

    def wait(self) -> None:
        """Return when all that was started is finished."""
        self._queue.wait()


class TorchEngine:
    """torch, on a GPU or where OpenVINO is not installed."""

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
        self._done: list[tuple[Hashable, Output]] = []
        self.description = {
            "engine": f"torch {torch.__version__}",
            "precision": "bfloat16" if self._reduced else "float32",
            "device": device,
        }

    def start(self, key: Hashable, array: InputArray) -> None:
        """Compute the output of one shape."""
        torch = self._torch
        with torch.inference_mode(), torch.autocast(self._device, torch.bfloat16, enabled=self._reduced):
            activations = self._network.stem(torch.from_numpy(np.ascontiguousarray(array[None])).to(self._device))
            logits, feature = self._network.head(self._network.pool(activations))
            tensors = (feature, logits, *([self._network.alone(activations)] if self._views else []))
        numbers, decisions, *views = (tensor[0].float().cpu().numpy() for tensor in tensors)
        _require_numbers(self._model, numbers)
        scores = _scores(self._model, decisions) if decisions.size else None
        self._done.append((key, Output(numbers, scores, views[0] if views else None)))

    def finished(self) -> list[tuple[Any, Output]]:
        """What was finished since this was last asked."""
        done, self._done = self._done, []
        return done

    def wait(self) -> None:
        """Nothing is ever under way."""


def _scores(model: Model, logits: Feature) -> Feature:
    """(C,) probabilities, by the model's calibration if it has one."""
    _require_numbers(model, logits)
    return probabilities(logits, temperature_of(model)).astype(np.float32)


def _require_numbers(model: Model, computed: Feature) -> None:
    """Raise StoredDataError if the weights, which may be anybody's, lead to infinity or no numbers."""
    if not np.isfinite(computed).all():
        raise StoredDataError(
            f"The network of {model.name} gives what is no number. Its weights are damaged or its training went "
            f"astray: put it back from a copy, or use another model."
        )


def _shape_of(model: Model) -> tuple[int, ...]:
    """Of what the model sees of a shape, as it was trained: (V, S, S) or (R, N, N, N)."""
    settings, side = model.input.drawing(), model.input.side
    if isinstance(settings, VoxelSettings):
        return (settings.rotations if settings.rotations > 1 else model.input.turns, side, side, side)
    return settings.views, side, side


def runs_on_cuda(device: Device) -> bool:
    """Whether that device, or the one chosen by ``auto``, is a GPU."""
    return device == "cuda" or (device == "auto" and has_cuda())


def has_cuda() -> bool:
    """Whether there is an NVIDIA driver, told without importing torch, which takes a second."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return False
    if not (Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists() or os.name == "nt"):
        return False
    import torch

    return torch.cuda.is_available()


def cpu_has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _converted(model: Model, shape: tuple[int, ...], views: bool) -> tuple[bytes, bytes]:
    """The network in OpenVINO's format, graph and weights, from the cache or converted now."""
    parts = [model.network.identity, " × ".join(map(str, shape)) + " and each alone" * views]
    key = engine_cache.key(*parts)
    kept = engine_cache.load(key)
    if kept is None:
        kept = _convert(model, shape, views)
        engine_cache.store(key, *kept)
    return kept


def _convert(model: Model, shape: tuple[int, ...], views: bool) -> tuple[bytes, bytes]:
    from shapecnn.networks.network import FeaturesAlone

    return conversion.convert(FeaturesAlone(model.network.build(), views).eval(), shape)
