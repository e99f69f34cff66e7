"""Restricted Boltzmann machines (RBM) of binary units, and contrastive divergence, which trains them without labels.

An RBM has visible units v, which are the input of a layer of a network, and hidden units h, which are its output. With
weights W, hidden biases b and visible biases c, its energy is E(v, h) = −h·(W v) − b·h − c·v. The probability of v is
proportional to the sum of exp(−E(v, h)) over all h. In a convolutional RBM, W v is a convolution: all positions of a
filter share its weights and its hidden bias. Each visible unit has its own bias.

Sources: Hinton: Training Products of Experts by Minimizing Contrastive Divergence, 2002. Lee, Grosse, Ranganath, Ng:
Convolutional Deep Belief Networks, ICML 2009. Wu et al.: 3D ShapeNets, CVPR 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


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
        self.layer = layer
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
            total = nn.grad.conv3d_input(size, layer.weight, hidden, layer.stride, layer.padding, layer.dilation)
        return (total + self.visible_bias).sigmoid()

    def energy(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Compute the energy (B,) of visible units (B, *v*) together with hidden units (B, *h*)."""
        return -_sum(self.layer(visible) * hidden) - _sum(visible * self.visible_bias)

    def free_energy(self, visible: Tensor) -> Tensor:
        """Compute the free energy (B,) of visible units (B, *v*): −log Σ exp(−E(v, h)), summed over all h."""
        return -_sum(functional.softplus(self.layer(visible))) - _sum(visible * self.visible_bias)

    def reconstruction_error(self, visible: Tensor) -> Tensor:
        """Compute the mean squared error per visible unit (B,), in [0, 1], when visible units (B, *v*) are reconstructed.

        The hidden probabilities are computed from the visible units, and from these the reconstruction. No unit is
        sampled.
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
        sums: Tensor = nn.grad.conv3d_weight(visible, size, hidden, layer.stride, layer.padding, layer.dilation)
        return sums

    def informed(self, visible: Tensor) -> Tensor:
        """Return which hidden units have a visible unit above 0 in their receptive field.

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


def contrastive_divergence(rbm: Rbm, data: Tensor, steps: int, generator: torch.Generator) -> Divergence:
    """Compare data with what the RBM makes of them in a few steps of Gibbs sampling (CD-k).

    Hidden units are sampled. Visible units take their probabilities instead, which reduces the sampling noise (Hinton:
    A Practical Guide to Training RBMs, 2010). Hidden units whose receptive field is empty are left out, as in 3D
    ShapeNets: most of a grid is empty and would distract the filters. Weights and hidden biases are averaged over the
    examples and the positions of a filter, visible biases over the examples. So a learning rate suits grids of any
    size.

    Args:
        rbm: The RBM.
        data: (B, *v*) in [0, 1], the visible units of B examples.
        steps: Number k of Gibbs steps, at least 1.
        generator: Random generator of the samples, on the device of the data.

    Returns:
        The difference between the statistics of the data and those after the last step.
    """
    positive = negative = rbm.hidden(data)
    visible = data
    for _ in range(steps):
        noise = torch.rand(negative.shape, generator=generator, device=negative.device)
        visible = rbm.visible((noise < negative).to(negative.dtype))
        negative = rbm.hidden(visible)
    informed = rbm.informed(data)
    count = informed.sum().clamp(min=1)
    positive, negative = positive * informed, negative * informed
    units = [axis for axis in range(positive.ndim) if axis != 1]
    activation = positive.sum(dim=units) / count
    return Divergence(
        (rbm.correlate(data, positive) - rbm.correlate(visible, negative)) / count,
        activation - negative.sum(dim=units) / count,
        (data - visible).mean(dim=0),
        activation,
    )


def _sum(units: Tensor) -> Tensor:
    """Sum all numbers of each example: (B, ...) to (B,)."""
    return units.flatten(1).sum(dim=1)
