"""Select the first shapes of each class, such as 80 for training and 20 for testing, as published protocols do."""

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
    """Maximum numbers of training and test shapes to use of each class, such as 80 and 20 in Su et al. (2015).

    Attributes:
        train: Maximum number of shapes of each class in the split ``train``, at least 1.
        test: Maximum number of shapes of each class in the split ``test``, at least 1.
    """

    train: int
    test: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the value of ``--subset``, such as ``"80+20"``, into the two numbers of shapes per class.

        Args:
            text: Two positive integers joined by a plus sign, such as ``"80+20"`` for 80 train and 20 test shapes.

        Returns:
            The subset.

        Raises:
            UsageError: ``text`` is not two positive integers joined by a plus sign.
        """
        counts = re.fullmatch(r"([1-9][0-9]{0,8})\+([1-9][0-9]{0,8})", text)
        if counts is None:
            raise UsageError(f"--subset {text!r} is not TRAIN+TEST, two numbers of shapes per class, such as 80+20.")
        return cls(int(counts[1]), int(counts[2]))

    def __str__(self) -> str:
        return f"{self.train}+{self.test}"

    def select(self, entries: Iterable[Entry], split: str) -> list[Entry]:
        """Return the first shapes of each class, in alphabetical order of their ids.

        Args:
            entries: The shapes of one split.
            split: Name of the split. For ``val``, all shapes are returned: training selected them as a part of its
                subset, or they are the validation split of the data, which a subset does not reduce.

        Returns:
            The selected shapes in order of id. A class with fewer shapes than the limit is returned whole.
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
