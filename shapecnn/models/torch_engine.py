"""Engine that runs a network with torch, on a GPU or on a CPU without OpenVINO."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal

import numpy as np

from shapecnn.models.device import cpu_has_bfloat16
from shapecnn.models.input import InputArray
from shapecnn.models.model import Model
from shapecnn.models.output import Output
from shapecnn.models.scores import require_finite, scores_of, value_of


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
        from shapecnn.networks.network import memory_layout

        self._network = model.network.build().to(device).to(memory_format=memory_layout(model.input.kind))
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
        require_finite(self._model, feature_array)
        scores = value = None
        if self._model.quantity is not None:
            value = value_of(self._model, float(logit_array[0]))
        elif logit_array.size:
            scores = scores_of(self._model, logit_array)
        self._outputs.append((key, Output(feature_array, scores, views[0] if views else None, value=value)))

    def finished(self) -> list[tuple[Any, Output]]:
        """Return the key, as given to :meth:`start`, and the output of each shape that finished since the last call."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def wait(self) -> None:
        """Return at once, because :meth:`start` has already waited for each output."""
