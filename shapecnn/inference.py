"""From pictures to features, on the fastest engine there is: CUDA through torch, OpenVINO on a CPU, else torch on the
CPU.

bfloat16 is used where the processor computes in it. The network is converted for OpenVINO once and kept in the user's
cache folder; from then on neither torch nor timm is imported.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections import deque
from collections.abc import Hashable
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import platformdirs
from numpy.typing import NDArray
from pydantic import Field

from shapecnn import pool
from shapecnn.config import Fit, Renderer, Settings, Up, ViewCount, ViewSettings
from shapecnn.errors import UsageError
from shapecnn.networks.weights import DEFAULT_BACKBONE, Weights, native_size, weights_version
from shapecnn.storage import sha256, write_atomic

if TYPE_CHECKING:
    from shapecnn.networks.mvcnn import MVCNN

Device = Literal["auto", "cpu", "cuda"]
Pictures = NDArray[np.uint8]
Feature = NDArray[np.float32]


class ImagenetSettings(Settings):
    """``@imagenet``: a network trained on pictures, its view features pooled, nothing trained on shapes."""

    kind: Literal["imagenet"] = "imagenet"
    drawing: Literal[1] = 1  # as in ViewSettings: other pixels are other features
    backbone: str = DEFAULT_BACKBONE
    weights: Weights = "imagenet"
    pooling: Literal["max", "mean"] = "max"
    views: ViewCount = 12
    size: int = Field(224, ge=32, le=1024)
    samples: int = Field(2, ge=1, le=8)
    fit: Fit = "sphere"
    renderer: Renderer = "raster"
    up: Up = "z"

    @classmethod
    def from_assignments(cls, up: str, assignments: dict[str, Any]) -> ImagenetSettings:
        """The settings with ``--set`` values; the picture size is the backbone's own unless set."""
        size = native_size(str(assignments.get("backbone", DEFAULT_BACKBONE)))
        return cls.from_options(**{"up": up, "size": size, **assignments})

    def view_settings(self, up: Up | None = None) -> ViewSettings:
        """How to draw what this model sees; ``up`` replaces that of the settings."""
        return ViewSettings(
            drawing=self.drawing,
            views=self.views,
            size=self.size,
            samples=self.samples,
            fit=self.fit,
            renderer=self.renderer,
            up=up or self.up,
        )

    def build(self) -> MVCNN:
        """The network itself, in float32, ready to infer; without ImageNet weights the same random ones every time.

        Raises UsageError if the backbone is unknown or takes no pictures of this size, WeightsError if its weights
        cannot be had.
        """
        import torch

        from shapecnn.networks.backbones import build_backbone
        from shapecnn.networks.mvcnn import MVCNN

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            backbone = build_backbone(self.backbone, self.weights)
        network = MVCNN(backbone, self.pooling).eval()
        try:
            with torch.inference_mode():
                network(torch.zeros((1, 1, self.size, self.size), dtype=torch.uint8))
        except (RuntimeError, AssertionError, ValueError) as error:  # some take one size, some pool small maps away
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise UsageError(
                f"{self.backbone} takes no pictures of {self.size} pixels ({reason}). "
                f"It was trained on {backbone.size}: --set size={backbone.size}"
            ) from None
        return network


class Engine(Protocol):
    """Computes features of many shapes, several at a time."""

    description: dict[str, str]
    """engine, precision and device: what to record beside the features."""

    def start(self, key: Hashable, pictures: Pictures) -> None:
        """Begin on the pictures (V, S, S) uint8 of one shape; waits while all places are taken."""

    def finished(self) -> list[tuple[Any, Feature]]:
        """(key, L2-normalized feature (D,) float32) of what was finished since this was last asked."""

    def wait(self) -> None:
        """Return when all that was started is finished."""


def require_device(device: Device) -> None:
    """Raise UsageError if CUDA is asked for and absent: to be called before any work."""
    if device == "cuda" and not _has_cuda():
        raise UsageError("--device cuda: torch sees no CUDA device here; use --device cpu or auto.")


def open_engine(settings: ImagenetSettings, device: Device = "auto") -> Engine:
    """The fastest engine for this model on this machine.

    Raises UsageError if CUDA is asked for and absent or the model cannot be built, WeightsError if the weights cannot
    be had.
    """
    require_device(device)
    if device == "cuda" or (device == "auto" and _has_cuda()):
        return TorchEngine(settings, "cuda")
    if util.find_spec("openvino") is not None:
        return OpenVinoEngine(settings)
    return TorchEngine(settings, "cpu")


