"""Layer-wise pre-training without labels: each layer of a network is a restricted Boltzmann machine (RBM).

The first layer learns to reconstruct the input of the network. Each later layer learns to reconstruct the output of the
layer before it, whose weights no longer change (Hinton, Osindero, Teh: A Fast Learning Algorithm for Deep Belief Nets,
2006; for grids Wu et al.: 3D ShapeNets, CVPR 2015).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapecnn.errors import TrainingError
from shapecnn.networks.network import ShapeNetwork
from shapecnn.settings.stages import RbmStage
from shapecnn.training.activations import Activations
from shapecnn.training.boltzmann import Rbm, RbmDescent
from shapecnn.training.processes import Share, add_up
from shapecnn.workers.progress import Progress, no_progress

if TYPE_CHECKING:
    from accelerate import Accelerator

_MEASURED = 256  # largest number of training examples, and of held-out examples, on which each epoch is measured


@dataclass(frozen=True, slots=True)
class RbmFigures:
    """How well an RBM reconstructs shapes and how probable it finds them: means over at most 256 examples.

    An example is one view or grid. Free energies of different layers or epochs cannot be compared. But if the free
    energy of held-out shapes rises further and further above that of training shapes, the layer overfits.

    Attributes:
        reconstruction_error: Mean squared error per visible unit, in [0, 1].
        free_energy: Free energy of an example; the lower, the more probable.
        activation: Probability that a hidden unit is on, in [0, 1], averaged over the hidden units too.
    """

    reconstruction_error: float
    free_energy: float
    activation: float


@dataclass(frozen=True, slots=True)
class LayerEpoch:
    """Result of one epoch of one layer.

    Attributes:
        layer: Name of the part of the network that contains the layer.
        epoch: Number of the epoch of this layer, from 1.
        train: Figures of training shapes, after the epoch.
        val: Figures of held-out shapes, after the epoch; None if no shapes are held out.
        seconds: Duration of the epoch, in seconds.
    """

    layer: str
    epoch: int
    train: RbmFigures
    val: RbmFigures | None
    seconds: float

    def describe(self, epochs: int) -> str:
        """Return the result as text for a message, for a layer that is trained for ``epochs`` epochs.

        Example:
            >>> LayerEpoch("conv1", 2, RbmFigures(0.0311, -1234.5, 0.1), None, 3.2).describe(10)
            'conv1, epoch 2 of 10: reconstruction error 0.0311, free energy -1234.5 (3 s)'
        """
        error, energy = f"{self.train.reconstruction_error:.4f}", f"{self.train.free_energy:.1f}"
        if self.val is not None:
            error += f" (held-out {self.val.reconstruction_error:.4f})"
            energy += f" (held-out {self.val.free_energy:.1f})"
        text = f"reconstruction error {error}, free energy {energy}"
        return f"{self.layer}, epoch {self.epoch} of {epochs}: {text} ({self.seconds:.0f} s)"


def pretrain(
    stage: RbmStage,
    network: ShapeNetwork,
    activations: Activations,
    rows: NDArray[np.int64],
    val_rows: NDArray[np.int64],
    accelerator: Accelerator,
    seed: Sequence[int],
    progress: Progress = no_progress,
    say: Callable[[str], None] = lambda _: None,
) -> list[LayerEpoch]:
    """Train the convolutions and fully connected layers of a network as RBMs, in place, from new random weights.

    The layers are trained one after the other. Each view or grid is an example of its own. The random generators are
    seeded by layer and epoch, so that the same seed gives the same weights. Memory holds only one batch at a time. All
    computations are in float32.

    Args:
        stage: Settings of the pre-training.
        network: Network in which each part with weights is one layer, followed by a sigmoid. Its classifier is not
            changed.
        activations: Views or grids of N shapes: the inputs of the network. Its first layer must get values in [0, 1].
        rows: (M,) int64, indices of the shapes to train on, from 0 to N - 1.
        val_rows: (L,) int64, indices of the held-out shapes; L may be 0.
        accelerator: Accelerate object with device and processes.
        seed: Numbers that seed the random generators.
        progress: Callback after each step. It gets two numbers: finished steps, and all steps of the stage.
        say: Callback with a message after each epoch.

    Returns:
        The results of all epochs of the first layer, then of the second layer, and so on.

    Raises:
        ValueError: A part of the network has weights, but is not one layer followed by a sigmoid.
        TrainingError: A weight became infinite or NaN.
    """
    network.eval()
    layers = _layers(network)
    train, val = (_examples(activations, indices) for indices in (rows, val_rows))
    random = np.random.default_rng([*seed, 0])
    samples = [random.permutation(examples)[:_MEASURED] for examples in (train, val)]
    steps = math.ceil(len(train) / stage.batch)
    records = []
    with torch.no_grad():
        for number, layer in enumerate(layers):
            source = _Source(network, layer, activations, accelerator.device, stage.batch)
            learner = _Learner(stage, layer, source, train, accelerator, [*seed, number + 1])
            for epoch in range(stage.epochs):
                clock = time.monotonic()
                for step in learner.train_epoch(epoch):
                    progress((number * stage.epochs + epoch) * steps + step, len(layers) * stage.epochs * steps)
                figures, val_figures = (_measure(learner.rbm, source, sample) for sample in samples)
                assert figures is not None
                seconds = round(time.monotonic() - clock, 3)
                record = LayerEpoch(layer.name, epoch + 1, figures, val_figures, seconds)
                records.append(record)
                say(record.describe(stage.epochs))
    return records


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer to train: ``module``, in part number ``part`` of a network, after the modules ``before`` in this part."""

    name: str
    part: int
    before: nn.Sequential
    module: nn.Conv3d | nn.Linear


