"""Collect the filters of a model, and the places in shapes that excite each filter most."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError
from shapecnn.filters.fields import Fields, parts_of, receptive_fields
from shapecnn.filters.layers import CLASSIFIER, Layer, default_layers, network_layers, observe
from shapecnn.filters.results import Filter, FilterLayer, LearnedFilters, Place, Shapes
from shapecnn.filters.saliency import with_saliency
from shapecnn.filters.strongest import Strongest, strongest_place
from shapecnn.models.device import Device, require_device, runs_on_cuda
from shapecnn.models.input import InputArray
from shapecnn.models.model import Model, classes_of
from shapecnn.models.scores import require_finite
from shapecnn.networks.network import ShapeNetwork, memory_layout
from shapecnn.shared.checks import require_choice, require_count
from shapecnn.workers.progress import Progress, no_progress, stage


def learned_filters(
    model: Model,
    artefacts: Artefacts,
    *,
    layers: Sequence[str] = (),
    split: Shapes = "train",
    top: int = 9,
    filters: int = 16,
    saliency: bool = True,
    device: Device = "auto",
    progress: Progress = no_progress,
) -> LearnedFilters:
    """Collect the filters of a model, and for each filter the shapes and places with the strongest activations.

    The network sees each shape once. Memory does not grow with the number of shapes: only the strongest activations of
    each filter are kept.

    Args:
        model: A trained run, or another model with a network.
        artefacts: Views or grids of the shapes to look at.
        layers: Names of layers, such as ``conv1``; none for the first convolution and all maps of later convolutions.
            For a network without convolutions, none selects the layer that reads the pixels or cells.
        split: Shapes to look at: ``train``, ``val`` or ``test`` of the model, or ``all`` shapes of ``artefacts``.
        top: Largest number of shapes for each filter.
        filters: Largest number of filters to collect of each layer: those with the strongest activations.
        saliency: Whether to compute the saliency of the strongest place of each of these filters.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``.
        progress: Callback that receives the number of finished shapes and the number of all shapes.

    Returns:
        The filters of each layer.

    Raises:
        UsageError: The model has no filters or no layer of such a name, or there are no shapes in the split.
        MismatchError: The artefacts were made with other settings than the training data of the model.
        StoredDataError: The artefacts or the model are damaged.
    """
    require_device(device)
    require_choice("split", split, Literal["train", "val", "test", "all"])
    require_count("top", top)
    require_count("filters", filters)
    if model.network.descriptor is not None:
        raise UsageError(
            f"{model.name} computes the descriptor {model.network.descriptor}, which has no filters: use a run with a "
            f"network."
        )
    model.input.require(artefacts, model.name)
    entries = list(artefacts.entries) if split == "all" else model.split(artefacts, split)
    if not entries:
        raise UsageError(f"{artefacts.folder} has no shapes in the split {split}: choose another --split, such as all.")
    shape = model.input.read(artefacts, entries[0]).shape[1:]
    with stage("Loading the network"):
        network = model.network.build().requires_grad_(False).to(memory_format=memory_layout(model.input.kind))
        selection = _choose(model, network_layers(network, shape), layers)
        fields = receptive_fields(network, selection, shape)
    network = network.to("cuda" if runs_on_cuda(device) else "cpu")
    lists = {layer.name: Strongest(layer.count, top) for layer in selection}
    for number, entry in enumerate(entries):
        progress(number, len(entries))
        _add(model, network, selection, lists, number, model.input.read(artefacts, entry))
    progress(len(entries), len(entries))
    results = [
        _layer(model, layer, lists[layer.name], fields.get(layer.name), shape, entries, filters) for layer in selection
    ]
    if saliency:
        results = with_saliency(model, network, artefacts, selection, results)
    return LearnedFilters(
        model.name,
        str(artefacts.folder),
        split,
        model.input.kind,
        shape[0],
        len(entries),
        tuple(results),
        partial(model.input.read, artefacts),
    )


def shown_layers(model: Model, shape: tuple[int, ...]) -> list[str]:
    """Return the names of the layers that :func:`learned_filters` shows if none is named; empty if there are none.

    Args:
        model: A trained run, or another model.
        shape: Size of a view (S, S) in pixels, or of a grid (N, N, N) in cells.
    """
    if model.network.descriptor is not None:
        return []
    return [layer.name for layer in default_layers(network_layers(model.network.build(), shape))]


def _choose(model: Model, layers: Sequence[Layer], names: Sequence[str]) -> list[Layer]:
    by_name = {layer.name: layer for layer in layers}
    for name in names:
        if name not in by_name:
            close = difflib.get_close_matches(name, by_name, n=1)
            hint = f"Did you mean {close[0]}? The" if close else "The"
            raise UsageError(f"--layer {name}: {model.name} has no such layer. {hint} layers are {', '.join(by_name)}.")
    if names:
        return [layer for layer in layers if layer.name in names]
    selection = default_layers(layers)
    if not selection:
        raise UsageError(
            f"{model.name} has no convolution, and no weights on pixels or cells to show: name one of its layers by "
            f"--layer ({', '.join(by_name)})."
        )
    return selection


def _add(
    model: Model,
    network: ShapeNetwork,
    layers: Sequence[Layer],
    lists: dict[str, Strongest],
    number: int,
    array: InputArray,
) -> None:
    """Run the network on the views or grids of one shape, and add its strongest places to the lists of all layers."""
    device = next(network.parameters()).device
    best: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = defaultdict(list)

    for part in parts_of(len(array), array.shape[1:]):
        inputs = torch.from_numpy(np.ascontiguousarray(array[part])).to(device)

        def note(module: str, outputs: Tensor, first: int = part.start) -> None:
            activation, view, position = strongest_place(outputs)
            best[module].append((activation, view + first, position))

        with torch.no_grad():
            observe(network, [layer.module for layer in layers], inputs, note)
    for layer in layers:
        activations, views, positions = (torch.stack(each) for each in zip(*best[layer.module], strict=True))
        strongest, run = activations.max(dim=0, keepdim=True)
        values = strongest[0].float().cpu().numpy()
        require_finite(model, values)
        view, position = (torch.gather(each, 0, run)[0].cpu().numpy() for each in (views, positions))
        lists[layer.name].add(number, values, view, position)


def _layer(
    model: Model,
    layer: Layer,
    strongest: Strongest,
    fields: Fields | None,
    shape: tuple[int, ...],
    entries: Sequence[Entry],
    filters: int,
) -> FilterLayer:
    """Return a layer with its filters of the strongest activations, or with the first units if it is the classifier."""
    whole = tuple((0, side) for side in shape)
    best = strongest.activations[:, 0]
    outputs = classes_of(model) if model.quantity is None else (model.quantity.target,)
    labels = outputs if layer.module == CLASSIFIER else ()
    if labels:
        numbers, dead = np.arange(layer.count), np.zeros(0, np.int64)
    else:
        numbers = np.argsort(-best, kind="stable")
        numbers, dead = numbers[best[numbers] > 0], np.flatnonzero(best <= 0)

    def place(number: int, rank: int) -> Place:
        position = int(strongest.positions[number, rank])
        return Place(
            entries[int(strongest.shapes[number, rank])],
            int(strongest.views[number, rank]),
            fields.box(position) if fields else whole,
            float(strongest.activations[number, rank]),
            position,
        )

    count = min(strongest.activations.shape[1], len(entries))
    return FilterLayer(
        layer.name,
        layer.count,
        tuple(
            Filter(number, labels[number] if labels else None, tuple(place(number, rank) for rank in range(count)))
            for number in numbers[:filters].tolist()
        ),
        tuple(dead.tolist()),
        None if fields is None or fields.size == shape else fields.size,
        layer.weights,
        layer.own_weights,
        layer.clipped,
        tuple(labels),
    )
