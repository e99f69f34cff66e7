"""Write explanations of predictions as an HTML page: pixels and voxels coloured by their effect on a class score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ItemError
from shapecnn.explanation import Explanation
from shapecnn.models.attribution import Attribution, Floats
from shapecnn.report.grids import draw_grid
from shapecnn.report.html import display_path, fill, png_base64

SIDE = 192  # pixels along one side of a picture on the page
SHOWN_CLASSES = 5  # most probable classes in the table of a shape
_FOR, _AGAINST = np.array([200, 30, 20.0]), np.array([30, 80, 190.0])  # RGB
_PALE = 0.55  # how far grey values are moved towards white (0 to 1), so that colours are visible


@dataclass(frozen=True, slots=True)
class _InputCard:
    """View, or rotation of a voxel grid, on the HTML page: its picture and its contribution to the class score."""

    picture: str  # PNG as base64 text
    place: str  # position of the camera, or angle of the rotation
    contribution: float  # contribution to the class score, in logits
    share: float  # share of all positive contributions, from 0 to 1
    width: float  # width of the bar, in percent of the widest bar


@dataclass(frozen=True, slots=True)
class _ClassSection:
    """Section of the HTML page: views (or grid rotations) of a shape with their contributions to one class score."""

    title: str
    evidence: Attribution
    cards: list[_InputCard]


@dataclass(frozen=True, slots=True)
class _ExplainedShape:
    """Shape on the HTML page: class probabilities and explanations, or the error if it could not be explained."""

    path: str
    error: str | None = None
    scores: Sequence[tuple[str, float]] = ()
    marked: Sequence[str | None] = ()  # the most probable class and the class it is compared with
    sections: Sequence[_ClassSection] = ()
    input_name: str = "views"  # "views" or "rotations"
    found_axes: bool = False  # whether the mesh was turned to axes computed from it


def explanation_page(paths: Sequence[str], explanations: Sequence[Explanation | ItemError], name: str) -> str:
    """Return explanations of predictions as an HTML page.

    The page shows the class probabilities of each shape, and all views of the shape or all rotations of its voxel grid,
    each with its contribution to the score of the class. Pixels or cells that raise the score are red; pixels or cells
    that lower the score are blue.

    Args:
        paths: Paths of the mesh files, as typed by the user.
        explanations: Explanation of each mesh file, or the error if the file could not be explained.
        name: Name of the model.

    Returns:
        The HTML text of the page.
    """
    shapes = [_explained_shape(path, explained) for path, explained in zip(paths, explanations, strict=True)]
    return fill("explanation.html", shapes=shapes, model=display_path(name))


def _explained_shape(path: str, explained: Explanation | ItemError) -> _ExplainedShape:
    name = display_path(path)
    if isinstance(explained, ItemError):
        return _ExplainedShape(name, error=str(explained))
    label = explained.ranked[0][0]
    sections = [_class_section(f"Why {label}", explained, explained.evidence)]
    if explained.why_not is not None:
        sections.append(_class_section(f"Why {label} and not {explained.asked}", explained, explained.why_not))
    scores = explained.ranked[:SHOWN_CLASSES]
    scores += [score for score in explained.ranked[SHOWN_CLASSES:] if score[0] == explained.asked]
    input_name = "views" if explained.elevations is not None else "rotations"
    return _ExplainedShape(name, None, scores, (label, explained.asked), sections, input_name, explained.found_axes)


def _class_section(title: str, explained: Explanation, evidence: Attribution) -> _ClassSection:
    largest = float(np.abs(evidence.contributions).max()) or 1.0
    cards = [
        _InputCard(
            png_base64(overlay(array, heat)),
            _place(explained, number),
            float(contribution),
            float(share),
            100 * abs(float(contribution)) / largest,
        )
        for number, (array, heat, contribution, share) in enumerate(
            zip(explained.inputs, evidence.heat, evidence.contributions, evidence.shares, strict=True)
        )
    ]
    return _ClassSection(title, evidence, cards)


def _place(explained: Explanation, number: int) -> str:
    """Return the caption of a picture: azimuth and elevation of the camera of a view, or rotation angle of a grid."""
    azimuth = f"{explained.azimuths[number]:.0f}°"
    return azimuth if explained.elevations is None else f"{azimuth}, {explained.elevations[number]:.0f}° up"


def overlay(array: NDArray[np.uint8], heat: Floats) -> NDArray[np.uint8]:
    """Overlay a heat map on a grey picture of a view or grid: red where the heat is positive, blue where negative.

    Args:
        array: View of S × S pixels, (S, S) uint8; or grid of N × N × N cells, (N, N, N) uint8 of 0 and 1. Only the
            visible cells of a grid are drawn.
        heat: Effect of each pixel or cell on the class score, from −1 (lowers the score) to 1 (raises the score), in an
            array of the same shape as ``array``.

    Returns:
        The RGB picture of SIDE × SIDE pixels, (SIDE, SIDE, 3) uint8.
    """
    if array.ndim == 3:
        drawing = draw_grid(array, SIDE)
        grey, visible_heat = (
            drawing.grey.astype(np.float32),
            np.where(drawing.cell < 0, 0, heat.reshape(-1)[drawing.cell]),
        )
    else:
        grey, visible_heat = _resize(array.astype(np.float32)), _resize(heat)
    pale = grey + _PALE * (255.0 - grey)
    strength = np.abs(visible_heat)[..., None] * 0.9
    colour = np.where(visible_heat[..., None] > 0, _FOR, _AGAINST)
    return np.asarray(pale[..., None] * (1 - strength) + colour * strength + 0.5).astype(np.uint8)


def _resize(picture: Floats) -> Floats:
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
