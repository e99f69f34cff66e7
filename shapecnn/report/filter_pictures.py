"""Pictures of filters for an HTML page: their weights, and the places in views and grids that excite them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shapecnn.filters.results import Box
from shapecnn.report.grids import draw_grid, project

SIDE = 96  # pixels along one side of a picture of a place
SLICES = 9  # largest number of slices in the picture of a filter of cells; a thicker filter also gets projections
_FOR, _AGAINST, _GAP = np.array([200, 30, 20.0]), np.array([30, 80, 190.0]), 215  # RGB of raising and lowering; grey
_MARK = (200, 30, 20)  # RGB of the frame around a place
_PALE = 0.6  # how far grey values are moved towards white (0 to 1), so that colours are visible

RGB = NDArray[np.uint8]
"""Picture of height H and width W, (H, W, 3) uint8."""


def weights_picture(weights: NDArray[np.float32], side: int = 144) -> RGB:
    """Draw the weights of a filter: red above 0, blue below 0, white 0. Each pixel is a weight, or a mean of weights.

    A filter of three colours is drawn in its colours, with grey for 0. A filter of cells is drawn in slices from bottom
    to top, each seen from above with x to the right and y up. A filter with more than 9 layers of cells is drawn in
    three projections and six slices: from +x, from −y and from above, each with the largest weight on the line of
    sight, then the slices.

    Args:
        weights: Weights for C input channels, (C, H, W) float or (C, N, N, N) float, indexed [channel, x, y, z].
        side: Largest width and height of the picture in pixels. More weights than pixels are averaged.

    Returns:
        The picture.
    """
    if weights.ndim == 3 and len(weights) == 3:
        channels = np.stack([_at_most(channel, side) for channel in weights], axis=2)
        return np.asarray(128 + 127 * channels / _largest(channels)).astype(np.uint8)
    values = weights.mean(axis=0)
    if values.ndim == 2:
        panels = [values]
    else:
        panels = [values[:, :, z].T[::-1] for z in range(values.shape[2])]
        if len(panels) > SLICES:
            sights = [_extreme(values, axis).T[::-1] for axis in range(3)]
            places = np.linspace(0, len(panels) - 1, SLICES - 3).round().astype(int)
            panels = [*sights, *(panels[z] for z in places)]
    across = math.ceil(math.sqrt(len(panels)))
    scaled = np.stack([_at_most(np.ascontiguousarray(panel), (side + 1) // across - 1) for panel in panels])
    return _tiled(list(_coloured(scaled / _largest(scaled))), across)


def view_crop(view: NDArray[np.uint8], box: Box, size: int) -> NDArray[np.uint8]:
    """Cut a place out of a view. The crop is a square; what lies outside the view is grey.

    Args:
        view: View of S × S pixels, (S, S) uint8.
        box: Rows and columns of the place.
        size: Side of the square in pixels.

    Returns:
        The crop, uint8 with at most :data:`SIDE` pixels a side.
    """
    return _at_most(_squared(view[_slices(box)], box, view.shape, size, _GAP))


def small_view(view: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a view (S, S) uint8 with at most :data:`SIDE` pixels a side."""
    return _at_most(view)


def grid_crop(grid: NDArray[np.uint8], box: Box, size: int) -> NDArray[np.uint8]:
    """Draw the cells of a place in a grid, in a cube, from an oblique angle.

    Args:
        grid: Grid of N × N × N cells, (N, N, N) uint8 of 0 and 1.
        box: Cells of the place along x, y and z.
        size: Side of the cube in cells.

    Returns:
        The picture, (SIDE, SIDE) uint8.
    """
    return draw_grid(_squared(grid[_slices(box)], box, grid.shape, size, 0), SIDE).grey


def whole_grid(grid: NDArray[np.uint8], box: Box) -> RGB:
    """Draw a grid from an oblique angle, with a frame around a place and its cells in red.

    Args:
        grid: Grid of N × N × N cells, (N, N, N) uint8 of 0 and 1.
        box: Cells of the place along x, y and z; the whole grid for no frame.

    Returns:
        The picture, (SIDE, SIDE, 3) uint8.
    """
    from PIL import Image, ImageDraw

    drawing = draw_grid(grid, SIDE)
    if all(ends == (0, len(grid)) for ends in box):
        return np.repeat(drawing.grey[..., None], 3, axis=2)
    x, y, z = np.unravel_index(np.maximum(drawing.cell, 0), grid.shape)
    inside = drawing.cell >= 0
    for index, (first, end) in zip((x, y, z), box, strict=True):
        inside &= (index >= first) & (index < end)
    pale = drawing.grey + 0.5 * _PALE * (255.0 - drawing.grey)
    picture = np.repeat(pale[..., None], 3, axis=2)
    picture[inside] = (drawing.grey[inside, None] / 230.0) * np.array([235, 90, 60.0])
    image = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    corners = np.array([[i, j, k] for i in box[0] for j in box[1] for k in box[2]], np.float64)
    flat = project(corners, len(grid), SIDE)
    for a in range(8):
        for bit in (1, 2, 4):
            if not a & bit:
                draw.line([*map(float, flat[a]), *map(float, flat[a | bit])], fill=_MARK)
    return np.asarray(image)


