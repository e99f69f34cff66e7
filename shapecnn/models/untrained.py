"""Models that need no training on shapes: ``@imagenet``, and the descriptors ``@sph``, ``@lfd`` and ``@fisher``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, get_args

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError
from shapecnn.models.comparison import ShapeComparison
from shapecnn.models.descriptors import FisherSettings, LfdSettings, SphSettings
from shapecnn.models.imagenet import ImagenetSettings
from shapecnn.models.input import Input
from shapecnn.models.source import NetworkSource
from shapecnn.settings.views_and_grids import Up

UntrainedSettings = ImagenetSettings | SphSettings | LfdSettings | FisherSettings

UNTRAINED: dict[str, type[UntrainedSettings]] = {
    f"@{settings.model_fields['kind'].default}": settings for settings in get_args(UntrainedSettings)
}
"""Settings of each model that needs no training, by its name."""


@dataclass(frozen=True, slots=True)
class UntrainedModel:
    """Model that needs no training, without classes; implements :class:`shapecnn.models.model.Model`.

    Attributes:
        settings: Settings of the network or descriptor, of the views or grids, and of the comparison of shapes.
    """

    settings: UntrainedSettings = field(default_factory=ImagenetSettings)

    @classmethod
    def of(cls, **settings: Any) -> UntrainedModel:
        """Build the model ``@imagenet`` with the given settings; all other settings have their defaults.

        Args:
            settings: Values of settings, by name.
        """
        return cls(ImagenetSettings(**settings))

    @property
    def name(self) -> str:
        """Name of the model, such as ``@imagenet``."""
        return f"@{self.settings.kind}"

    @property
    def input(self) -> Input:
        """Settings of the views or grids that the model expects."""
        return Input(self.settings.input_settings(), adjustable=frozenset(type(self.settings).model_fields))

    @property
    def up(self) -> Up:
        """Axis that points up in the meshes, according to the settings of the model."""
        return self.settings.up

    @property
    def network(self) -> NetworkSource:
        """Architecture and weights of the network, or the engineered descriptor."""
        return self.settings.source

    @property
    def head(self) -> None:
        """Always None: the model was not trained on shapes, so it has no classes."""

    @property
    def quantity(self) -> None:
        """Always None: the model was not trained on shapes, so it predicts no quantity."""

    @property
    def comparison(self) -> ShapeComparison:
        """Comparison of shapes by the features of the model."""
        return self.settings.comparison

    def compared_by(self, feature: str) -> UntrainedModel:
        """Return the model itself: ``penultimate`` is the only feature by which it can compare shapes.

        Args:
            feature: ``penultimate``; any other feature is an error.

        Raises:
            UsageError: ``feature`` is not ``penultimate``.
        """
        if feature != self.comparison.feature:
            raise UsageError(
                f"--feature {feature}: {self.name} has only the feature penultimate. Use a run with a learned metric."
            )
        return self

    def split(self, artefacts: Artefacts, name: str) -> list[Entry]:
        """Return the shapes of one split of an artefact folder; all shapes if no shape of the folder has a split.

        Args:
            artefacts: Opened folder of views or grids.
            name: ``train``, ``val`` or ``test``.
        """
        unsplit = all(entry.split is None for entry in artefacts.entries)
        return artefacts.select(None if unsplit else name)

    def to_json(self) -> dict[str, Any]:
        """Return the settings for JSON; the key ``hash`` has a hash of their values."""
        return self.settings.to_json()
