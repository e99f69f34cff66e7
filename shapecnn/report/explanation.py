"""Explanations as one HTML file that needs nothing else: every look with what spoke for and against laid over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ItemError
from shapecnn.explain import Attribution, Explanation, Floats
from shapecnn.report.grids import see
from shapecnn.report.html import embedded, fill, short

SIDE = 192  # pixels along one side of a picture on the page
SHOWN_CLASSES = 5
_FOR, _AGAINST = np.array([200, 30, 20.0]), np.array([30, 80, 190.0])
_PALE = 0.55  # how far greys are drawn towards white, so that colours stand out


@dataclass(frozen=True, slots=True)
class _Card:
    picture: str  # base64 of a PNG
    place: str
    contribution: float
    share: float
    width: float  # of the bar, in percent of the largest


@dataclass(frozen=True, slots=True)
class _Section:
    title: str
    evidence: Attribution
    cards: list[_Card]


@dataclass(frozen=True, slots=True)
class _Shape:
    path: str
    error: str | None = None
    scores: Sequence[tuple[str, float]] = ()
    marked: Sequence[str | None] = ()
    sections: Sequence[_Section] = ()
    looks: str = "views"
    found_axes: bool = False


def explanation_page(paths: Sequence[str], explanations: Sequence[Explanation | ItemError], name: str) -> str:
    """HTML: each shape with its classes, and its looks in order with what spoke for the class, and how much each gave.

    name: of the model.
    """
    shapes = [_shape(path, explained) for path, explained in zip(paths, explanations, strict=True)]
    return fill("explanation.html", shapes=shapes, model=short(name))


def _shape(path: str, explained: Explanation | ItemError) -> _Shape:
    if isinstance(explained, ItemError):
        return _Shape(short(path), error=str(explained))
    label = explained.ranked[0][0]
    sections = [_section(f"Why {label}", explained, explained.evidence)]
    if explained.why_not is not None:
        sections.append(_section(f"Why {label} and not {explained.asked}", explained, explained.why_not))
    scores = explained.ranked[:SHOWN_CLASSES]
    scores += [score for score in explained.ranked[SHOWN_CLASSES:] if score[0] == explained.asked]
    looks = "views" if explained.elevations is not None else "rotations"
    return _Shape(short(path), None, scores, (label, explained.asked), sections, looks, explained.found_axes)


def _section(title: str, explained: Explanation, evidence: Attribution) -> _Section:
    largest = float(np.abs(evidence.contributions).max()) or 1.0
    cards = [
        _Card(
            embedded(overlay(look, heat)),
            place(explained, number),
            float(contribution),
            float(share),
            100 * abs(float(contribution)) / largest,
        )
        for number, (look, heat, contribution, share) in enumerate(
            zip(explained.inputs, evidence.heat, evidence.contributions, evidence.shares, strict=True)
        )
    ]
    return _Section(title, evidence, cards)


def place(explained: Explanation, number: int) -> str:
    """Where a view was taken from, or by how much a grid is turned."""
    azimuth = f"{explained.azimuths[number]:.0f}°"
    return azimuth if explained.elevations is None else f"{azimuth}, {explained.elevations[number]:.0f}° up"


def overlay(look: NDArray[np.uint8], heat: Floats) -> NDArray[np.uint8]:
    """A picture (S, S) or a grid (N, N, N) drawn in (SIDE, SIDE, 3): red where heat is positive, blue where negative.

    heat: like the look, from −1 to 1. Of a grid the cells in front are seen.
    """
    if look.ndim == 3:
        seen = see(look, SIDE)
        grey, shown = seen.grey.astype(np.float32), np.where(seen.cell < 0, 0, heat.reshape(-1)[seen.cell])
    else:
        grey, shown = _scaled(look.astype(np.float32)), _scaled(heat)
    pale = grey + _PALE * (255.0 - grey)
    strength = np.abs(shown)[..., None] * 0.9
    colour = np.where(shown[..., None] > 0, _FOR, _AGAINST)
    return np.asarray(pale[..., None] * (1 - strength) + colour * strength + 0.5).astype(np.uint8)


def _scaled(picture: Floats) -> Floats:
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
