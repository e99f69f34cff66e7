"""The shapes of the index as the page lists them: filtered by class and by words in their ids."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.search.index import IndexedShape


class Catalogue:
    """Lists the shapes of an index.

    Args:
        shapes: Shapes of the index, in order of id.
    """

    def __init__(self, shapes: list[IndexedShape]) -> None:
        self._shapes = shapes
        self._texts = [shape.id.casefold() for shape in shapes]
        names = sorted({shape.label for shape in shapes if shape.label is not None})
        numbers = {name: number for number, name in enumerate(names)}
        self.classes = names
        self.codes = np.array([numbers.get(shape.label or "", -1) for shape in shapes], np.int64)
        self._rows = lru_cache(maxsize=16)(self._select)

    def counts(self) -> list[dict[str, Any]]:
        """Return the classes by name, each with its number of shapes."""
        counts = Counter(self.codes.tolist())
        return [{"label": name, "count": counts[number]} for number, name in enumerate(self.classes)]

    def rows(self, label: str | None = None, text: str = "") -> NDArray[np.int64]:
        """Return the rows of the shapes of a class whose ids contain all the words of a text.

        Args:
            label: Class; None for shapes of all classes and without class.
            text: Words, in any case.
        """
        return self._rows(label, text)

    def _select(self, label: str | None, text: str) -> NDArray[np.int64]:
        rows = np.arange(len(self._shapes))
        if label is not None:
            rows = rows[self.codes == self.classes.index(label)] if label in self.classes else rows[:0]
        words = text.casefold().split()
        if not words:
            return rows
        found = [row for row in rows.tolist() if all(word in self._texts[row] for word in words)]
        return np.array(found, np.int64)

    def page(self, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
        """Return shapes as JSON objects, by their rows."""
        listed = ((row, self._shapes[row]) for row in rows.tolist())
        return [{"row": row, "id": each.id, "label": each.label, "split": each.split} for row, each in listed]
