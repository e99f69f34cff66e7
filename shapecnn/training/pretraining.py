"""Layer-wise pre-training without labels: each layer of a network is a restricted Boltzmann machine (RBM).

The first layer learns to reconstruct the input of the network. Each later layer learns to reconstruct the output of the
layer before it, whose weights no longer change (Hinton, Osindero, Teh 2006; for grids Wu et al., CVPR 2015). The random
generators are seeded by layer and epoch, so that the same seed gives the same weights.
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
from shapecnn.training.boltzmann import Rbm, contrastive_divergence
from shapecnn.workers.progress import Progress, no_progress

if TYPE_CHECKING:
    from accelerate import Accelerator

_MEASURED = 256  # largest number of training or held-out examples on which an epoch is measured
_DEVIATION = 0.01  # standard deviation of initial weights (Hinton: A Practical Guide to Training RBMs, 2010)
_SPARSITY_WEIGHT = 1.0


@dataclass(frozen=True, slots=True)
class LayerEpoch:
    """Result of one epoch of a layer, measured after it on at most 256 training and 256 held-out views or grids.

    The free energies of different layers or epochs cannot be compared. But if the free energy of the held-out shapes
    rises further and further above that of the training shapes, the layer overfits.

    Attributes:
        layer: Name of the part of the network that contains the layer.
        epoch: Number of the epoch of this layer, from 1.
        reconstruction_error: Mean squared error per visible unit, in [0, 1], of reconstructed training shapes.
        free_energy: Mean free energy of the training shapes.
        held_out_reconstruction_error: The same error for the held-out shapes; None if no shapes are held out.
        held_out_free_energy: Mean free energy of the held-out shapes; None if no shapes are held out.
        activation: Mean probability, in [0, 1], that a hidden unit is on, over the training shapes.
        seconds: Time of the epoch, in seconds.
    """

    layer: str
    epoch: int
    reconstruction_error: float
    free_energy: float
    held_out_reconstruction_error: float | None
    held_out_free_energy: float | None
    activation: float
    seconds: float

    def __str__(self) -> str:
        error, energy = f"{self.reconstruction_error:.4f}", f"{self.free_energy:.1f}"
        if self.held_out_reconstruction_error is not None:
            error += f" (held-out {self.held_out_reconstruction_error:.4f})"
            energy += f" (held-out {self.held_out_free_energy:.1f})"
        return f"reconstruction error {error}, free energy {energy}"


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
    """Train each convolution and fully connected layer of a network as an RBM, in place, from new random weights.

    Each view or grid is an example of its own. Memory holds one batch at a time.

    Args:
        stage: Settings of the pre-training.
        network: Network whose parts are layers with sigmoid activation, or have no weights. Its classifier is not
            trained.
        activations: Views or grids of N shapes, the input of the first part. The parts must see them in [0, 1].
        rows: (M,) int64, indices from 0 to N - 1 of the shapes to train on.
        val_rows: (L,) int64, indices of the held-out shapes; may be empty.
        accelerator: Accelerate object with device and processes. Precision is always float32.
        seed: Numbers that seed the random generators, together with those of layer and epoch.
        progress: Callback after each step. It gets two numbers: finished steps, and all steps of the stage.
        say: Callback with a message after each epoch.

    Returns:
        The results of all epochs: of the first layer, then of the second, and so on.

    Raises:
        ValueError: The network has a part with weights that is not one layer with sigmoid activation.
        TrainingError: A weight became infinite or NaN.
    """
    network.eval()
    layers = _layers(network)
    train, held_out = (_examples(activations, chosen) for chosen in (rows, val_rows))
    random = np.random.default_rng([*seed, 0])
    measured = [random.permutation(examples)[:_MEASURED] for examples in (train, held_out)]
    batches = math.ceil(len(train) / stage.batch)
    records = []
    with torch.no_grad():
        for number, layer in enumerate(layers):
            source = _Source(network, layer, activations, accelerator, stage.batch)
            learner = _Learner(stage, layer, source, train, [*seed, number + 1])
            for epoch in range(stage.epochs):
                clock = time.monotonic()
                done = (number * stage.epochs + epoch) * batches
                for step in learner.train_epoch(train, epoch):
                    progress(done + step, len(layers) * stage.epochs * batches)
                record = _record(layer.name, epoch + 1, learner.rbm, source, measured, clock)
                records.append(record)
                say(f"{layer.name}, epoch {epoch + 1} of {stage.epochs}: {record} ({record.seconds:.0f} s)")
    return records


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer to train, in part ``part`` of a network (from 0); ``before`` holds the modules before it in the part."""

    name: str
    part: int
    before: nn.Sequential
    module: nn.Conv3d | nn.Linear


