"""Saliency of a place: what each pixel or cell adds to the activation of a filter there."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from shapecnn.filters.layers import Layer, observe
from shapecnn.networks.network import ShapeNetwork


def place_saliency(
    network: ShapeNetwork, layer: Layer, filter_: int, position: int, array: NDArray[np.uint8], blank: int
) -> NDArray[np.float32]:
    """Compute gradient × input of one activation: the gradient times the difference to an empty view or grid.

    For a linear filter, the sum over all pixels is the activation minus the activation of an empty view.

    Args:
        network: The network, in evaluation mode.
        layer: Layer of the network.
        filter_: Number of the filter in the layer.
        position: Position of the activation in the flattened map of the filter; 0 for a layer without maps.
        array: View (S, S) or grid (N, N, N), uint8.
        blank: Value of the pixels of an empty view, or of the cells of an empty grid.

    Returns:
        Saliency of each pixel or cell, float32 of the shape of ``array``.
    """
    device = next(network.parameters()).device
    inputs = torch.from_numpy(array.astype(np.float32))[None].to(device).requires_grad_()
    activations = []
    observe(network, [layer.module], inputs, lambda _, output: activations.append(output.clone()))
    (gradient,) = torch.autograd.grad(activations[0][0, filter_].reshape(-1)[position], inputs)
    saliency: NDArray[np.float32] = (gradient * (inputs.detach() - blank))[0].cpu().numpy()
    return saliency
