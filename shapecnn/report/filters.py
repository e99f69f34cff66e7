"""Write the filters of a network as an HTML page: their weights, and the places in shapes that excite them most."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.errors import counted
from shapecnn.filters.results import Box, Filter, FilterLayer, LearnedFilters, Place
from shapecnn.report.filter_pictures import (
    grid_crop,
    saliency_picture,
    small_view,
    view_crop,
    weights_picture,
    whole_grid,
)
from shapecnn.report.html import display_path, fill, png_base64
from shapecnn.workers.progress import stage

OVERVIEW = 96  # largest number of filters whose weights are shown side by side
OVERVIEW_SIDE = 56  # pixels along one side of the weights there
LISTED = 40  # largest number of dead filters that are listed


@dataclass(frozen=True, slots=True)
class PlaceCard:
    """Place in a shape on an HTML page, with pictures of the place and of the whole view or grid."""

    place: Place
    whole: str  # PNG as base64 text
    crop: str | None  # PNG as base64 text; None if the place is the whole view or grid
    frame: tuple[float, ...] | None  # place in a view: left, top, width and height, in percent
    where: str  # the place in words


@dataclass(frozen=True, slots=True)
class FilterCard:
    """Filter on the HTML page: its weights, the saliency of its strongest place, and all its places."""

    name: str
    weights: str | None  # PNG as base64 text
    saliency: str | None  # PNG as base64 text
    places: list[PlaceCard]


@dataclass(frozen=True, slots=True)
class LayerSection:
    """Layer on the HTML page."""

    name: str
    about: list[str]  # sentences on the layer
    overview: list[tuple[str, str, bool]]  # name, weights (PNG as base64 text), and whether the filter is dead
    cards: list[FilterCard]


@dataclass(frozen=True, slots=True)
class _Pictures:
    """Pictures for the page, PNG as base64 text, of all places in all layers."""

    wholes: dict[tuple[str, int, Box | None], str] = field(default_factory=dict)  # by shape, view and frame
    crops: dict[tuple[str, int, Box, int], str] = field(default_factory=dict)  # by shape, view, box and side
    saliencies: dict[tuple[str, int], str] = field(default_factory=dict)  # by layer and number of the filter


def filters_page(learned: LearnedFilters) -> str:
    """Return the filters of a network as an HTML page that needs no other file.

    Args:
        learned: Filters of the layers of a network, and their strongest places. Each shape is read once.

    Returns:
        The HTML text of the page.
    """
    return fill(
        "filters.html",
        sections=layer_sections(learned),
        model=display_path(learned.model),
        data=display_path(learned.data),
        shapes=counted(learned.shapes, "shape") + ("" if learned.split == "all" else f" of split {learned.split}"),
        views=learned.kind == "views",
        crops=any(layer.field is not None for layer in learned.layers),
        coloured=any(layer.weights is not None and layer.weights.shape[1] == 3 for layer in learned.layers),
        sliced=any(layer.weights is not None and layer.weights.ndim == 5 for layer in learned.layers),
        weights=any(layer.weights is not None for layer in learned.layers),
        saliency=any(each.saliency is not None for layer in learned.layers for each in layer.filters),
    )


def layer_sections(learned: LearnedFilters, overview: int = OVERVIEW) -> list[LayerSection]:
    """Draw the filters of each layer and their strongest places for an HTML page.

    Args:
        learned: Filters of the layers of a network, and their strongest places. Each shape is read once.
        overview: Largest number of filters of a layer whose weights are drawn side by side.

    Returns:
        Sentences and pictures of each layer.
    """
    pictures = _draw(learned)
    return [_section(layer, learned, pictures, overview) for layer in learned.layers]


def _draw(learned: LearnedFilters) -> _Pictures:
    """Draw all places, shape by shape, so that each shape is read once."""
    entries: dict[str, Entry] = {}
    by_shape: dict[str, list[tuple[FilterLayer, Filter, Place]]] = defaultdict(list)
    for layer in learned.layers:
        for each in layer.filters:
            for place in each.strongest:
                entries[place.entry.id] = place.entry
                by_shape[place.entry.id].append((layer, each, place))
    pictures = _Pictures()
    with stage("Drawing the places") as progress:
        for done, (name, places) in enumerate(by_shape.items()):
            progress(done, len(by_shape))
            array = learned.read(entries[name])
            for layer, each, place in places:
                _draw_place(pictures, layer, each, place, array[place.view])
    return pictures


def _draw_place(pictures: _Pictures, layer: FilterLayer, each: Filter, place: Place, array: NDArray[np.uint8]) -> None:
    grid = array.ndim == 3
    side = max(layer.field or array.shape)
    key = place.entry.id, place.view, place.box, side
    if layer.field is not None and key not in pictures.crops:
        pictures.crops[key] = png_base64((grid_crop if grid else view_crop)(array, place.box, side))
    whole = _whole_key(layer, place, grid)
    if whole not in pictures.wholes:
        box = place.box if whole[2] else tuple((0, side) for side in array.shape)
        pictures.wholes[whole] = png_base64(whole_grid(array, box) if grid else small_view(array))
    if each.saliency is not None and place is each.strongest[0]:
        picture = saliency_picture(array, each.saliency, place.box, side)
        pictures.saliencies[layer.name, each.number] = png_base64(picture)


def _whole_key(layer: FilterLayer, place: Place, grid: bool) -> tuple[str, int, Box | None]:
    """Return the key of the picture of a whole view or grid. The frame in a view is not part of its picture."""
    return place.entry.id, place.view, place.box if grid and layer.field is not None else None


def _section(layer: FilterLayer, learned: LearnedFilters, pictures: _Pictures, overview: int) -> LayerSection:
    weights, dead = layer.weights, set(layer.dead)
    images = (
        [] if weights is None else [png_base64(weights_picture(each, OVERVIEW_SIDE)) for each in weights[:overview]]
    )
    names = layer.labels or tuple(map(str, range(len(images))))
    row = [(names[number], each, number in dead) for number, each in enumerate(images)]
    cards = [
        FilterCard(
            each.label or f"Filter {each.number}",
            None if weights is None else png_base64(weights_picture(weights[each.number])),
            pictures.saliencies.get((layer.name, each.number)),
            [_place_card(layer, place, learned, pictures) for place in each.strongest],
        )
        for each in layer.filters
    ]
    return LayerSection(layer.name, _about(layer, learned.kind, overview), row, cards)


def _place_card(layer: FilterLayer, place: Place, learned: LearnedFilters, pictures: _Pictures) -> PlaceCard:
    views = learned.kind == "views"
    whole = pictures.wholes[_whole_key(layer, place, not views)]
    view = f"{'view' if views else 'rotation'} {place.view}"
    if layer.field is None:
        return PlaceCard(place, whole, None, None, view)
    names = ("rows", "columns") if views else ("x", "y", "z")
    where = [f"{name} {first} to {end - 1}" for name, (first, end) in zip(names, place.box, strict=True)]
    frame = None
    if views:
        (top, bottom), (left, right) = place.box
        ends = (left, top, right - left, bottom - top)
        frame = tuple(round(100 * each / learned.side, 2) for each in ends)
    crop = pictures.crops[place.entry.id, place.view, place.box, max(layer.field)]
    return PlaceCard(place, whole, crop, frame, ", ".join([view, *where]))


def _about(layer: FilterLayer, kind: str, overview: int) -> list[str]:
    """Return sentences on a layer: its filters, their receptive field, which are shown, and which are dead."""
    unit, whole = ("pixels", "view") if kind == "views" else ("cells", "grid")
    outputs = any(each.label for each in layer.filters)
    total = counted(layer.count, "output" if outputs else "filter")
    reach = f"the whole {whole}" if layer.field is None else f"at most {' × '.join(map(str, layer.field))} {unit}"
    about = [f"{total}. An activation depends on {reach}."]
    if layer.own_weights:
        about.append("Each position has weights of its own, which stand side by side; in a small picture, averaged.")
    if layer.clipped:
        about.append("Large activations are cut off in the network (ReLU6); the numbers are those before.")
    if layer.weights is not None and layer.count > overview:
        about.append(f"The weights of the first {overview} are shown.")
    if outputs:
        about.append(f"An activation is what the network computes for a single {whole}: a logit, or the quantity.")
    count = len(layer.filters)
    if count < layer.count - len(layer.dead):
        about.append(f"The first {count} follow." if outputs else f"The {count} with the strongest activations follow.")
    if layer.dead:
        numbers = ", ".join(map(str, layer.dead[:LISTED]))
        more = f" and {len(layer.dead) - LISTED} more" if len(layer.dead) > LISTED else ""
        dead = counted(len(layer.dead), "filter is dead", "filters are dead")
        about.append(f"{dead}: in these shapes, the activation is nowhere above 0. The numbers: {numbers}{more}.")
    return about
