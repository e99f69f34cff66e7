"""Activations of each stage of a training: opened once in a sitting, computed only where they are not on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from shapecnn.networks.network import ShapeNetwork
from shapecnn.settings.experiment import Stage
from shapecnn.storage.reading import sha256
from shapecnn.storage.unfinished import RESUME
from shapecnn.training.activations import Activations, encoder, open_activations
from shapecnn.training.data import TrainingData
from shapecnn.training.parts import activation_stage, start_part
from shapecnn.workers.progress import ProgressBar

if TYPE_CHECKING:
    from accelerate import Accelerator


class StageActivations:
    """Opens the activations that a stage trains on.

    Args:
        data: The shapes, and how the network sees them.
        network: The network that is trained.
        accelerator: Sets device, precision and processes.
        out: Folder of the run; activations are kept in its ``resume`` folder.
        bar: Shows how many shapes are done.
    """

    def __init__(
        self, data: TrainingData, network: ShapeNetwork, accelerator: Accelerator, out: Path, bar: ProgressBar
    ) -> None:
        self.data, self.network, self.accelerator, self.out, self.bar = data, network, accelerator, out, bar
        self._cache: dict[Path, Activations] = {}  # files whose hash was checked in this sitting

    def open(self, stage: Stage) -> Activations:
        """Open the activations that enter the first part that a stage trains.

        They are computed unless they are on disk. Where the whole network is trained, a shape has one grid, without
        the quarter turns that vote.

        Args:
            stage: A stage of the experiment.

        Returns:
            The activations of all shapes, in the order of ``data.entries``.
        """
        accelerator, network_input = self.accelerator, self.data.input
        start = start_part(self.network, self.data.experiment, stage)
        source = activation_stage(self.data.experiment, stage)
        flip = source is not None and source.augment.flip and start > 0
        path = self._path(start, flip)
        task = "activations" if start else "reading"
        with accelerator.main_process_first(), self.bar(task, "shapes") as progress:
            if path not in self._cache:
                self._cache[path] = open_activations(
                    path,
                    self.data.artefacts,
                    self.data.entries,
                    network_input if start else replace(network_input, turns=1),
                    encoder(self.network, start, accelerator) if start else None,
                    flip,
                    progress,
                )
            return self._cache[path]

    def _path(self, start: int, flip: bool) -> Path:
        """File whose name is a hash of all that decides the activations: weights, precision and input settings."""
        frozen = list(self.network.parts.values())[:start]
        weights = [tensor.cpu().numpy().tobytes() for part in frozen for tensor in part.state_dict().values()]
        settings = f"{start} {flip} {self.accelerator.mixed_precision} {self.data.input.to_json()['hash']}"
        digest = sha256(b"".join([settings.encode(), *weights]))
        return self.out / RESUME / f"activations-{digest[:16]}.npy"
