"""What is asked of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shapecnn.artefacts.subset import Subset
from shapecnn.models.model import Split
from shapecnn.models.output import FeatureName

Task = Literal["both", "classification", "retrieval"]
Protocol = Literal["mvcnn", "shapenets", "train-gallery", "shrec16", "shrec17"]


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """What is measured of a model, and on which shapes.

    Attributes:
        split: The shapes; train and val of a run are those it was trained with.
        task: Classification is left out for a model without classes.
        protocol: Who queries what in retrieval. With ``shapenets`` each rotation of a shape that is seen as grids is an
            item by itself, else a shape is one item. With ``train-gallery`` the model's train split is searched.
        feature: What retrieval compares.
        seed: That of the 95 % intervals.
        subset: Only the first shapes of each class, in the gallery of ``train-gallery`` too; None for all.
        exclude_duplicates: Measure also without copies, of shapes of the train split or of each other.
    """

    split: Split = "test"
    task: Task = "both"
    protocol: Protocol = "mvcnn"
    feature: FeatureName = "penultimate"
    seed: int = 0
    subset: Subset | None = None
    exclude_duplicates: bool = False

    @property
    def classifies(self) -> bool:
        """Whether classification is asked for."""
        return self.task != "retrieval"

    @property
    def retrieves(self) -> bool:
        """Whether retrieval is asked for."""
        return self.task != "classification"


TEST_SPLIT = EvaluationSettings()
"""Both tasks on the test split, by the defaults."""
