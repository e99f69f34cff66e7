"""The one form of all networks: parts applied to each view or rotation, pooling over these, a head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Pooling = Literal["max", "mean"]
Part = tuple[str, nn.Module]


class ShapeNetwork(nn.Module):
    """V looks at a shape (views, or rotations of a grid), any number of them, to logits and a feature.

    encode: (N, ...) uint8, one look each, to what the first part takes.  parts: name and module, applied to each look
    by itself, one after the other.  tail: applied to what pooling leaves, ends in features (B, feature_size).  classes:
    0 for a network without a classifier, whose logits are (B, 0).
    """

    def __init__(
        self,
        encode: nn.Module,
        parts: Sequence[Part],
        tail: nn.Module,
        *,
        feature_size: int,
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
        self.classifier = nn.Linear(feature_size, classes) if classes else None
        self.feature_size = feature_size
        if self.classifier is not None:
            nn.init.normal_(self.classifier.weight, std=0.01)
            nn.init.zeros_(self.classifier.bias)

    def stem(self, looks: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """The activations of each look, (B, V, ...), after parts ``start`` to ``stop``.

        looks: (B, V, ...) uint8 where ``start`` is 0, else what enters part ``start``.
        """
        batch, count = looks.shape[:2]
        x = looks.flatten(0, 1)
        if start == 0:
            x = self.encode(x)
        for part in list(self.parts.values())[start:stop]:
            x = part(x)
        return x.reshape(batch, count, *x.shape[1:])

    def pool(self, activations: Tensor) -> Tensor:
        """(B, V, ...) → (B, ...): element-wise over the looks."""
        return activations.amax(dim=1) if self.pooling == "max" else activations.mean(dim=1)

    def head(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """What pooling leaves → logits (B, C), features (B, D).

        The classifier computes in float32 whatever the rest does: differences of large sums decide, and 8 bits of
        bfloat16 would make ties of neighbours in a ranking by scores.
        """
        features: Tensor = self.tail(pooled)
        if self.classifier is None:
            return features[:, :0], features
        with torch.autocast(features.device.type, enabled=False):
            return self.classifier(self.dropout(features.float())), features

    def forward(self, looks: Tensor, start: int = 0) -> tuple[Tensor, Tensor]:
        """Looks (B, V, ...) → logits (B, C), features (B, D)."""
        return self.head(self.pool(self.stem(looks, start)))


class FeaturesAlone(nn.Module):
    """The same network as it is exported, without its classifier: engines that compute in few bits would spoil that."""

    def __init__(self, network: ShapeNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, looks: Tensor) -> Tensor:
        """Looks (B, V, ...) → features (B, D)."""
        features: Tensor = self.network.tail(self.network.pool(self.network.stem(looks)))
        return features
