"""Interface of what computes the features of a model: a network with its weights, or an engineered descriptor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from shapecnn.settings.networks import DescriptorName

if TYPE_CHECKING:
    from shapecnn.networks.network import ShapeNetwork


class NetworkSource(Protocol):
    """Interface for an object that builds the network of a model and loads its weights."""

    @property
    def descriptor(self) -> DescriptorName | None:
        """Name of the engineered descriptor that takes the place of the network; None for a network."""

    @property
    def identity(self) -> str:
        """Cache key of the network converted to OpenVINO: a text that changes with the architecture or the weights."""

    @property
    def at_hand(self) -> bool:
        """Whether the network can be built without downloading weights."""

    def build(self) -> ShapeNetwork:
        """Build the network with its weights, in float32 and evaluation mode.

        Raises:
            UsageError: The backbone does not exist, or cannot process views of the size that the model uses.
            WeightsError: The weights cannot be downloaded.
            StoredDataError: The weights are damaged.
        """