def _layers(network: ShapeNetwork) -> list[_Layer]:
    """Return the layers to train, in the order of the network. Raise ValueError if a part cannot be trained."""
    layers = []
    for number, (name, part) in enumerate(network.parts.items()):
        if not any(True for _ in part.parameters()):
            continue
        modules = list(part.children())
        places = [place for place, module in enumerate(modules) if isinstance(module, nn.Conv3d | nn.Linear)]
        after = [type(module) for module in modules[places[0] + 1 :]] if len(places) == 1 else []
        if after.count(nn.Sigmoid) != 1 or not {*after} <= {nn.Sigmoid, nn.Identity, nn.Dropout}:
            raise ValueError(f"part {name} is not one convolution or fully connected layer followed by a sigmoid")
        module = modules[places[0]]
        assert isinstance(module, nn.Conv3d | nn.Linear)
        layers.append(_Layer(name, number, nn.Sequential(*modules[: places[0]]), module))
    return layers


def _examples(activations: Activations, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return all views or grids of some shapes: (E, 2) int64, the index of the shape and the number of the view."""
    views = np.arange(activations.views_per_shape)
    return np.stack([np.repeat(rows, len(views)), np.tile(views, len(rows))], axis=1).astype(np.int64)


class _Source:
    """Visible units of a layer: the output of the earlier layers for examples, computed in batches.

    Args:
        network: The network, in evaluation mode.
        layer: The layer.
        activations: Inputs of the network.
        device: Device that computes.
        batch: Largest number of examples in a batch.
    """

    def __init__(
        self, network: ShapeNetwork, layer: _Layer, activations: Activations, device: torch.device, batch: int
    ) -> None:
        self.network, self.layer, self.activations, self.device, self.batch = network, layer, activations, device, batch

    def visible(self, examples: NDArray[np.int64]) -> Tensor:
        """Compute the visible units (B, ...) float32 of one batch (B, 2) of shapes and views."""
        inputs = self.activations.batch(examples[:, 0], views=examples[:, 1]).to(self.device)
        units: Tensor = self.layer.before(self.network.stem(inputs, stop=self.layer.part).flatten(0, 1))
        return units

    def split(self, examples: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Split examples (E, 2) into batches of nearly equal size."""
        return np.array_split(examples, math.ceil(len(examples) / self.batch))


class _Learner:
    """Trains one layer as an RBM.

    Args:
        stage: Settings of the pre-training.
        layer: The layer.
        source: Visible units of the layer.
        train: (E, 2) int64, shapes and views of the training examples.
        accelerator: Accelerate object with device and processes.
        seed: Numbers that seed the random generators, together with the number of the epoch.
    """

    def __init__(
        self,
        stage: RbmStage,
        layer: _Layer,
        source: _Source,
        train: NDArray[np.int64],
        accelerator: Accelerator,
        seed: Sequence[int],
    ) -> None:
        self.stage, self.layer, self.source, self.train = stage, layer, source, train
        self.accelerator, self.seed = accelerator, seed
        batches = source.split(train)
        own = batches[accelerator.process_index :: accelerator.num_processes]
        total = source.visible(own[0] if own else train[:0]).sum(dim=0)
        for batch in own[1:]:
            total += source.visible(batch).sum(dim=0)
        total = add_up(accelerator, total) + 1  # as if there were one more example of 0, and one of 1
        mean = total / (len(train) + 2)
        self.rbm = Rbm(layer.module, total.shape)
        self._descent = RbmDescent(self.rbm, stage)
        self._descent.initialize(mean, _generator([*seed, 0], torch.device("cpu")))

    def train_epoch(self, number: int) -> Iterator[int]:
        """Train for one epoch, number ``number`` from 0, and yield the number of finished steps after each step.

        Raises:
            TrainingError: A weight became infinite or NaN.
        """
        seed = [*self.seed, number + 1]
        generator = _generator([*seed, 0], self.accelerator.device)
        order = np.random.default_rng(seed).permutation(self.train)
        for step, batch in enumerate(self.source.split(order), start=1):
            share = Share(self.accelerator, len(batch))
            self._descent.step(self.source.visible(batch[share.own]), generator, share)
            yield step
        rbm = self.rbm
        if not all(tensor.isfinite().all() for tensor in (rbm.layer.weight, rbm.hidden_bias, rbm.visible_bias)):
            raise TrainingError(
                f"Weights became infinite or NaN in epoch {number + 1} of layer {self.layer.name} in stage "
                f"{self.stage.name}. Start a new training in another --out folder, with "
                f"--set stages.{self.stage.name}.learning_rate={self.stage.learning_rate / 10:g}."
            )


def _generator(seed: Sequence[int], device: torch.device) -> torch.Generator:
    """Return a random generator on a device, seeded with several numbers."""
    return torch.Generator(device).manual_seed(int(np.random.default_rng(seed).integers(1 << 62)))


def _measure(rbm: Rbm, source: _Source, examples: NDArray[np.int64]) -> RbmFigures | None:
    """Compute the figures of an RBM on examples (E, 2) of shapes and views; None if there are none."""
    if not len(examples):
        return None
    figures = []
    for batch in source.split(examples):
        visible = source.visible(batch)
        activation = rbm.hidden(visible).flatten(1).mean(dim=1)
        figures.append(torch.stack([rbm.reconstruction_error(visible), rbm.free_energy(visible), activation]))
    return RbmFigures(*torch.cat(figures, dim=1).double().mean(dim=1).tolist())
