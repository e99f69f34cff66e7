"""The one form of all networks: parts applied to each view or rotation, pooling over these, a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from shapecnn.networks.discriminant import Discriminant

Pooling = Literal["max", "mean"]
Part = tuple[str, nn.Module]


class ShapeNetwork(nn.Module):
    """V looks at a shape (views, or rotations of a grid), any number of them, to logits and a feature.

    encode: (N, ...) uint8, one look each, to what the first part takes.  parts: name and module, applied to each look
    by itself, one after the other.  tail: applied to what pooling leaves, ends in features (B, D).  blocks: sizes, of
    sum D, of what was joined to make the features.  classes: 0 for a network without a classifier, whose logits are
    (B, 0).
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
        """D of the features."""
        return sum(self.blocks) if self.discriminant is None else self.discriminant.size

    @property
    def parameter_count(self) -> int:
        """Numbers that were learned: by gradients, or of the discriminant space, which no gradient changes."""
        space = [] if self.discriminant is None else self.discriminant.buffers()
        return sum(tensor.numel() for tensor in (*self.parameters(), *space))

    def discriminate(self, discriminant: Discriminant, weight: Tensor) -> None:
        """Take coordinates in a discriminant space as features, and a classifier of these.  weight: (C, K + L)."""
        device = next(self.parameters()).device
        self.discriminant = discriminant.to(device)
        self.classifier = linear = nn.Linear(weight.shape[1], len(weight)).to(device)
        with torch.no_grad():
            linear.weight.copy_(weight)
            linear.bias.zero_()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights of a state dict, and the discriminant space if it has one.

        Raises RuntimeError or KeyError if they are not those of this network.
        """
        prefix = "discriminant."
        space = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if space:
            self.discriminate(Discriminant.of(space, self.blocks), state["classifier.weight"])
        self.load_state_dict(state)

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
        """(B, V, C, ...) → (B, C, ...): element-wise over the looks."""
        return activations.amax(dim=1) if self.pooling == "max" else activations.mean(dim=1)

    def embed(self, pooled: Tensor) -> Tensor:
        """What pooling leaves → features (B, D): coordinates in the discriminant space where there is one.

        That, like the classifier, computes in float32 where torch does, whatever the rest does.
        """
        features: Tensor = self.tail(pooled)
        if self.discriminant is None:
            return features
        with torch.autocast(features.device.type, enabled=False):
            coordinates: Tensor = self.discriminant(features.float())
        return coordinates

    def head(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """What pooling leaves → logits (B, C), features (B, D).

        The classifier computes in float32 whatever the rest does: differences of large sums decide, and 8 bits of
        bfloat16 would make ties of neighbours in a ranking by scores.
        """
        features = self.embed(pooled)
        if self.classifier is None:
            return features[:, :0], features
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.classifier(self.dropout(features.float()))
            return logits, features

    def alone(self, activations: Tensor) -> Tensor:
        """(B, V, ...) → (B, V, D): the feature each look would give if it were the only one."""
        single = self.embed(self.pool(activations.flatten(0, 1)[:, None]))
        return single.reshape(*activations.shape[:2], -1)

    def forward(self, looks: Tensor, start: int = 0) -> tuple[Tensor, Tensor]:
        """Looks (B, V, ...) → logits (B, C), features (B, D)."""
        return self.head(self.pool(self.stem(looks, start)))


class FeaturesAlone(nn.Module):
    """The same network as it is exported, without its classifier: engines that compute in few bits would spoil that.

    views: whether it also gives the feature of each look alone.
    """

    def __init__(self, network: ShapeNetwork, views: bool = False) -> None:
        super().__init__()
        self.network, self.views = network, views

    def forward(self, looks: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Looks (B, V, ...) → features (B, D); with ``views`` also (B, V, D)."""
        activations = self.network.stem(looks)
        features = self.network.embed(self.network.pool(activations))
        return (features, self.network.alone(activations)) if self.views else features
