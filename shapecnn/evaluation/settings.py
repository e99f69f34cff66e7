"""Define the options of an evaluation: split, tasks, retrieval protocol, feature, seed and subset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shapecnn.artefacts.subset import Subset
from shapecnn.errors import UsageError
from shapecnn.evaluation.priors import ClassPrior
from shapecnn.models.model import Split
from shapecnn.models.output import FeatureName
from shapecnn.shared.checks import require_choice

Task = Literal["both", "classification", "regression", "retrieval"]
Protocol = Literal["mvcnn", "shapenets", "train-gallery", "shrec16", "shrec17"]


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """Options of an evaluation: split, tasks, retrieval protocol, feature, seed and subset.

    Attributes:
        split: Split to evaluate. For a trained run, ``train`` and ``val`` are the shapes it was trained and validated
            on.
        task: ``classification``, ``regression`` (prediction of a quantity), ``retrieval`` or ``both``. With ``both``,
            retrieval is measured, and what the model predicts: classes, a quantity or nothing.
        protocol: Retrieval protocol, which defines queries and gallery. With ``shapenets``, each rotation of a voxel
            grid is a query of its own; otherwise a shape is one query. With ``train-gallery``, the gallery is the train
            split of the model; otherwise it is the evaluated split.
        feature: Feature that retrieval compares: ``penultimate``, ``metric`` or ``scores``.
        seed: Random seed of the bootstrap behind the 95 % intervals.
        subset: Number of shapes of each class to use, also for the gallery of ``train-gallery``; None for all shapes.
        class_prior: How frequent the classes are where the model is used: accuracy and mAP are also reported for this
            class mix; None for no such results.
        exclude_duplicates: Whether to evaluate a second time without shapes that copy a training shape or an earlier
            evaluated shape.

    Raises:
        UsageError: ``split``, ``task``, ``protocol`` or ``feature`` is not one of its choices, or ``class_prior`` is
            not a ClassPrior.
    """

    split: Split = "test"
    task: Task = "both"
    protocol: Protocol = "mvcnn"
    feature: FeatureName = "penultimate"
    seed: int = 0
    subset: Subset | None = None
    class_prior: ClassPrior | None = None
    exclude_duplicates: bool = False

    def __post_init__(self) -> None:
        choices = {"split": Split, "task": Task, "protocol": Protocol, "feature": FeatureName}
        for name, kind in choices.items():
            require_choice(name, getattr(self, name), kind)
        if self.class_prior is not None and not isinstance(self.class_prior, ClassPrior):
            raise UsageError(
                f"class_prior = {self.class_prior!r}: give a ClassPrior, such as ClassPrior.read('uniform')."
            )

    @property
    def classifies(self) -> bool:
        """Whether ``task`` includes classification."""
        return self.task in ("both", "classification")

    @property
    def regresses(self) -> bool:
        """Whether ``task`` includes the prediction of a quantity."""
        return self.task in ("both", "regression")

    @property
    def retrieves(self) -> bool:
        """Whether ``task`` includes retrieval."""
        return self.task in ("both", "retrieval")


TEST_SPLIT = EvaluationSettings()
"""Default options: what the model predicts, and retrieval, on the test split."""
