"""Restricted Boltzmann machines (RBM) of binary units, and contrastive divergence, which trains them without labels.

An RBM has visible units v, which are the input of a layer of a network, and hidden units h, which are its output. With
weights W, hidden biases b and visible biases c, its energy is E(v, h) = −h·(W v) − b·h − c·v. The probability of v is
proportional to the sum of exp(−E(v, h)) over all h. In a convolutional RBM, W v is a convolution: all positions of a
filter share its weights and its hidden bias. Each visible unit has its own bias.

Sources: Hinton: Training Products of Experts by Minimizing Contrastive Divergence, 2002. Lee, Grosse, Ranganath, Ng:
Convolutional Deep Belief Networks, ICML 2009. Hinton: A Practical Guide to Training RBMs, 2010. Wu et al.: 3D
ShapeNets, CVPR 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional, grad

from shapecnn.settings.stages import RbmStage
from shapecnn.training.processes import Share

_DEVIATION = 0.01  # standard deviation of the initial weights (Hinton 2010)
_SPARSITY_RATE = 1.0  # learning rate of the penalty for sparsity, relative to the learning rate of the stage


class Rbm:
    """RBM whose weights and hidden biases are those of a layer of a network; training the RBM trains the layer.

    In the shapes of tensors, B is the number of examples in a batch, *v* the shape of the visible units of an example,
    and *h* the shape of its hidden units. For a fully connected layer, *v* and *h* are single numbers. For a
    convolution, they are (C, X, Y, Z): X × Y × Z cells with C channels, which are the filters in the hidden layer.

    Args:
        layer: Fully connected layer, or convolution without groups, with padding by zeros; with bias.
        visible: Shape *v* of the visible units.

    Raises:
        ValueError: The layer is of another kind.

    Example:
        >>> rbm = Rbm(nn.Conv3d(1, 48, kernel_size=6, stride=2), (1, 30, 30, 30))
        >>> rbm.hidden(torch.zeros(2, 1, 30, 30, 30)).shape
        torch.Size([2, 48, 13, 13, 13])
        >>> rbm.visible(torch.zeros(2, 48, 13, 13, 13)).shape
        torch.Size([2, 1, 30, 30, 30])
    """

    def __init__(self, layer: nn.Conv3d | nn.Linear, visible: Sequence[int]) -> None:
        if layer.bias is None:
            raise ValueError("an RBM needs a layer with bias")
        if isinstance(layer, nn.Conv3d) and not (
            layer.groups == 1 and layer.padding_mode == "zeros" and isinstance(layer.padding, tuple)
        ):
            raise ValueError("an RBM needs a convolution without groups, whose padding is a number of zeros")
        self.layer, self.hidden_bias = layer, layer.bias
        self.visible_bias = layer.weight.new_zeros(tuple(visible))

    def hidden(self, visible: Tensor) -> Tensor:
        """Compute the probabilities that the hidden units are on, (B, *h*), given visible units (B, *v*) in [0, 1]."""
        probabilities: Tensor = self.layer(visible).sigmoid()
        return probabilities

    def visible(self, hidden: Tensor) -> Tensor:
        """Compute the probabilities that the visible units are on, (B, *v*), given hidden units (B, *h*) in [0, 1]."""
        layer = self.layer
        if isinstance(layer, nn.Linear):
            total = hidden @ layer.weight
        else:  # the transpose of a convolution is its gradient by the input; cells that no filter covers get 0
            size = (len(hidden), *self.visible_bias.shape)
            conv3d_input: Any = grad.conv3d_input  # has no type annotations
            total = conv3d_input(size, layer.weight, hidden, layer.stride, layer.padding, layer.dilation)
        return (total + self.visible_bias).sigmoid()

    def energy(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Compute the energy (B,) of visible units (B, *v*) together with hidden units (B, *h*)."""
        return -_sum(self.layer(visible) * hidden) - _sum(visible * self.visible_bias)

    def free_energy(self, visible: Tensor) -> Tensor:
        """Compute the free energy (B,) of visible units (B, *v*): −log Σ exp(−E(v, h)), summed over all h."""
        return -_sum(functional.softplus(self.layer(visible))) - _sum(visible * self.visible_bias)

    def reconstruction_error(self, visible: Tensor) -> Tensor:
        """Compute the mean squared error per visible unit (B,), in [0, 1], of the reconstruction of units (B, *v*).

        The reconstruction is computed from the probabilities of the hidden units, without samples.
        """
        return (self.visible(self.hidden(visible)) - visible).square().flatten(1).mean(dim=1)

    def correlate(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Sum the products of hidden and visible units over all pairs that share a weight, and over the batch.

        Args:
            visible: (B, *v*), visible units or their probabilities.
            hidden: (B, *h*), hidden units or their probabilities.

        Returns:
            The sums, in the shape of the weights: minus the gradient of the energy by the weights.
        """
        layer = self.layer
        if isinstance(layer, nn.Linear):
            return hidden.T @ visible
        size = layer.weight.shape
        conv3d_weight: Any = grad.conv3d_weight  # has no type annotations
        sums: Tensor = conv3d_weight(visible, size, hidden, layer.stride, layer.padding, layer.dilation)
        return sums

    def nonempty(self, visible: Tensor) -> Tensor:
        """Return which hidden units have a receptive field that is not empty: one of its visible units is above 0.

        Args:
            visible: (B, *v*), visible units in [0, 1].

        Returns:
            0 or 1, in the type of ``visible``: (B, 1), or (B, 1, X, Y, Z) for each position of the filters.
        """
        layer = self.layer
        if isinstance(layer, nn.Linear):
            return visible.any(dim=1, keepdim=True).to(visible.dtype)
        ones = visible.new_ones((1, 1, *layer.kernel_size))
        total = visible.sum(dim=1, keepdim=True)
        inside = functional.conv3d(total, ones, None, layer.stride, layer.padding, layer.dilation)
        return (inside > 0).to(visible.dtype)


@dataclass(frozen=True, slots=True)
class Divergence:
    """Direction in which contrastive divergence changes an RBM: an estimate of the gradient of the log probability.

    Attributes:
        weight: Change of the weights, in their shape.
        hidden_bias: Change of the hidden biases, in their shape.
        visible_bias: Change of the visible biases, in their shape.
        activation: Mean probability of each hidden unit or filter given the data, in the shape of the hidden biases.
    """

    weight: Tensor
    hidden_bias: Tensor
    visible_bias: Tensor
    activation: Tensor


def contrastive_divergence(
    rbm: Rbm, data: Tensor, steps: int, generator: torch.Generator, share: Share | None = None
) -> Divergence:
    """Compare data with what the RBM makes of them in a few steps of Gibbs sampling (CD-k).

    Hidden units are sampled. Visible units take their probabilities instead, which reduces the noise (Hinton 2010).
    Hidden units whose receptive field is empty are left out, as in 3D ShapeNets: most of a grid is empty, and would
    distract the filters. Weights and hidden biases are averaged over the examples and the positions of a filter,
    visible biases over the examples. The same learning rate therefore suits layers of different sizes.

    Args:
        rbm: The RBM.
        data: (B, *v*) in [0, 1], the visible units of B examples.
        steps: Number k of Gibbs steps, at least 1.
        generator: Random generator of the samples, on the device of the data, in the same state in all processes.
        share: Which part of the whole batch the data is, if several processes divide it; None for the whole batch.

    Returns:
        The difference between the statistics of the data and those after the last step.
    """
    add_up = share.add_up if share else lambda tensor: tensor
    size, own = (share.size, share.own) if share else (len(data), slice(None))
    positive = negative = rbm.hidden(data)
    visible = data
    for _ in range(steps):
        noise = torch.rand((size, *negative.shape[1:]), generator=generator, device=negative.device)[own]
        visible = rbm.visible((noise < negative).to(negative.dtype))
        negative = rbm.hidden(visible)
    nonempty = rbm.nonempty(data)
    count = add_up(nonempty.sum()).clamp(min=1)
    positive, negative = positive * nonempty, negative * nonempty
    units = [axis for axis in range(positive.ndim) if axis != 1]
    activation = add_up(positive.sum(dim=units)) / count
    return Divergence(
        add_up(rbm.correlate(data, positive) - rbm.correlate(visible, negative)) / count,
        activation - add_up(negative.sum(dim=units)) / count,
        add_up((data - visible).sum(dim=0)) / size,
        activation,
    )


class RbmDescent:
    """Trains an RBM by stochastic gradient descent, with contrastive divergence in place of the gradient.

    The weights learn from centred inputs: the mean of the data is subtracted from the visible units, and the hidden
    biases make up for it (Montavon, Müller: Deep Boltzmann Machines and the Centering Trick, 2012). Otherwise the part
    that all examples have in common dominates the gradient, and gradually turns off units with thousands of inputs. For
    a convolution, the mean is that of a channel over all positions, also those in empty windows.

    Args:
        rbm: The RBM.
        stage: Settings of learning rate, momentum, weight decay, Gibbs steps and sparsity.
    """

    def __init__(self, rbm: Rbm, stage: RbmStage) -> None:
        self.rbm, self.stage = rbm, stage
        weight = rbm.layer.weight
        self._mean = torch.zeros_like(weight[0])  # mean of the visible unit that each weight of a hidden unit reads
        self._centred_bias = torch.zeros_like(rbm.hidden_bias)  # hidden biases for centred inputs
        weights: dict[str, Any] = {"params": [weight], "weight_decay": stage.weight_decay}
        groups = [weights, {"params": [self._centred_bias, rbm.visible_bias]}]
        self._optimizer = torch.optim.SGD(groups, stage.learning_rate, momentum=stage.momentum)

    def initialize(self, mean: Tensor, generator: torch.Generator) -> None:
        """Draw small weights, and set the biases so that the RBM models the mean of the data, and no more.

        Args:
            mean: Mean of the visible units over the data, in their shape *v*, between 0 and 1.
            generator: Random generator of the weights, on the CPU, so that they are the same on all devices.
        """
        weight = self.rbm.layer.weight
        weight.copy_(_DEVIATION * torch.randn(weight.shape, generator=generator))
        self.rbm.visible_bias.copy_(mean.logit())
        # A weight of a convolution reads one channel at many positions.
        self._mean.copy_(mean if mean.ndim == 1 else mean.mean(dim=(1, 2, 3), keepdim=True).expand_as(self._mean))
        self._centred_bias.zero_()
        self._set_hidden_bias()

    def step(self, data: Tensor, generator: torch.Generator, share: Share | None = None) -> None:
        """Change weights and biases after one batch, in all processes alike.

        If the settings have a target for the sparsity, the bias of each unit or filter also moves so that its mean
        activation approaches the target (Lee, Ekanadham, Ng: Sparse Deep Belief Net Model for Visual Area V2, 2007).

        Args:
            data: (B, *v*) in [0, 1], the visible units of B examples; each process has its own.
            generator: Random generator of the samples, on the device of the data, in the same state in all processes.
            share: Which part of the whole batch the data is, if several processes divide it; None for the whole batch.
        """
        rbm, target = self.rbm, self.stage.sparsity
        divergence = contrastive_divergence(rbm, data, self.stage.steps, generator, share)
        weight = divergence.weight - torch.tensordot(divergence.hidden_bias[:, None], self._mean[None], dims=1)
        bias = divergence.hidden_bias
        if target is not None:
            bias = bias + _SPARSITY_RATE * (target - divergence.activation)
        changes = [
            (rbm.layer.weight, weight),
            (self._centred_bias, bias),
            (rbm.visible_bias, divergence.visible_bias),
        ]
        for parameter, change in changes:
            parameter.grad = -change
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._set_hidden_bias()

    def _set_hidden_bias(self) -> None:
        """Compute the hidden biases for inputs from which no mean is subtracted."""
        self.rbm.hidden_bias.copy_(self._centred_bias - (self.rbm.layer.weight * self._mean).flatten(1).sum(dim=1))


def _sum(units: Tensor) -> Tensor:
    """Sum all numbers of each example: (B, ...) to (B,)."""
    return units.flatten(1).sum(dim=1)
