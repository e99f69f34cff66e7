"""The first few shapes of each class: what papers measure on, such as 80 for training and 20 for testing."""

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
    """How many shapes of each class are taken of the splits ``train`` and ``test``: 80 + 20 in Su et al. (2015)."""

    train: int
    test: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """``"80+20"`` → 80 of train, 20 of test.  Raises UsageError if it is something else."""
        counts = re.fullmatch(r"([1-9][0-9]{0,8})\+([1-9][0-9]{0,8})", text)
        if counts is None:
            raise UsageError(f"--subset {text!r} is not TRAIN+TEST, how many shapes of each class, such as 80+20.")
        return cls(int(counts[1]), int(counts[2]))

    def __str__(self) -> str:
        return f"{self.train}+{self.test}"

    def select(self, entries: Iterable[Entry], split: str) -> list[Entry]:
        """The first of each class by id, in order of id; all where a class has fewer.

        ``val`` stays as it is: it was held out of the subset's train already.
        """
        ordered = sorted(entries, key=lambda entry: entry.id)
        if split == "val":
            return ordered
        most = self.train if split == "train" else self.test
        taken: defaultdict[str | None, int] = defaultdict(int)
        chosen = []
        for entry in ordered:
            if taken[entry.label] < most:
                taken[entry.label] += 1
                chosen.append(entry)
        return chosen
