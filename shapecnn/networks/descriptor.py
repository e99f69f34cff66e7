"""Network whose features are an engineered descriptor: the descriptor, then a trained classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shapecnn.descriptors import describe, descriptor_size
from shapecnn.networks.network import ShapeNetwork
from shapecnn.settings.networks import DescriptorName


class DescriptorNetwork(ShapeNetwork):
    """Network that computes an engineered descriptor of a shape from all its views or grids, and class logits from it.

    Its only part, ``descriptor``, has no parameters and no gradient. A training stage therefore begins at the ``head``.

    Args:
        descriptor: Name of the descriptor: ``sph``, ``lfd`` or ``fisher``.
        classes: Number of classes, C; 0 for a network without classifier.
    """

    def __init__(self, descriptor: DescriptorName, classes: int) -> None:
        part = ("descriptor", nn.Identity())
        super().__init__(nn.Identity(), [part], nn.Identity(), blocks=(descriptor_size(descriptor),), classes=classes)
        self.descriptor = descriptor

    def stem(self, inputs: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Compute the descriptors of B shapes.

        Args:
            inputs: V views or grids of B shapes, (B, V, ...) uint8; for ``start`` > 0, descriptors (B, 1, D) float.
            start: Number of the first part to apply: 0 for the descriptor, or 1 to return the inputs unchanged.
            stop: Number of the part before which to stop: 0 to return the inputs unchanged.

        Returns:
            Descriptors (B, 1, D) float32, D values for each shape.
        """
        assert self.descriptor is not None
        if start > 0 or stop == 0:
            return inputs
        rows = [torch.from_numpy(describe(self.descriptor, array)) for array in inputs.cpu().numpy()]
        return torch.stack(rows)[:, None].to(inputs.device)