class OpenVinoEngine:
    """OpenVINO on the CPU."""

    def __init__(self, settings: ImagenetSettings, threads: int | None = None) -> None:
        openvino = _openvino()
        core = openvino.Core()
        precision = "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_NUM_THREADS": threads or pool.available_cores(),
        }
        graph, weights = _converted(settings)
        compiled = core.compile_model(core.read_model(graph, weights), "CPU", options)
        self._done: deque[tuple[Hashable, Feature]] = deque()  # filled by OpenVINO's threads
        self._queue = openvino.AsyncInferQueue(compiled)
        self._queue.set_callback(self._collect)
        self.description = {
            "engine": f"openvino {metadata.version('openvino')}",
            "precision": {"bf16": "bfloat16", "f32": "float32"}[precision],
            "device": "cpu",
        }

    def _collect(self, request: Any, key: Hashable) -> None:
        self._done.append((key, _normalized(request.get_output_tensor(0).data[0])))

    def start(self, key: Hashable, pictures: Pictures) -> None:
        """Begin on one shape; waits while all places are taken."""
        self._queue.start_async({0: pictures[None]}, key)

    def finished(self) -> list[tuple[Any, Feature]]:
        """What was finished since this was last asked."""
        return [self._done.popleft() for _ in range(len(self._done))]

    def wait(self) -> None:
        """Return when all that was started is finished."""
        self._queue.wait_all()


class TorchEngine:
    """torch, on a GPU or where OpenVINO is not installed."""

    def __init__(self, settings: ImagenetSettings, device: Literal["cpu", "cuda"], threads: int | None = None) -> None:
        import torch

        if threads:
            torch.set_num_threads(threads)
        self._torch = torch
        self._network = settings.build().to(device).to(memory_format=torch.channels_last)
        self._device = device
        self._reduced = (
            torch.cuda.is_bf16_supported(including_emulation=False) if device == "cuda" else _cpu_has_bfloat16()
        )
        self._done: list[tuple[Hashable, Feature]] = []
        self.description = {
            "engine": f"torch {torch.__version__}",
            "precision": "bfloat16" if self._reduced else "float32",
            "device": device,
        }

    def start(self, key: Hashable, pictures: Pictures) -> None:
        """Compute the feature of one shape."""
        torch = self._torch
        with torch.inference_mode(), torch.autocast(self._device, torch.bfloat16, enabled=self._reduced):
            feature = self._network(torch.from_numpy(pictures[None]).to(self._device))
        self._done.append((key, _normalized(feature[0].float().cpu().numpy())))

    def finished(self) -> list[tuple[Any, Feature]]:
        """What was finished since this was last asked."""
        done, self._done = self._done, []
        return done

    def wait(self) -> None:
        """Nothing is ever under way."""


def _normalized(feature: NDArray[Any]) -> Feature:
    length = float(np.linalg.norm(feature))
    return np.array(feature / length if length > 0 else feature, np.float32)


def _has_cuda() -> bool:
    """Whether there is an NVIDIA driver, told without importing torch, which takes a second."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return False
    if not (Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists() or os.name == "nt"):
        return False
    import torch

    return torch.cuda.is_available()


def _cpu_has_bfloat16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _openvino() -> Any:
    # Left alone it would report each import to Google Analytics, from a forked process that exit waits for.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _converted(settings: ImagenetSettings) -> tuple[bytes, bytes]:
    """The network in OpenVINO's format, graph and weights, from the cache or converted now.

    One file holds both behind their hash, so that nothing damaged, and no mixture of two conversions, is ever used.
    """
    identity = [
        weights_version(settings.backbone, settings.weights),
        f"{settings.views} views of {settings.size} pixels, {settings.pooling}",
        *(f"{package} {metadata.version(package)}" for package in ("shapecnn", "openvino")),
    ]
    name = sha256("\n".join(identity).encode())[:32]
    path = Path(platformdirs.user_cache_dir("shapecnn")) / "engines" / name
    with contextlib.suppress(OSError):
        digest, _, content = path.read_bytes().partition(b"\n")
        if digest == sha256(content).encode():
            graph, _, weights = content.partition(b"\0")
            return graph, weights
    graph, weights = _convert(settings)
    content = graph + b"\0" + weights  # the graph is XML, which knows no NUL
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time and nothing else
        write_atomic(path, sha256(content).encode() + b"\n" + content)
    return graph, weights


def _convert(settings: ImagenetSettings) -> tuple[bytes, bytes]:
    import torch

    openvino = _openvino()
    views = torch.zeros((1, settings.views, settings.size, settings.size), dtype=torch.uint8)
    network = settings.build()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        model = openvino.convert_model(torch.export.export(network, (views,)))
    model.reshape(list(views.shape))
    with tempfile.TemporaryDirectory() as scratch:
        openvino.save_model(model, Path(scratch) / "model.xml", compress_to_fp16=False)
        return (Path(scratch) / "model.xml").read_bytes(), (Path(scratch) / "model.bin").read_bytes()
