"""Saliency of a place: what each pixel or cell adds to the activation of a filter there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from shapecnn.artefacts.reading import Artefacts
from shapecnn.filters.layers import Layer, observe
from shapecnn.filters.results import FilterLayer
from shapecnn.models.model import Model
from shapecnn.networks.network import ShapeNetwork
from shapecnn.views.raster import BACKGROUND
from shapecnn.workers.progress import stage


def with_saliency(
    model: Model, network: ShapeNetwork, artefacts: Artefacts, layers: Sequence[Layer], results: Sequence[FilterLayer]
) -> list[FilterLayer]:
    """Return results to which the saliency of the strongest place of each filter is added. Each shape is read once.

    Args:
        model: The model.
        network: Network of the model.
        artefacts: Views or grids of the shapes.
        layers: Layers of the network.
        results: Filters of these layers, in the same order.
    """
    filters = [list(layer.filters) for layer in results]
    entries = {}
    by_shape = defaultdict(list)  # index of the layer and index of the filter, by the id of the shape
    for row, layer_filters in enumerate(filters):
        for column, one in enumerate(layer_filters):
            entry = one.strongest[0].entry
            entries[entry.id] = entry
            by_shape[entry.id].append((row, column))
    blank = BACKGROUND if model.input.kind == "views" else 0
    with stage("Computing the saliency") as progress:
        for number, (name, indices) in enumerate(by_shape.items()):
            progress(number, len(by_shape))
            array = model.input.read(artefacts, entries[name])
            for row, column in indices:
                one = filters[row][column]
                place = one.strongest[0]
                heat = place_saliency(network, layers[row], one.number, place.position, array[place.view], blank)
                inside = tuple(slice(*ends) for ends in place.box)
                filters[row][column] = replace(one, saliency=heat[inside].copy())
    return [replace(layer, filters=tuple(each)) for layer, each in zip(results, filters, strict=True)]


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
