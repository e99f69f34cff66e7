"""Results: the filters of each layer, with the places in shapes that excite them most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.errors import counted
from shapecnn.models.input import InputArray
from shapecnn.models.model import Split
from shapecnn.shared.results import Displayed, text_table

Shapes = Split | Literal["all"]
"""Shapes to look at: a split of the model, or all shapes of the folder."""

Box = tuple[tuple[int, int], ...]
"""Part of a view or grid: for each axis, the index of its first pixel or cell, and the index after its last.

The axes of a view are (row from the top, column); those of a grid are (x, y, z).
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Place in a shape where the activation of a filter is strongest.

    Attributes:
        entry: The shape.
        view: Number of the view, or of the rotation of the grid, from 0.
        box: Part of the view or grid that the activation depends on.
        activation: Strength of the activation.
        position: Position of the activation in the flattened map of the filter; 0 if the filter has no map.
    """

    entry: Entry
    view: int
    box: Box
    activation: float
    position: int = 0


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of a layer, or one unit of a fully connected layer.

    Attributes:
        number: Number of the filter in its layer, from 0.
        label: Class that a unit of the classifier stands for; None for all other filters.
        strongest: The strongest place of each shape, in at most ``top`` shapes, the strongest first.
        saliency: What each pixel or cell in the box of the first place adds to its activation, compared with an empty
            view or grid, in an array of the size of the box, float32; None if it was not computed.
    """

    number: int
    label: str | None
    strongest: tuple[Place, ...]
    saliency: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class FilterLayer:
    """Layer of a network with some of its filters.

    Attributes:
        name: Name of the layer: a part of the network, such as ``conv1``, or ``classifier``.
        count: Number of filters of the layer.
        filters: Filters with the strongest activations, the strongest first; of the classifier, units in the order of
            the classes.
        dead: Numbers of all filters whose activation is above 0 nowhere in the shapes. Empty for the classifier, whose
            activations are logits.
        field: Size of the largest receptive field of an activation, in pixels or cells along each axis; None if it is
            the whole view or grid.
        weights: Weights of all F filters of the layer, float32: (F, C, K, K) of K × K pixels or (F, C, K, K, K) of K³
            cells, for C input channels. None if the filters do not read the views or grids themselves.
        own_weights: Whether a filter has other weights at each position of the view (a locally connected layer). The
            weights of all positions then stand side by side in ``weights``.
        clipped: Whether the activations are those before a function that cuts off large values, such as ReLU6.
        labels: Classes that all units of the classifier stand for, in order; empty for all other layers.
    """

    name: str
    count: int
    filters: tuple[Filter, ...]
    dead: tuple[int, ...]
    field: tuple[int, ...] | None
    weights: NDArray[np.float32] | None = None
    own_weights: bool = False
    clipped: bool = False
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class LearnedFilters(Displayed):
    """Filters of the layers of a network, and the places in a collection that excite them most.

    The result prints as a table. A notebook shows it as a page with pictures.

    Attributes:
        model: Name of the model.
        data: Folder of the views or grids.
        split: Split of the shapes that were looked at: ``train``, ``val``, ``test`` or ``all``.
        kind: ``views`` or ``voxels``.
        side: Pixels along one side of a view, or cells along one side of a grid.
        shapes: Number of shapes that were looked at.
        layers: The layers, from the input to the output of the network.
        read: Function that reads the views or grids of a shape in ``data``.
    """

    model: str
    data: str
    split: str
    kind: Literal["views", "voxels"]
    side: int
    shapes: int
    layers: tuple[FilterLayer, ...]
    read: Callable[[Entry], InputArray] = field(repr=False, compare=False)

    def __repr__(self) -> str:
        """Return a heading and the rows as a text table."""
        return f"{self.heading}\n{text_table(self.rows())}"

    @property
    def heading(self) -> str:
        """The model, the data and the number of shapes in one line of text."""
        split = "" if self.split == "all" else f" of {self.split}"
        return f"{self.model} on {self.data}: {counted(self.shapes, 'shape')}{split}"

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each place: its layer, filter and rank, the shape, the view and the activation."""
        columns = ("layer", "filter", "class", "rank", "id", "label", "view", "activation")
        rows = [
            (layer.name, one.number, one.label, rank, place.entry.id, place.entry.label, place.view, place.activation)
            for layer in self.layers
            for one in layer.filters
            for rank, place in enumerate(one.strongest, start=1)
        ]
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def to_json(self) -> dict[str, Any]:
        """Return the results without the pictures for JSON."""
        return {
            "model": self.model,
            "data": self.data,
            "split": self.split,
            "kind": self.kind,
            "side": self.side,
            "shapes": self.shapes,
            "layers": [
                {
                    "name": layer.name,
                    "count": layer.count,
                    "field": None if layer.field is None else list(layer.field),
                    "dead": list(layer.dead),
                    "filters": [_filter_json(each) for each in layer.filters],
                }
                for layer in self.layers
            ],
        }


def _filter_json(one: Filter) -> dict[str, Any]:
    strongest = [
        {
            "id": place.entry.id,
            "label": place.entry.label,
            "view": place.view,
            "box": [list(ends) for ends in place.box],
            "activation": float(f"{place.activation:.6g}"),
        }
        for place in one.strongest
    ]
    return {"filter": one.number, "class": one.label, "strongest": strongest}
