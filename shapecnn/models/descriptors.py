"""Settings of the models ``@sph``, ``@lfd`` and ``@fisher``, which compute an engineered descriptor of a shape.

These models have no network and need no training. The literature compares networks with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from shapecnn.artefacts.reading import Artefacts
from shapecnn.models.comparison import FeatureComparison, LightFieldComparison, ShapeComparison
from shapecnn.models.input import Input
from shapecnn.models.pictured import PicturedSettings
from shapecnn.settings.base import Whole
from shapecnn.settings.networks import DescriptorName, LinearSettings
from shapecnn.settings.views_and_grids import ReadingSettings, Up, ViewSettings, VoxelSettings

if TYPE_CHECKING:
    from shapecnn.networks.network import ShapeNetwork


@dataclass(frozen=True, slots=True)
class DescriptorSource:
    """Engineered descriptor in place of a network; implements :class:`shapecnn.models.source.NetworkSource`.

    Attributes:
        descriptor: Name of the descriptor: ``sph``, ``lfd`` or ``fisher``.
        at_hand: Always True: there are no weights to download.
    """

    descriptor: DescriptorName
    at_hand: bool = True

    @property
    def identity(self) -> str:
        """Name of the descriptor."""
        return self.descriptor

    def build(self) -> ShapeNetwork:
        """Build a network without parameters that computes the descriptor."""
        from shapecnn.networks.registry import build_network

        return build_network(LinearSettings(descriptor=self.descriptor), side=0, classes=0)


class SphSettings(ReadingSettings):
    """Settings of the model ``@sph``: spherical harmonics of a grid of 64³ cells (Kazhdan et al. 2003).

    Attributes:
        method: Version of the descriptor. It increases whenever the same grid results in another descriptor.
        filling: Version of the voxelizer, as in :class:`VoxelSettings`.
        up: Axis of the mesh file that points up. The descriptor hardly depends on it.
    """

    kind: Literal["sph"] = "sph"
    method: Annotated[Literal[1], Whole] = 1
    filling: Annotated[Literal[2], Whole] = 2
    up: Up = "z"

    @property
    def source(self) -> DescriptorSource:
        """The descriptor."""
        return DescriptorSource("sph")

    @property
    def comparison(self) -> ShapeComparison:
        """Comparison of shapes by the cosine of their descriptors."""
        return FeatureComparison()

    @property
    def description(self) -> str:
        """Description of the model in one line of text, for users."""
        return "spherical harmonics of 64³ grids"

    def input_settings(self, up: Up | None = None) -> VoxelSettings:
        """Return the settings of the grids that the model expects.

        Args:
            up: Axis of the meshes that points up; None for the setting ``up`` of the model.
        """
        return VoxelSettings(resolution=64, padding=4, fill="surface", up=up or self.up, simplify=self.simplify)


class LfdSettings(ReadingSettings):
    """Settings of the model ``@lfd``: the light field descriptor of 100 silhouettes (Chen et al. 2003).

    Attributes:
        method: Version of the descriptor. It increases whenever the same silhouettes result in another descriptor.
        drawing: Version of the renderers, as in :class:`ViewSettings`.
        up: Axis of the mesh file that points up. The descriptor hardly depends on it.
    """

    kind: Literal["lfd"] = "lfd"
    method: Annotated[Literal[1], Whole] = 1
    drawing: Annotated[Literal[2], Whole] = 2
    up: Up = "z"

    @property
    def source(self) -> DescriptorSource:
        """The descriptor."""
        return DescriptorSource("lfd")

    @property
    def comparison(self) -> ShapeComparison:
        """Comparison of shapes by the smallest distance of their silhouettes over all alignments."""
        return LightFieldComparison()

    @property
    def description(self) -> str:
        """Description of the model in one line of text, for users."""
        return "light field of 100 silhouettes"

    def input_settings(self, up: Up | None = None) -> ViewSettings:
        """Return the settings of the silhouettes that the model expects.

        Args:
            up: Axis of the meshes that points up; None for the setting ``up`` of the model.
        """
        return ViewSettings(silhouettes=True, up=up or self.up, simplify=self.simplify)


class FisherSettings(PicturedSettings):
    """Settings of the model ``@fisher``: Fisher vectors of the SIFT features of views (the baseline of Su et al. 2015).

    Attributes:
        method: Version of the descriptor. It increases whenever the same views result in another descriptor.
    """

    kind: Literal["fisher"] = "fisher"
    method: Annotated[Literal[1], Whole] = 1

    @property
    def source(self) -> DescriptorSource:
        """The descriptor."""
        return DescriptorSource("fisher")

    @property
    def comparison(self) -> ShapeComparison:
        """Comparison of shapes by the cosine of their descriptors."""
        return FeatureComparison()

    @property
    def description(self) -> str:
        """Description of the model in one line of text, for users."""
        return f"Fisher vectors of {self.views} views"


def require_descriptor_input(descriptor: DescriptorName, artefacts: Artefacts) -> None:
    """Raise MismatchError unless artefacts have the settings that an engineered descriptor needs.

    Args:
        descriptor: ``sph``, ``lfd`` or ``fisher``. Fisher vectors accept all views.
        artefacts: Opened folder of views or grids.

    Raises:
        MismatchError: A setting differs. The message has the command that makes matching artefacts.
    """
    if descriptor != "fisher":
        settings = SphSettings() if descriptor == "sph" else LfdSettings()
        Input(settings.input_settings()).require(artefacts, f"@{descriptor}")
