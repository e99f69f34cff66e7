"""Subsets of the first few shapes of each class, as in published protocols: 80 for training and 20 for testing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from shapecnn.artefacts.manifest import Entry
from shapecnn.errors import UsageError


@dataclass(frozen=True, slots=True)
class Subset:
    """Number of shapes of each class that are used; 80 + 20 in Su et al. (2015).

    Attributes:
        train: Shapes of each class in the split ``train``, at least 1.
        test: Shapes of each class in the split ``test``, at least 1.
    """

    train: int
    test: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the value of ``--subset``.

        Args:
            text: Two positive integers joined by a plus sign, such as ``"80+20"`` for 80 of train and 20 of test.

        Returns:
            The subset.

        Raises:
            UsageError: ``text`` has another form.
        """
        counts = re.fullmatch(r"([1-9][0-9]{0,8})\+([1-9][0-9]{0,8})", text)
        if counts is None:
            raise UsageError(f"--subset {text!r} is not TRAIN+TEST, how many shapes of each class, such as 80+20.")
        return cls(int(counts[1]), int(counts[2]))

    def __str__(self) -> str:
        return f"{self.train}+{self.test}"

    def select(self, entries: Iterable[Entry], split: str) -> list[Entry]:
        """Return the first shapes of each class by id.

        Args:
            entries: The shapes of one split.
            split: Name of that split. ``val`` is returned whole: it was held out of the subset of train.

        Returns:
            The chosen shapes in order of id; all shapes of a class that has fewer than the limit.
        """
        ordered = sorted(entries, key=lambda entry: entry.id)
        if split == "val":
            return ordered
        limit = self.train if split == "train" else self.test
        counts: defaultdict[str | None, int] = defaultdict(int)
        chosen = []
        for entry in ordered:
            if counts[entry.label] < limit:
                counts[entry.label] += 1
                chosen.append(entry)
        return chosen
