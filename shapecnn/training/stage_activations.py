"""Cache of activations for each training stage, in memory and on disk; see :mod:`shapecnn.training.activations`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from shapecnn.networks.network import ShapeNetwork
from shapecnn.settings.stages import Stage
from shapecnn.storage.reading import sha256
from shapecnn.storage.unfinished import RESUME
from shapecnn.training.activations import Activations, encoder, open_activations
from shapecnn.training.data import TrainingData
from shapecnn.training.parts import activation_stage, start_part
from shapecnn.training.processes import from_first
from shapecnn.workers.progress import ProgressBar

if TYPE_CHECKING:
    from accelerate import Accelerator


class StageActivations:
    """Cache of activations, in memory and in the folder ``resume``.

    The activations of a stage are the inputs of the first network part whose weights the stage changes.

    Args:
        data: Shapes, artefacts (views or grids) and settings of the training.
        network: The network that is being trained.
        accelerator: Accelerate object with device, precision and processes.
        out: Folder of the run, with the folder ``resume``.
        bar: Progress bar that counts shapes.
    """

    def __init__(
        self, data: TrainingData, network: ShapeNetwork, accelerator: Accelerator, out: Path, bar: ProgressBar
    ) -> None:
        self.data, self.network, self.accelerator, self.out, self.bar = data, network, accelerator, out, bar
        self._cache: dict[Path, Activations] = {}  # activation files whose hashes this process has already checked

    def open(self, stage: Stage) -> Activations:
        """Return the inputs of the network part where a training stage begins; compute them if they are not on disk.

        If a stage trains the whole network, the inputs are the views or grids. A single grid of a shape is not rotated
        here; :func:`shapecnn.training.parts.outputs` adds the rotations when it evaluates the network.

        Args:
            stage: A training stage of the experiment.

        Returns:
            The activations of all shapes: first the training shapes, then the held-out shapes.
        """
        accelerator, network_input = self.accelerator, self.data.input
        start = start_part(self.network, self.data.experiment, stage)
        source = activation_stage(self.data.experiment, stage)
        flip = source is not None and source.augment.flip and start > 0
        # Weights of processes on unlike machines may differ in the last bit, and so their hash.
        path = from_first(accelerator, lambda: self._path(start, flip))
        task = "Computing features" if start else "Reading"
        with self.bar(task, "shapes") as progress:
            if path not in self._cache:
                self._cache[path] = open_activations(
                    path,
                    self.data.artefacts,
                    self.data.entries,
                    network_input if start else replace(network_input, turns=1),
                    encoder(self.network, start, accelerator) if start else None,
                    flip,
                    accelerator,
                    progress,
                )
            return self._cache[path]

    def _path(self, start: int, flip: bool) -> Path:
        """Return the path of an activation file. The name contains a hash of frozen weights, precision and settings."""
        frozen = list(self.network.parts.values())[:start]
        weights = [tensor.cpu().numpy().tobytes() for part in frozen for tensor in part.state_dict().values()]
        settings = f"{start} {flip} {self.accelerator.mixed_precision} {self.data.input.to_json()['hash']}"
        digest = sha256(b"".join([settings.encode(), *weights]))
        return self.out / RESUME / f"activations-{digest[:16]}.npy"
