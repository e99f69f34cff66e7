"""Common form of all networks: parts applied to each view or rotation, pooling over these, and a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from shapecnn.networks.discriminant import Discriminant
from shapecnn.networks.pooling import Pooling, pool_views

Part = tuple[str, nn.Module]


class ShapeNetwork(nn.Module):
    """Network from any number V of looks at a shape (views, or rotations of a grid) to logits and a feature.

    Args:
        encode: Converts views (N, ...) uint8 to the input of the first part.
        parts: Names and modules, applied to each view by itself, one after the other.
        tail: Applied to the pooled activations; its output is features (B, D).
        blocks: Sizes, of sum D, of the features that are joined.
        classes: Number of classes; 0 for a network without classifier, whose logits are (B, 0).
        pooling: Element-wise over the views: ``max`` or ``mean``.
        dropout: Dropout rate in front of the classifier.
    """

    def __init__(
        self,
        encode: nn.Module,
        parts: Sequence[Part],
        tail: nn.Module,
        *,
        blocks: Sequence[int],
        classes: int,
        pooling: Pooling = "max",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.encode = encode
        self.parts = nn.ModuleDict(dict(parts))
        self.pooling = pooling
        self.tail = tail
        self.dropout = nn.Dropout(dropout)
        self.blocks = tuple(blocks)
        self.discriminant: Discriminant | None = None
        self.classifier = nn.Linear(sum(blocks), classes) if classes else None
        if self.classifier is not None:
            nn.init.normal_(self.classifier.weight, std=0.01)
            nn.init.zeros_(self.classifier.bias)

    @property
    def feature_size(self) -> int:
        """Number of features."""
        return sum(self.blocks) if self.discriminant is None else self.discriminant.size

    @property
    def parameter_count(self) -> int:
        """Number of learned values: parameters, and the tensors of the discriminant space."""
        space = [] if self.discriminant is None else self.discriminant.buffers()
        return sum(tensor.numel() for tensor in (*self.parameters(), *space))

    def discriminate(self, discriminant: Discriminant, weight: Tensor) -> None:
        """Replace features by coordinates in a discriminant space, and the classifier by one without bias.

        Args:
            discriminant: The space, of K + L coordinates.
            weight: (C, K + L), the weights of the classifier.
        """
        device = next(self.parameters()).device
        self.discriminant = discriminant.to(device)
        self.classifier = linear = nn.Linear(weight.shape[1], len(weight)).to(device)
        with torch.no_grad():
            linear.weight.copy_(weight)
            linear.bias.zero_()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict, with its discriminant space if it has one.

        Args:
            state: Tensors by name.

        Raises:
            RuntimeError: The tensors are not those of this network.
            KeyError: A tensor of the discriminant space or its classifier is missing.
        """
        prefix = "discriminant."
        space = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if space:
            self.discriminate(Discriminant.of(space, self.blocks), state["classifier.weight"])
        self.load_state_dict(state)

    def stem(self, inputs: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Compute the activations of each view after the parts from ``start`` up to ``stop``.

        Args:
            inputs: (B, V, ...) uint8 where ``start`` is 0, else the input of part ``start``.
            start: Number of the first part.
            stop: Number of the part before which to stop; None for all parts.

        Returns:
            (B, V, ...) float.
        """
        batch, count = inputs.shape[:2]
        x = inputs.flatten(0, 1)
        if start == 0:
            x = self.encode(x)
        for part in list(self.parts.values())[start:stop]:
            x = part(x)
        return x.reshape(batch, count, *x.shape[1:])

    def pool(self, activations: Tensor) -> Tensor:
        """Pool activations (B, V, C, ...) over the views to (B, C, ...); see :func:`pool_views`."""
        return pool_views(activations, self.pooling)

    def embed(self, pooled: Tensor) -> Tensor:
        """Compute features (B, D) from pooled activations: coordinates in the discriminant space if there is one.

        Like the classifier, the discriminant space computes in float32, whatever the precision of the rest.
        """
        features: Tensor = self.tail(pooled)
        if self.discriminant is None:
            return features
        with torch.autocast(features.device.type, enabled=False):
            coordinates: Tensor = self.discriminant(features.float())
        return coordinates

    def head(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits (B, C) and features (B, D) from pooled activations.

        The classifier computes in float32, whatever the precision of the rest: differences of large sums decide, and
        the 8 bits of bfloat16 would make ties of neighbours in a ranking by scores.
        """
        features = self.embed(pooled)
        if self.classifier is None:
            return features[:, :0], features
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.classifier(self.dropout(features.float()))
            return logits, features

    def alone(self, activations: Tensor) -> Tensor:
        """Compute features (B, V, D) from activations (B, V, ...): of each view as if it were the only one."""
        single = self.embed(self.pool(activations.flatten(0, 1)[:, None]))
        return single.reshape(*activations.shape[:2], -1)

    def forward(self, inputs: Tensor, start: int = 0) -> tuple[Tensor, Tensor]:
        """Compute logits (B, C) and features (B, D) from views or grids (B, V, ...) that enter part ``start``."""
        return self.head(self.pool(self.stem(inputs, start)))


class FeaturesAlone(nn.Module):
    """Network as it is exported: without classifier, whose scores engines that compute in few bits would spoil.

    Args:
        network: The network.
        views: Whether the feature of each view alone is computed too.
    """

    def __init__(self, network: ShapeNetwork, views: bool = False) -> None:
        super().__init__()
        self.network, self.views = network, views

    def forward(self, inputs: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Compute features (B, D) of shapes (B, V, ...); with ``views`` also those of each view, (B, V, D)."""
        activations = self.network.stem(inputs)
        features = self.network.embed(self.network.pool(activations))
        return (features, self.network.alone(activations)) if self.views else features
