"""Settings of the validation data of a training: which shapes are held out, and which stay together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from shapecnn.settings.base import Settings


class Validation(Settings):
    """Settings of the validation data: which shapes of the train split are held out, and which stay together.

    Identical shapes are always on the same side. ``load_experiment`` sets ``groups`` to ``near`` unless the config
    or ``--set`` says otherwise. Stored settings without this key are from an early version: ``exact``.
    """

    later: ClassVar[frozenset[str]] = frozenset({"groups", "tolerance", "hold_out"})

    folds: int = Field(5, ge=0, le=100)  # number of folds: 5 holds out a fifth of the shapes, 0 holds out none
    fold: int = Field(0, ge=0)  # number of the held-out fold, from 0
    seed: int = Field(0, ge=0)  # random seed of the division into folds
    groups: str = "exact"  # shapes that stay together: identical ones (exact), near copies (near) or those of FILE.csv
    tolerance: float | None = Field(None, gt=0, le=2)  # largest distance of near copies; null: usual for views or grids
    hold_out: Literal["random", "newest"] = "random"  # newest: the shapes of each class with the highest file numbers
    select: Literal["best", "last"] = "best"  # epoch whose weights are kept: best on the held-out shapes, or last

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.folds == 1:
            raise ValueError("folds 1 would leave nothing to train on; use 0 to train on everything")
        if self.folds and self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} does not exist; with {self.folds} folds, use 0 to {self.folds - 1}")
        if self.folds == 0 and self.select == "best":
            raise ValueError("folds 0 leaves no validation data to select the best epoch; set select to last")
        if self.hold_out == "newest" and self.fold:
            raise ValueError("the newest shapes are one held-out set, not folds; set fold to 0")
        if self.groups not in ("near", "exact") and not self.groups.lower().endswith(".csv"):
            raise ValueError(f"groups {self.groups!r} is not near, exact or the name of a CSV file that ends in .csv")
        return self


def with_near_copies(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a config with ``validation.groups: near``, unless the config has this key.

    Args:
        values: Keys and values of a config.
    """
    validation = values.get("validation", {})
    if not isinstance(validation, dict) or "groups" in validation:
        return dict(values)
    return {**values, "validation": {**validation, "groups": "near"}}