def _layers(network: ShapeNetwork) -> list[_Layer]:
    """Return the layers to train, in the order of the network; raise ValueError if a part cannot be trained."""
    layers = []
    for number, (name, part) in enumerate(network.parts.items()):
        if not list(part.parameters()):
            continue
        modules = list(part.children())
        places = [i for i, module in enumerate(modules) if isinstance(module, nn.Conv3d | nn.Linear)]
        others = [type(module) for i, module in enumerate(modules[places[0] :]) if i] if len(places) == 1 else []
        if others.count(nn.Sigmoid) != 1 or not {*others} <= {nn.Sigmoid, nn.Identity, nn.Dropout}:
            raise ValueError(f"part {name} is not one convolution or fully connected layer with sigmoid activation")
        layer = modules[places[0]]
        assert isinstance(layer, nn.Conv3d | nn.Linear)
        layers.append(_Layer(name, number, nn.Sequential(*modules[: places[0]]), layer))
    return layers


def _examples(activations: Activations, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return all views or grids of some shapes: (E, 2) int64, the index of the shape and the number of the view."""
    views = activations.views_per_shape
    return np.stack([np.repeat(rows, views), np.tile(np.arange(views), len(rows))], axis=1).astype(np.int64)


class _Source:
    """Computes the visible units of a layer: the output of the earlier layers, for examples (E, 2) of shape and view.

    Args:
        network: The network, in evaluation mode.
        layer: The layer.
        activations: The inputs of the network.
        accelerator: Accelerate object with the device.
        batch: Largest number of examples to compute at a time.
    """

    def __init__(
        self, network: ShapeNetwork, layer: _Layer, activations: Activations, accelerator: Accelerator, batch: int
    ) -> None:
        self.network, self.layer, self.activations, self.batch = network, layer, activations, batch
        self.accelerator = accelerator

    def visible(self, examples: NDArray[np.int64]) -> Tensor:
        """Compute the visible units (E, *v*) float32 of E examples at once, on the device."""
        inputs = self.activations.batch(examples[:, 0], views=examples[:, 1]).to(self.accelerator.device)
        output: Tensor = self.layer.before(self.network.stem(inputs, stop=self.layer.part).flatten(0, 1))
        return output

    def batches(self, examples: NDArray[np.int64]) -> Iterator[Tensor]:
        """Yield the visible units (B, *v*) of all examples, in nearly equal batches."""
        yield from map(self.visible, np.array_split(examples, math.ceil(len(examples) / self.batch)))


class _Learner:
    """Trains one layer as an RBM, by stochastic gradient ascent along the direction of contrastive divergence.

    The initial weights are small, and the hidden biases 0. The initial visible biases are the log odds of the mean of
    the training examples, so that the weights need not learn this mean (Hinton 2010).

    Args:
        stage: Settings of the pre-training.
        layer: The layer.
        source: Visible units of the layer.
        examples: (E, 2) int64, the shapes and views of the training examples.
        seed: Numbers that seed the random generators.
    """

    def __init__(
        self, stage: RbmStage, layer: _Layer, source: _Source, examples: NDArray[np.int64], seed: Sequence[int]
    ) -> None:
        self.stage, self.layer, self.source, self.seed = stage, layer, source, seed
        total = sum(batch.sum(dim=0) for batch in source.batches(examples))
        assert isinstance(total, Tensor)
        self.rbm = Rbm(layer.module, total.shape)
        weight, bias, visible_bias = layer.module.weight, layer.module.bias, self.rbm.visible_bias
        weight.copy_(_DEVIATION * torch.randn(weight.shape, generator=_generator(seed, torch.device("cpu"))))
        nn.init.zeros_(bias)
        mean = (total + 1) / (len(examples) + 2)  # strictly between 0 and 1
        visible_bias.copy_(mean.logit())
        groups = [{"params": [weight], "weight_decay": stage.weight_decay}, {"params": [bias, visible_bias]}]
        self._optimizer = torch.optim.SGD(groups, stage.learning_rate, momentum=stage.momentum)

    def train_epoch(self, examples: NDArray[np.int64], number: int) -> Iterator[int]:
        """Train for one epoch, and yield the number of finished steps after each step.

        Raises:
            TrainingError: A weight became infinite or NaN.
        """
        accelerator, seed = self.source.accelerator, [*self.seed, number + 1]
        order = np.random.default_rng(seed).permutation(examples)
        processes, rank = accelerator.num_processes, accelerator.process_index
        generator = _generator([*seed, rank], accelerator.device)
        for step, whole in enumerate(np.array_split(order, math.ceil(len(order) / self.stage.batch)), start=1):
            share = whole[rank::processes] if len(whole) >= processes else whole
            self._step(self.source.visible(share), generator)
            yield step
        if not all(tensor.isfinite().all() for tensor in (self.layer.module.weight, self.rbm.visible_bias)):
            raise TrainingError(
                f"Weights became infinite or NaN in epoch {number + 1} of layer {self.layer.name} in stage "
                f"{self.stage.name}. Start a new training in another --out folder, with "
                f"--set stages.{self.stage.name}.learning_rate={self.stage.learning_rate / 10:g}."
            )

    def _step(self, data: Tensor, generator: torch.Generator) -> None:
        """Change the RBM after one batch of visible units (B, *v*), the same in all processes."""
        change = contrastive_divergence(self.rbm, data, self.stage.steps, generator)
        bias = change.hidden_bias
        if self.stage.sparsity is not None:
            bias = bias + _SPARSITY_WEIGHT * (self.stage.sparsity - change.activation)
        parameters = (self.layer.module.weight, self.layer.module.bias, self.rbm.visible_bias)
        for parameter, direction in zip(parameters, (change.weight, bias, change.visible_bias), strict=True):
            whole = direction
            if self.source.accelerator.num_processes > 1:
                whole = self.source.accelerator.reduce(direction, "mean")
            parameter.grad = -whole  # the optimizer descends
        self._optimizer.step()
        self._optimizer.zero_grad()


def _generator(seed: Sequence[int], device: torch.device) -> torch.Generator:
    """Return a random generator on a device, seeded with several numbers."""
    generator = torch.Generator(device)
    return generator.manual_seed(int(np.random.default_rng(seed).integers(1 << 62)))


def _record(
    name: str, epoch: int, rbm: Rbm, source: _Source, measured: Sequence[NDArray[np.int64]], clock: float
) -> LayerEpoch:
    """Measure an RBM on some training examples and on some held-out examples, which may be empty."""
    (error, energy, activation), held_out = (_measure(rbm, source, examples) for examples in measured)
    seconds = round(time.monotonic() - clock, 3)
    return LayerEpoch(name, epoch, error, energy, held_out[0], held_out[1], activation, seconds)


def _measure(rbm, source, examples):
    if not len(examples): return (None,)*3
    rows = []
    for v in source.batches(examples):
        h = rbm.hidden(v)
        rows.append(torch.stack([rbm.reconstruction_error(v), rbm.free_energy(v), h.flatten(1).mean(1)], 1))
    return torch.cat(rows).double().mean(0).tolist()
