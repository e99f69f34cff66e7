"""Activations for each stage of a training: read from disk if stored there, computed otherwise."""

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
    """Cache of the activations that the stages of a training use as input, in memory and in the folder ``resume``.

    Args:
        data: Shapes, artefacts and experiment of the training.
        network: The network in training.
        accelerator: Accelerate object with device, precision and processes.
        out: Folder of the run, with the folder ``resume``.
        bar: Progress bar that counts shapes.
    """

    def __init__(
        self, data: TrainingData, network: ShapeNetwork, accelerator: Accelerator, out: Path, bar: ProgressBar
    ) -> None:
        self.data, self.network, self.accelerator, self.out, self.bar = data, network, accelerator, out, bar
        self._cache: dict[Path, Activations] = {}  # activations by file, whose hash this process has checked

    def open(self, stage: Stage) -> Activations:
        """Open the activations that enter the first trained part of a stage; compute them if they are not on disk.

        If the whole network is trained, a shape has a single grid, without the rotations that are averaged in the end.

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
        """Return the path of an activation file, named by a hash of frozen weights, precision and input settings."""
        frozen = list(self.network.parts.values())[:start]
        weights = [tensor.cpu().numpy().tobytes() for part in frozen for tensor in part.state_dict().values()]
        settings = f"{start} {flip} {self.accelerator.mixed_precision} {self.data.input.to_json()['hash']}"
        digest = sha256(b"".join([settings.encode(), *weights]))
        return self.out / RESUME / f"activations-{digest[:16]}.npy"
