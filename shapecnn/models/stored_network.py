"""Network of a run: its architecture from ``model.json``, its weights from ``model.safetensors``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapecnn.models.head import WEIGHTS
from shapecnn.settings.networks import DescriptorName, InputKind, LinearSettings, NetworkSettings
from shapecnn.storage.sealed import Sealed

if TYPE_CHECKING:
    from shapecnn.networks.network import ShapeNetwork


@dataclass(frozen=True, slots=True)
class StoredNetwork:
    """Stored weights and architecture of a run; :meth:`build` builds the network from them.

    Implements :class:`shapecnn.models.source.NetworkSource`.

    Attributes:
        settings: Architecture of the network.
        outputs: Number of outputs: the number of classes, or 1 for a quantity.
        side: Number of pixels along one side of a view, or of cells along one side of a grid.
        kind: Kind of input: ``views`` or ``voxels``.
    """

    settings: NetworkSettings
    outputs: int
    side: int
    kind: InputKind
    _sealed: Sealed

    @property
    def weights(self) -> str:
        """SHA-256 (hex) of the file ``model.safetensors`` with the weights."""
        return self._sealed.sums[WEIGHTS]

    @property
    def identity(self) -> str:
        """Cache key of the network converted to OpenVINO: a text that changes with the architecture or the weights."""
        return f"{self.weights} {self.settings.digest()} {self.outputs} {self.side}"

    @property
    def descriptor(self) -> DescriptorName | None:
        """Name of the engineered descriptor that takes the place of the network; None for a network."""
        return self.settings.descriptor if isinstance(self.settings, LinearSettings) else None

    @property
    def at_hand(self) -> bool:
        """Always True: the weights are stored in the run, so no download is needed."""
        return True

    def build(self) -> ShapeNetwork:
        """Build the network with its weights, in float32 and evaluation mode.

        Raises:
            StoredDataError: The weights are damaged or do not fit the architecture.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        from shapecnn.networks.registry import build_network, fitting_state

        content = self._sealed.read(WEIGHTS)
        untrained = {"weights": "none"} if self.settings.kind == "mvcnn" else {}
        settings = self.settings.model_copy(update=untrained)
        try:
            # before memory is allocated for the network
            state = fitting_state(load(content), settings, self.side, kind=self.kind)
            network = build_network(settings, self.side, self.outputs, kind=self.kind)
            network.load(state)
        except (SafetensorError, RuntimeError, KeyError) as error:
            raise self._sealed.invalid(WEIGHTS, f"the file of weights does not fit model.json: {error}") from None
        return network.eval()