def saliency_picture(array: NDArray[np.uint8], heat: NDArray[np.float32], box: Box, size: int) -> RGB:
    """Draw a place in colours: red where a pixel or cell adds to the activation, blue where it takes from it.

    Args:
        array: View (S, S) or grid (N, N, N), uint8.
        heat: What each pixel or cell of the place adds, float32 of the size of the box.
        box: The place in the view or grid.
        size: Side of the square or cube around the place, in pixels or cells.

    Returns:
        The picture, at most SIDE pixels a side.
    """
    strength = heat / _largest(heat)
    colours = _squared(strength, box, array.shape, size, 0)
    if array.ndim == 2:
        return _tinted(view_crop(array, box, size).astype(np.float32), _at_most(colours))
    drawing = draw_grid(_squared(array[_slices(box)], box, array.shape, size, 0), SIDE)
    visible = colours.reshape(-1)[drawing.cell]
    return _tinted(drawing.grey.astype(np.float32), np.where(drawing.cell < 0, 0, visible))


def _coloured(values: NDArray[np.floating]) -> RGB:
    """Return values (..., H, W) from −1 to 1 in colours: red above 0, blue below 0, white at 0."""
    strength = np.abs(values)[..., None]
    colour = np.where(values[..., None] > 0, _FOR, _AGAINST)
    return np.asarray(255 + (colour - 255) * strength + 0.5).astype(np.uint8)


def _tinted(grey: NDArray[np.floating], values: NDArray[np.floating]) -> RGB:
    """Return a grey picture (H, W), made pale, in the colours of values (H, W) from −1 to 1."""
    pale = (grey + _PALE * (255.0 - grey))[..., None]
    strength = np.abs(values)[..., None] * 0.9
    colour = np.where(values[..., None] > 0, _FOR, _AGAINST)
    return np.asarray(pale * (1 - strength) + colour * strength + 0.5).astype(np.uint8)


def _extreme(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Return the values with the largest magnitude along an axis."""
    places = np.abs(values).argmax(axis=axis, keepdims=True)
    return np.asarray(np.take_along_axis(values, places, axis=axis)).squeeze(axis)


def _tiled(pictures: list[RGB], across: int) -> RGB:
    """Return pictures of one size in rows of ``across`` pictures, with grey lines of one pixel between them."""
    height, width, _ = pictures[0].shape
    down = math.ceil(len(pictures) / across)
    tiled = np.full((down * (height + 1) - 1, across * (width + 1) - 1, 3), _GAP, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, across)
        tiled[row * (height + 1) :, column * (width + 1) :][:height, :width] = picture
    return tiled


def _largest(values: NDArray[np.float32]) -> float:
    return float(np.abs(values).max()) or 1.0


def _at_most(picture: NDArray, side: int = SIDE) -> NDArray:  # type: ignore[type-arg]
    """Scale a picture (H, W) of uint8 or float32 down to at most ``side`` pixels a side."""
    from PIL import Image

    height, width = picture.shape
    largest = max(height, width)
    if largest <= side:
        return picture
    size = (max(1, width * side // largest), max(1, height * side // largest))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def _slices(box: Box) -> tuple[slice, ...]:
    return tuple(slice(*ends) for ends in box)


def _squared(values: NDArray, box: Box, shape: tuple[int, ...], size: int, fill: int) -> NDArray:  # type: ignore[type-arg]
    """Return the values of a place in a square or cube, filled up where the border of the view or grid cuts it off."""
    square = np.full([size] * values.ndim, fill, values.dtype)
    parts = []
    for (first, end), length in zip(box, shape, strict=True):
        start = size - (end - first) if first == 0 and end < length else 0
        parts.append(slice(start, start + end - first))
    square[tuple(parts)] = values
    return square
